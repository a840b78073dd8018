"""Bugs of links: hello, proof, stream, health, delay (R1-R6, R11, R12).

PURE.
"""

from __future__ import annotations

from collections import deque

import pytest

from replog.core.effects import Effect, Send
from replog.core.entry import EntryId, Head, Tick
from replog.core.events import LinkId, LookedUp
from replog.core.intake import Intake
from replog.core.joining import Joining
from replog.core.messages import Acknowledgement, Batches, Hello, Report
from replog.core.progress import Peer
from replog.core.rejoin import CommonSearch
from replog.core.replicas import Replicas
from replog.core.secondary import Secondary
from replog.node.inbound import BatchVerifier
from tests.simulator.planted.bug import Planted


def acknowledge_what_comes_twice(patch: pytest.MonkeyPatch) -> None:
    """A secondary acknowledges a batch that it was sent before, durable or not."""
    looked_up = Secondary._looked_up

    def hasty(self: Secondary, event: LookedUp, out: list[Effect]) -> None:
        if event.link == self.facts.link and event.present[0]:
            out.append(Send(event.link, Acknowledgement(event.heads[0])))
        else:
            looked_up(self, event, out)

    patch.setattr(Secondary, "_looked_up", hasty)


def skip_the_chain_check(patch: pytest.MonkeyPatch) -> None:
    """A secondary stores what comes over a link without checking hashes and chain."""
    patch.setattr(BatchVerifier, "verify_now", lambda *given, **more: None)


def believe_an_old_report(patch: pytest.MonkeyPatch) -> None:
    """A report that comes again behind a later one of its link is taken for news."""
    reported = Replicas.reported

    def gullible(self: Replicas, peer: Peer, report: Report, out: list[Effect]) -> None:
        peer.report = None
        reported(self, peer, report, out)

    patch.setattr(Replicas, "reported", gullible)


def report_while_a_write_runs(patch: pytest.MonkeyPatch) -> None:
    """A secondary tells its head before a running write is finished (R2)."""
    report = Joining.maybe_report

    def hasty(self: Joining, out: list[Effect]) -> None:
        storing, self._facts.intake.storing = self._facts.intake.storing, ()
        report(self, out)
        self._facts.intake.storing = storing

    patch.setattr(Joining, "maybe_report", hasty)


def keep_the_queue_of_an_earlier_link(patch: pytest.MonkeyPatch) -> None:
    """What an earlier link brought and is not stored yet stays in the queue (R2)."""

    def forgetful(self: Intake, head: Head) -> None:
        self.retry_at = None
        self.expected = head

    patch.setattr(Intake, "restart", forgetful)


def keep_an_earlier_link(patch: pytest.MonkeyPatch) -> None:
    """A newer link does not end the earlier one: the words of both count (R2)."""
    patch.setattr(Joining, "is_open", lambda self, link: True)


def rejoin_one_batch_too_far(patch: pytest.MonkeyPatch) -> None:
    """The search takes the first batch that differs for the last one that is common (R3)."""
    learn = CommonSearch.learn

    def off_by_one(
        self: CommonSearch, *, below: Head, has_below: bool, above: Head | None, has_above: bool
    ) -> bool:
        is_found = learn(self, below=below, has_below=has_below, above=above, has_above=has_above)
        if is_found and above is not None:
            self.shared = above
        return is_found

    patch.setattr(CommonSearch, "learn", off_by_one)


def rejoin_one_entry_late(patch: pytest.MonkeyPatch) -> None:
    """The stream goes on behind the id that follows the secondary's last one (R3)."""
    start = Peer.start_stream

    def off_by_one(self: Peer, after: Head, *, committed: EntryId, now: Tick) -> None:
        start(self, after, committed=committed, now=now)
        self.sent = Head(after.epoch, EntryId(after.last_id + 1), after.hash)

    patch.setattr(Peer, "start_stream", off_by_one)


def believe_the_length(patch: pytest.MonkeyPatch) -> None:
    """A secondary as long as the master is taken for equal: its head's hash is not asked."""
    reported = Replicas.reported

    def trusting(self: Replicas, peer: Peer, report: Report, out: list[Effect]) -> None:
        durable = self._facts.durable
        if report.head.last_id == durable.last_id and report.head != durable:
            peer.restart_proof()
            peer.report = report
            self._start_stream(peer, report.head, out)
        else:
            reported(self, peer, report, out)

    patch.setattr(Replicas, "reported", trusting)


def cut_what_was_committed(patch: pytest.MonkeyPatch) -> None:
    """Whoever holds something else cuts it off, committed or not (R3)."""
    cut, part = Joining.cut, Replicas._part

    def obedient(self: Joining, link: LinkId, to: Head, out: list[Effect]) -> None:
        self._facts.known_committed = EntryId(0)
        cut(self, link, to, out)

    def commanding(
        self: Replicas, peer: Peer, shared: Head, report: Report, out: list[Effect]
    ) -> None:
        part(self, peer, shared, Report(report.head, EntryId(0), report.damage), out)

    patch.setattr(Joining, "cut", obedient)
    patch.setattr(Replicas, "_part", commanding)


def store_what_does_not_follow(patch: pytest.MonkeyPatch) -> None:
    """A batch that does not follow on what came before is taken in all the same (R5)."""
    batches_came = Secondary._batches

    def careless(self: Secondary, link: LinkId, batches: Batches, out: list[Effect]) -> None:
        self.facts.intake.expected = batches.after
        batches_came(self, link, batches, out)

    patch.setattr(Secondary, "_batches", careless)


