"""Bugs in whose word counts: epochs, adoption, lost disks (R8, R9).

PURE.
"""

from __future__ import annotations

import pytest

from replog.core import adoption, joining, leadership, reign
from replog.core.adoption import Adoption, reach
from replog.core.effects import Effect
from replog.core.entry import Epoch, Head, Tick
from replog.core.facts import MasterFacts
from replog.core.joining import Joining
from replog.core.leadership import Leadership
from replog.core.messages import Damage, Refusal, RefusalKind, Welcome
from replog.core.progress import Peer
from replog.core.reign import Reign
from replog.node.directory import DataDirectory
from tests.simulator.planted.bug import Planted


def reuse_ids_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    """A restarted master goes on in its old epoch, with other batches for the same ids."""
    following = Reign.next_epoch

    def same(self: Reign) -> Epoch:
        return self.epoch or following(self)

    patch.setattr(Reign, "next_epoch", same)


def take_a_refusal_for_an_answer_after_damage(patch: pytest.MonkeyPatch) -> None:
    """A master that found damage at open starts without having heard every secondary."""
    waiting = Leadership._is_waiting_for_proof

    def hasty(self: Leadership) -> bool:
        self.reign.must_hear_all = False
        return waiting(self)

    patch.setattr(Leadership, "_is_waiting_for_proof", hasty)


def forget_the_epoch(patch: pytest.MonkeyPatch) -> None:
    """A new epoch is known to the process and not to the disk."""
    store = DataDirectory.store

    def lazy(self: DataDirectory, **changes: object) -> None:
        changes.pop("epoch", None)
        changes.pop("epoch_owner", None)
        store(self, **changes)  # type: ignore[arg-type]

    patch.setattr(DataDirectory, "store", lazy)


def follow_any_master(patch: pytest.MonkeyPatch) -> None:
    """A secondary takes a lower epoch, and the same one of another node."""
    refusal = Joining._refusal

    def trusting(self: Joining, welcome: Welcome) -> Refusal | None:
        found = refusal(self, welcome)
        return None if found is not None and found.kind is RefusalKind.STALE_EPOCH else found

    patch.setattr(Joining, "_refusal", trusting)


def reign_on_when_refused(patch: pytest.MonkeyPatch) -> None:
    """A master that hears of another reign goes on as if it had not."""
    patch.setattr(Reign, "contest", lambda *given, **more: None)


def open_the_epoch_that_was_heard(patch: pytest.MonkeyPatch) -> None:
    """The new epoch is one above the stored one, whatever the secondaries told."""

    def deaf(self: Reign) -> Epoch:
        return Epoch(self.epoch + 1)

    patch.setattr(Reign, "next_epoch", deaf)


def report_before_the_epoch_is_stored(patch: pytest.MonkeyPatch) -> None:
    """A secondary tells its head while the epoch of that master is still being stored."""
    report = Joining.maybe_report

    def hasty(self: Joining, out: list[Effect]) -> None:
        self._is_epoch_stored = True
        report(self, out)

    patch.setattr(Joining, "maybe_report", hasty)


def ask_nobody_at_the_start(patch: pytest.MonkeyPatch) -> None:
    """A master makes batches as soon as its epoch is stored, and adopts nothing."""
    patch.setattr(leadership, "choose_donor", lambda *given, **more: None)
    patch.setattr(Leadership, "_is_waiting_for_proof", lambda self: False)
    patch.setattr(Leadership, "_is_more_elsewhere", lambda self: False)


def adopt_after_the_first_batch(patch: pytest.MonkeyPatch) -> None:
    """A master takes over what a secondary has beyond it while its first batch is being made."""
    patch.setattr(MasterFacts, "may_adopt", property(lambda self: True))


def adopt_from_the_lowest(patch: pytest.MonkeyPatch) -> None:
    """Of several secondaries that hold more, the one that holds least is asked."""
    choose = adoption.choose_donor

    def modest(
        peers: list[Peer], damage: Damage | None, *, own: Head, now: Tick, has_heard_all: bool
    ) -> Peer | None:
        one_by_one = (
            choose([peer], damage, own=own, now=now, has_heard_all=has_heard_all) for peer in peers
        )
        return min((peer for peer in one_by_one if peer is not None), key=reach, default=None)

    patch.setattr(leadership, "choose_donor", modest)


def repair_the_end_from_who_answers_first(patch: pytest.MonkeyPatch) -> None:
    """A master takes for its damaged end what the first secondary holds in its place."""
    patch.setattr(adoption, "_knows_committed", lambda *given: True)


