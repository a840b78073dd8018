"""Bugs in what is shown, and when (R7, R13, P4).

PURE.
"""

from __future__ import annotations

from binascii import unhexlify

import pytest
from msgspec.structs import replace

from replog.core.effects import Effect, Send
from replog.core.entry import NO_ENTRY, EntryId, Head, Tick
from replog.core.events import ReadRequested
from replog.core.facts import SecondaryFacts
from replog.core.joining import Joining
from replog.core.messages import NO_TICK, CommitNews, Heartbeat
from replog.core.progress import Peer
from replog.core.reading import SecondaryReading
from replog.core.replicas import Replicas
from replog.core.secondary import Secondary
from replog.node import cores
from replog.node.effects import Performer
from replog.storage import run
from replog.storage.log import Log
from tests.simulator.planted.bug import Planted


def apply_news_beyond_what_is_proven(patch: pytest.MonkeyPatch) -> None:
    """A master tells commit news to whoever greets it; secondaries show all that they hold.

    The first half alone is allowed: the rule is the secondary's.
    """
    welcome, advance = Replicas.welcome, Secondary._advance

    def talkative(self: Replicas, peer: Peer, out: list[Effect]) -> None:
        welcome(self, peer, out)
        assert peer.link is not None
        out.append(Send(peer.link, CommitNews(self.epoch, self._facts.committed_id)))

    def gullible(self: Secondary, out: list[Effect]) -> None:
        self.facts.proven = self.facts.durable.last_id
        advance(self, out)

    patch.setattr(Replicas, "welcome", talkative)
    patch.setattr(Secondary, "_advance", gullible)


def show_what_was_not_noted(patch: pytest.MonkeyPatch) -> None:
    """What the disk refused to note as committed is shown all the same, until the node ends."""
    always = property(lambda self: True, lambda self, value: None)
    patch.setattr(Performer, "_may_show", always, raising=False)


def leave_what_was_cut_shown(patch: pytest.MonkeyPatch) -> None:
    """What was shown and is cut from a damaged end counts as shown before it is here again."""
    cut_done = Joining.cut_done

    def forgetful(self: Joining, head: Head, out: list[Effect]) -> None:
        shown = self._facts.shown
        cut_done(self, head, out)
        self._facts.shown = shown

    patch.setattr(Joining, "cut_done", forgetful)


def show_a_part_of_a_batch(patch: pytest.MonkeyPatch) -> None:
    """A secondary starts by showing up to its commit note, wherever that is in a batch."""

    def careless(log: Log) -> EntryId:
        return EntryId(min(log.known_committed, log.durable.last_id))

    patch.setattr(cores, "shown_at_start", careless)


def ignore_min_id(patch: pytest.MonkeyPatch) -> None:
    """A secondary shows what it has, whatever the client has seen elsewhere."""
    requested = SecondaryReading.requested

    def hasty(self: SecondaryReading, event: ReadRequested, out: list[Effect]) -> None:
        requested(self, replace(event, min_id=NO_ENTRY), out)

    patch.setattr(SecondaryReading, "requested", hasty)


def read_without_asking_the_master(patch: pytest.MonkeyPatch) -> None:
    """A linearizable read on a secondary shows what that knows to be committed."""
    requested = SecondaryReading.requested

    def lazy(self: SecondaryReading, event: ReadRequested, out: list[Effect]) -> None:
        requested(self, replace(event, is_linearizable=False), out)

    patch.setattr(SecondaryReading, "requested", lazy)


def ignore_max_lag(patch: pytest.MonkeyPatch) -> None:
    """A secondary shows what it has, however long ago it was level."""
    requested = SecondaryReading.requested

    def lazy(self: SecondaryReading, event: ReadRequested, out: list[Effect]) -> None:
        requested(self, replace(event, max_lag=None), out)

    patch.setattr(SecondaryReading, "requested", lazy)


def count_lag_from_when_the_word_came(patch: pytest.MonkeyPatch) -> None:
    """What the master says is taken for true when it arrives, not when it was said."""
    heard = SecondaryReading.heard

    def late(self: SecondaryReading, committed_id: EntryId, *, at: Tick) -> None:
        heard(self, committed_id, at=self._facts.now)

    patch.setattr(SecondaryReading, "heard", late)


