"""Bugs in who is counted, and what clients are told (R10, P2, P8).

PURE.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from replog.core import answers, write_concern
from replog.core.answers import Answers
from replog.core.appending import Appending
from replog.core.effects import AnswerAppend, Effect, RefusalReason, Refused
from replog.core.entry import EntryId
from replog.core.events import AcksAwaited
from replog.core.facts import MasterFacts
from replog.core.progress import Peer
from replog.core.replicas import Replicas
from replog.core.waiters import WaitingAppend
from tests.simulator.planted.bug import Planted


def count_lost_links(patch: pytest.MonkeyPatch) -> None:
    """The acknowledgement of a link that is gone goes on counting."""
    forget = Peer.link_closed

    def remember(self: Peer) -> None:
        acknowledged = self.acknowledged
        forget(self)
        self.acknowledged = acknowledged

    patch.setattr(Peer, "link_closed", remember)


def receipt_without_waiting(patch: pytest.MonkeyPatch) -> None:
    """Who asks for copies is told of those that there are, not when there are enough."""
    awaited = Appending.acks_awaited

    def hasty(self: Appending, event: AcksAwaited, out: list[Effect]) -> None:
        concern = event.concern if self.copies_of(event.concern) is None else 1
        awaited(self, replace(event, concern=concern), out)

    patch.setattr(Appending, "acks_awaited", hasty)


def count_what_was_sent(patch: pytest.MonkeyPatch) -> None:
    """What is on its way counts as what is there."""

    def hopeful(self: Peer) -> EntryId:
        return EntryId(0) if self.acknowledged is None else self.sent.last_id

    patch.setattr(Peer, "counted_id", property(hopeful))


def count_one_too_few(patch: pytest.MonkeyPatch) -> None:
    """The log at rank `copies - 1` is taken for that at rank `copies`."""
    count = write_concern.acknowledged_id

    def off_by_one(durable: Iterable[EntryId], *, copies: int) -> EntryId:
        return count(durable, copies=max(1, copies - 1))

    patch.setattr(answers, "acknowledged_id", off_by_one)


def count_the_master_twice(patch: pytest.MonkeyPatch) -> None:
    """The master counts as itself and as one of its secondaries."""
    counted = Replicas.counted

    def twice(self: Replicas) -> list[EntryId]:
        found = counted(self)
        return [found[0], *found][: len(self.peers) + 1]

    patch.setattr(Replicas, "counted", twice)


def count_without_prefix(patch: pytest.MonkeyPatch) -> None:
    """A damaged secondary counts for what it holds behind its gap."""

    def generous(self: Peer) -> EntryId:
        return EntryId(0) if self.acknowledged is None else self.acknowledged.last_id

    patch.setattr(Peer, "counted_id", property(generous))


def count_without_the_master(patch: pytest.MonkeyPatch) -> None:
    """Secondaries that hold an entry are copies enough, though the master's own is damaged."""
    counted = Replicas.counted

    def without(self: Replicas) -> list[EntryId]:
        found = counted(self)
        return [max(found), *found[1:]]

    patch.setattr(Replicas, "counted", without)


def wait_behind_others(patch: pytest.MonkeyPatch) -> None:
    """Who waits for all nodes holds up who asked for one (P8)."""
    met = Answers.met

    def in_turn(self: Answers, out: list[Effect]) -> None:
        before = len(out)
        met(self, out)
        for at in range(before, len(out)):
            answer = out[at]
            if isinstance(answer, AnswerAppend) and len(self._appends.waiters):
                del out[at:]
                return

    patch.setattr(Answers, "met", in_turn)


def name_who_does_not_hold_it(patch: pytest.MonkeyPatch) -> None:
    """A pending answer names every linked node."""

    def all_linked(self: Replicas, last_id: EntryId) -> tuple[str, ...]:
        return (self._facts.url, *(peer.url for peer in self.peers if peer.link is not None))

    patch.setattr(Replicas, "holders", all_linked)


def call_the_unknown_refused(patch: pytest.MonkeyPatch) -> None:
    """When the disk fails under a batch its clients are told that it is not stored."""

    def hasty(self: Appending, out: list[Effect]) -> None:
        refused = Refused(RefusalReason.DAMAGED, "the disk failed")
        out += [AnswerAppend(each.request, refused) for each in self._appends.take_running()]

    patch.setattr(Appending, "failed", hasty)


def answer_pending_at_once(patch: pytest.MonkeyPatch) -> None:
    """Who gave a time to wait is answered before it has passed."""
    wait = Answers.wait

    def hasty(self: Answers, waiting: WaitingAppend, out: list[Effect]) -> None:
        if waiting.deadline is not None:
            self.pending(waiting, out)
        else:
            wait(self, waiting, out)

    patch.setattr(Answers, "wait", hasty)


def give_ids_from_what_was_written(patch: pytest.MonkeyPatch) -> None:
    """Answers tell the id that follows on the one that was given."""
    met = Answers.pending

    def off_by_one(self: Answers, waiting: WaitingAppend, out: list[Effect]) -> None:
        ids = EntryId(waiting.first_id + 1), EntryId(waiting.last_id + 1)
        met(self, replace(waiting, first_id=ids[0], last_id=ids[1]), out)

    patch.setattr(Answers, "pending", off_by_one)


def show_what_is_written(patch: pytest.MonkeyPatch) -> None:
    """The master shows what it wrote before it is durable (R7)."""
    patch.setattr(MasterFacts, "good_id", property(lambda self: self.written.last_id))


def send_over_damage(patch: pytest.MonkeyPatch) -> None:
    """Damage hides nothing on the master: it shows and counts what it held (R13)."""
    patch.setattr(MasterFacts, "good_id", property(lambda self: self.durable.last_id))


BUGS = (
    Planted(
        "counting a lost link's old acknowledgement", "R10", count_lost_links, within=300, seed=10
    ),
    Planted("counting what was sent", "R10", count_what_was_sent),
    Planted("counting one too few", "R10", count_one_too_few),
    Planted("counting the master twice", "R10", count_the_master_twice),
    Planted(
        "counting without prefix",
        "R10",
        count_without_prefix,
        test="tests/core/test_master.py::test_a_damaged_secondary_counts_up_to_its_damage_only",
        hidden=(
            "a secondary that knows of damage proves and acknowledges only what is below it "
            "(R13), so that nothing is left for the master to leave out"
        ),
    ),
    Planted(
        "counting without the master",
        "R10",
        count_without_the_master,
        test="tests/core/test_master.py::test_secondaries_alone_are_no_copies_where_the_master_is_damaged",
        hidden=(
            "an append waits for other nodes only when it is durable on the master (R7). What "
            "is left is a master that learns of damage while appends wait, and in histories "
            "only the disks of stopped nodes rot"
        ),
    ),
    Planted("waiting behind others", "P8", wait_behind_others),
    Planted("naming who does not hold it", "P2", name_who_does_not_hold_it),
    Planted(
        "calling the unknown refused",
        "Failing",
        call_the_unknown_refused,
        within=200,
        focus="fail sync",
        seed=1,
    ),
    Planted("answering pending at once", "P2", answer_pending_at_once),
    Planted("telling the next id", "P1", give_ids_from_what_was_written),
    Planted("giving a receipt without waiting", "P2", receipt_without_waiting, seed=4),
    Planted("showing what is written", "R7", show_what_is_written, within=200, seed=17),
    Planted("showing damage", "R13", send_over_damage, within=200, focus="rot", seed=2),
)