def adopt_without_looking_at_the_chain(patch: pytest.MonkeyPatch) -> None:
    """A master takes whatever batches a donor sends for those that it asked for."""

    def trusting(self: Adoption, batches: object) -> bool:
        self.has_grown = True
        self.arrived.append(batches)  # type: ignore[arg-type]
        return True

    patch.setattr(Adoption, "take", trusting)


def take_appends_over_damage(patch: pytest.MonkeyPatch) -> None:
    """A master that found damage at open forgets it, and serves."""
    init = Leadership.__init__

    def careless(self: Leadership, *given: object, **more: object) -> None:
        init(self, *given, **more)  # type: ignore[arg-type]
        self.reign.must_hear_all = False
        self._facts.damage = []

    patch.setattr(Leadership, "__init__", careless)


def begin_a_log_over_another(patch: pytest.MonkeyPatch) -> None:
    """A master that lost its disk opens a new log beside the one that others hold."""
    patch.setattr(Reign, "lost_its_log", property(lambda self: ""))


def owner_without_its_run(patch: pytest.MonkeyPatch) -> None:
    """The owner of an epoch is the node, not this run of it: a copy of it reigns as well."""
    for module in (reign, joining):
        patch.setattr(module, "epoch_owner", lambda node_id, run: node_id)


BUGS = (
    Planted("reusing ids after a restart", "Failing †", reuse_ids_after_a_restart),
    Planted("an epoch that is not persisted", "R8", forget_the_epoch, seed=3),
    Planted(
        "an epoch below one that was heard",
        "R8",
        open_the_epoch_that_was_heard,
        test="tests/core/test_reign.py::test_a_new_epoch_is_above_every_epoch_stored_or_heard",
    ),
    Planted(
        "following any master",
        "R8",
        follow_any_master,
        test="tests/core/test_secondary.py::test_a_master_is_refused",
    ),
    Planted(
        "reigning on when refused",
        "R8",
        reign_on_when_refused,
        within=500,
        focus="hand over",
        seed=339,
    ),
    Planted(
        "telling the head before the epoch is stored",
        "R8",
        report_before_the_epoch_is_stored,
        test="tests/core/test_secondary.py::test_the_hello_says_no_head_and_the_report_waits_for_the_epoch",
    ),
    Planted(
        "the owner of an epoch without its run",
        "R8",
        owner_without_its_run,
        test="tests/core/test_reign.py::test_of_two_runs_on_copies_of_one_directory_a_secondary_follows_one",
        hidden=(
            "no history copies a data directory. `tests/node/test_reigns.py` does, with two "
            "masters that run"
        ),
    ),
    Planted(
        "asking nobody at the start",
        "R8",
        ask_nobody_at_the_start,
        within=200,
        focus="lose tail",
        seed=2,
    ),
    Planted(
        "adopting after the first batch",
        "R8",
        adopt_after_the_first_batch,
        test="tests/core/test_adoption.py::test_while_the_first_batch_is_made_a_longer_log_is_cut_and_not_adopted",
        hidden=(
            "it takes a longer log that is proven in the moment in which the very first batch "
            "is on its way to the disk. Where a history does show it (focus `hand over`, seed "
            "212, when this was written), the master writes one batch over another and ends"
        ),
    ),
    Planted(
        "adopting from the lowest",
        "R8",
        adopt_from_the_lowest,
        test="tests/core/test_adoption.py::test_of_several_longer_logs_the_highest_position_is_adopted",
        hidden=(
            "when a log has been adopted, those that go further are proven once more, and asked"
            " in their turn (R8): the same log comes in two steps"
        ),
    ),
    Planted(
        "adopting without looking at the chain",
        "R8",
        adopt_without_looking_at_the_chain,
        within=200,
        focus="repeat a message",
        seed=5,
    ),
    Planted(
        "taking a refused connection for an answer after damage",
        "R8 †",
        take_a_refusal_for_an_answer_after_damage,
        within=200,
        focus="lose tail, one lags",
    ),
    Planted(
        "taking appends over damage",
        "R13",
        take_appends_over_damage,
        within=100,
        focus="lose tail",
        seed=12,
    ),
    Planted(
        "beginning a log over another",
        "R9",
        begin_a_log_over_another,
        test="tests/core/test_reign.py::test_an_emptied_master_takes_no_appends_beside_another_log",
    ),
    Planted(
        "repairing the end from who answers first",
        "R13",
        repair_the_end_from_who_answers_first,
        test="tests/core/test_open_ends.py::test_the_first_who_answers_is_not_believed",
        hidden=(
            "it takes a batch that a master lost and a secondary kept, which was away since, the "
            "end of the master's log lost where the committed one stood, and the other secondary "
            "away: one in some 50,000 histories (seed 52932, when this was written)"
        ),
    ),
)