def show_what_is_not_committed(patch: pytest.MonkeyPatch) -> None:
    """A secondary shows all that it holds durably on its link (R7)."""
    advance = Secondary._advance

    def hasty(self: Secondary, out: list[Effect]) -> None:
        self.facts.news = self.facts.durable.last_id
        advance(self, out)

    patch.setattr(Secondary, "_advance", hasty)


def show_before_fsync(patch: pytest.MonkeyPatch) -> None:
    """A secondary shows what is committed before it holds it durably itself."""

    def visible(self: SecondaryFacts) -> EntryId:
        return max(self.shown, self.news)

    patch.setattr(SecondaryFacts, "visible", property(visible))


def read_without_waiting(patch: pytest.MonkeyPatch) -> None:
    """A plain read on a secondary does not wait for the news of what was acknowledged."""
    requested = SecondaryReading.requested

    def hasty(self: SecondaryReading, event: ReadRequested, out: list[Effect]) -> None:
        if event.min_id or event.is_linearizable or event.max_lag is not None:
            requested(self, event, out)
        else:
            self._answer(event.request, out)

    patch.setattr(SecondaryReading, "requested", hasty)


def forget_to_tell_what_is_committed(patch: pytest.MonkeyPatch) -> None:
    """Commit news travels with batches only: after the last one nobody hears of it."""
    patch.setattr(Replicas, "_tell", lambda *given: None)

    def silent(self: Replicas, peer: Peer, *, is_supreme: bool) -> Heartbeat:
        return Heartbeat(self.epoch, committed_id=NO_ENTRY, at=NO_TICK)

    patch.setattr(Replicas, "_heartbeat", silent)


def show_damage(patch: pytest.MonkeyPatch) -> None:
    """A secondary that found damage goes on showing and counting what is behind it (R13)."""
    patch.setattr(SecondaryFacts, "below_damage", lambda self, entry_id: entry_id)


def believe_the_written_hash(patch: pytest.MonkeyPatch) -> None:
    """The hash of a batch is taken from its trailer: rot and bits turned on the way pass."""

    def trusting(prev: bytes, payload: bytes, start: int, stop: int) -> bytes:
        try:
            return unhexlify(payload[stop : stop + 64])
        except ValueError:
            return bytes(32)

    patch.setattr(run, "hash_after", trusting)


BUGS = (
    Planted(
        "applying commit news beyond what is proven common",
        "R7 †",
        apply_news_beyond_what_is_proven,
        within=300,
        seed=42,
    ),
    Planted("showing what is not committed", "R7", show_what_is_not_committed, within=200),
    Planted("showing before fsync", "R7", show_before_fsync, within=200),
    Planted(
        "reading without waiting for news",
        "R7",
        read_without_waiting,
        test="tests/core/test_secondary.py::test_a_read_waits_for_all_that_was_durable_when_it_came",
    ),
    Planted("telling no commit news", "R7", forget_to_tell_what_is_committed),
    Planted(
        "showing what is behind damage",
        "R13",
        show_damage,
        test="tests/core/test_secondary.py::test_a_read_does_not_wait_for_what_turns_out_damaged",
    ),
    Planted(
        "believing the written hash",
        "Serving",
        believe_the_written_hash,
        within=200,
        focus="rot",
        seed=3,
    ),
    Planted(
        "showing what was not noted",
        "R7",
        show_what_was_not_noted,
        test="tests/node/test_faults.py::test_what_cannot_be_noted_as_committed_is_not_shown",
    ),
    Planted(
        "leaving what was cut shown",
        "R13",
        leave_what_was_cut_shown,
        test="tests/core/test_secondary_repair.py::test_what_was_shown_and_lost_from_the_end_is_shown_when_it_is_here_again",
    ),
    Planted(
        "showing a part of a batch at the start",
        "R7",
        show_a_part_of_a_batch,
        test="tests/node/test_cores.py::test_a_secondary_shows_whole_batches_only",
    ),
    Planted("ignoring min_id", "P4", ignore_min_id, seed=4),
    Planted("reading without asking the master", "P4", read_without_asking_the_master, seed=3),
    Planted("ignoring max_lag", "P4", ignore_max_lag, focus="read", seed=26),
    Planted(
        "counting lag from when the word came",
        "P4",
        count_lag_from_when_the_word_came,
        within=200,
        seed=7,
    ),
)