def acknowledge_any_hash(patch: pytest.MonkeyPatch) -> None:
    """The master counts an acknowledged id without looking at its hash (R6)."""

    def trusting(self: Peer, head: Head, *, now: Tick) -> None:
        while self.unacknowledged and self.unacknowledged[0][0].last_id <= head.last_id:
            self.in_flight -= self.unacknowledged.popleft()[1]
        self.acknowledged = self.last_known = head

    patch.setattr(Peer, "acknowledge", trusting)


def link_a_node_twice(patch: pytest.MonkeyPatch) -> None:
    """Two links to one node are taken for two nodes (R2)."""
    greeted = Replicas.greeted

    def trusting(self: Replicas, peer: Peer, hello: Hello, out: list[Effect]) -> bool:
        names = [other.node_id for other in self.peers]
        for other in self.peers:
            other.node_id = None
        try:
            return greeted(self, peer, hello, out)
        finally:
            for other, name in zip(self.peers, names, strict=True):
                other.node_id = other.node_id or name

    patch.setattr(Replicas, "greeted", trusting)


def never_call_a_link_dead(patch: pytest.MonkeyPatch) -> None:
    """Silence is no sign: a link is down only when TCP says so (R11)."""
    patch.setattr(Peer, "is_silent", lambda self, now: False)


def wait_for_a_first_word(patch: pytest.MonkeyPatch) -> None:
    """Who took the connection is waited for until it speaks: its host may be gone (R11)."""
    is_silent = Peer.is_silent

    def patient(self: Peer, now: Tick) -> bool:
        return self.hello is not None and is_silent(self, now)

    patch.setattr(Peer, "is_silent", patient)


def overtake_what_is_held(patch: pytest.MonkeyPatch) -> None:
    """Without a delay a batch is stored at once, though earlier ones are still held (R12)."""

    def impatient(self: Intake, batches: Batches, *, now: Tick, delay: Tick) -> None:
        self.expected = batches.head
        if delay:
            self.held.append((Tick(now + delay + 1), batches))
        else:
            self.ready.append(batches)

    patch.setattr(Intake, "take", impatient)
    patch.setattr(Intake, "shorten", lambda self, **given: None)


def drop_what_a_full_disk_refused(patch: pytest.MonkeyPatch) -> None:
    """What a full disk refused is forgotten, and what follows on it waits (R5)."""

    def forgetful(self: Intake, now: Tick, *, is_same_stream: bool) -> None:
        self.storing = ()
        self.ready = deque(self.ready)

    patch.setattr(Intake, "refused", forgetful)


BUGS = (
    Planted(
        "acknowledging what comes twice",
        "R5",
        acknowledge_what_comes_twice,
        within=200,
        focus="repeat a message",
        seed=11,
    ),
    Planted(
        "skipping the chain check",
        "R5",
        skip_the_chain_check,
        within=200,
        focus="corrupt a batch",
        seed=1,
    ),
    Planted(
        "telling the head while a write runs",
        "R2 †",
        report_while_a_write_runs,
        test="tests/core/test_secondary.py::test_a_newer_link_closes_the_earlier_and_waits_for_its_running_write",
    ),
    Planted(
        "keeping the queue of an earlier link",
        "R2 †",
        keep_the_queue_of_an_earlier_link,
        test="tests/core/test_secondary.py::test_what_a_delay_holds_back_is_dropped_with_its_link",
    ),
    Planted(
        "hearing closed links",
        "R2 †",
        keep_an_earlier_link,
        test="tests/core/test_secondary.py::test_late_words_of_a_dead_link_change_nothing",
    ),
    Planted(
        "linking a node twice",
        "R2 †",
        link_a_node_twice,
        test="tests/core/test_links.py::test_a_node_is_linked_once",
    ),
    Planted(
        "rejoining one batch too far",
        "R3",
        rejoin_one_batch_too_far,
        within=200,
        focus="lose power in a sync",
        seed=1,
    ),
    Planted(
        "believing an old report",
        "R2",
        believe_an_old_report,
        test="tests/core/test_damage_and_lost_disks.py::test_a_report_that_comes_again_behind_a_later_one_says_nothing",
    ),
    Planted("rejoining one entry late", "R3", rejoin_one_entry_late),
    Planted(
        "believing the length of a log",
        "R3",
        believe_the_length,
        within=200,
        focus="lose power in a sync",
        seed=53,
    ),
    Planted(
        "cutting what was committed",
        "R3",
        cut_what_was_committed,
        test="tests/core/test_links.py::test_a_committed_entry_that_differs_stops_the_link_and_nothing_is_cut",
    ),
    Planted(
        "storing what does not follow",
        "R5",
        store_what_does_not_follow,
        test="tests/core/test_secondary.py::test_what_neither_follows_nor_is_held_closes_the_link",
        hidden=(
            "the log compares what it is to store with its own end once more, and refuses it whole"
        ),
    ),
    Planted(
        "counting any hash",
        "R6",
        acknowledge_any_hash,
        test="tests/core/test_master.py::test_the_head_of_an_acknowledgement_is_compared_before_it_counts",
    ),
    Planted(
        "never calling a link dead",
        "R11",
        never_call_a_link_dead,
        test="tests/core/test_links.py::test_a_paused_secondary_is_declared_down_by_ticks",
    ),
    Planted(
        "waiting for a first word",
        "R11",
        wait_for_a_first_word,
        test="tests/core/test_links.py::test_a_link_on_which_nobody_speaks_ends_though_its_secondary_was_unhealthy_before",
    ),
    Planted(
        "overtaking what is held back",
        "R12",
        overtake_what_is_held,
        test="tests/core/test_secondary.py::test_a_delay_that_is_taken_back_lets_go_of_what_it_held",
    ),
    Planted(
        "forgetting what a full disk refused",
        "R5",
        drop_what_a_full_disk_refused,
        test="tests/core/test_secondary.py::test_a_full_disk_is_tried_again_in_order_and_said_once",
    ),
)
