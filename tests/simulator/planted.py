"""Bugs put into the core, the log and the shell on purpose: can the simulator see them?

PURE. Each is a patch of one or two functions, as somebody might get them wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from replog.core.appending import Appending
from replog.core.effects import (
    AnswerAppend,
    Effect,
    LoadKeys,
    RefusalReason,
    Refused,
    Send,
    Stored,
)
from replog.core.entry import NO_ENTRY, EntryId, Epoch, Tick
from replog.core.events import (
    AcksAwaited,
    AppendRequested,
    Event,
    LookedUp,
    Persisted,
    ReadRequested,
    Written,
)
from replog.core.leadership import Leadership
from replog.core.messages import Acknowledgement, CommitNews
from replog.core.progress import Peer
from replog.core.reading import SecondaryReading
from replog.core.reign import Reign
from replog.core.replicas import Replicas
from replog.core.secondary import Secondary
from replog.core.waiters import QueuedAppend
from replog.node.inbound import BatchVerifier
from replog.storage import recovery
from replog.storage.keys import StoredKeys
from tests.simulator.disk import SimFilesystem
from tests.simulator.images import Inode

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Planted:
    """One bug, and within how many seeds it must show.

    `focus` names an action of the world that is taken more often: where a bug needs one
    rare chain of faults, the other seeds would only cost time.
    """

    name: str
    plant: Patch
    within: int
    focus: str | None = None


def acknowledge_before_fsync(patch: pytest.MonkeyPatch) -> None:
    """A secondary takes a returned write for a durable one."""
    step = Secondary.step

    def hasty(self: Secondary, event: Event) -> list[Effect]:
        match event:
            case Written():
                return step(self, Persisted(event.head))
            case Persisted():
                return []
            case _:
                return step(self, event)

    patch.setattr(Secondary, "step", hasty)


def acknowledge_what_comes_twice(patch: pytest.MonkeyPatch) -> None:
    """A secondary acknowledges a batch that it was sent before, durable or not."""
    looked_up = Secondary._looked_up

    def hasty(self: Secondary, event: LookedUp, out: list[Effect]) -> None:
        if event.link == self.facts.link and event.present[0]:
            out.append(Send(event.link, Acknowledgement(event.heads[0])))
        else:
            looked_up(self, event, out)

    patch.setattr(Secondary, "_looked_up", hasty)


def never_sync_segments(patch: pytest.MonkeyPatch) -> None:
    """The log calls no fdatasync on what it writes."""
    sync = SimFilesystem.sync

    def lazy(self: SimFilesystem, inode: Inode, path: str) -> None:
        if "/segments/" not in path:
            sync(self, inode, path)

    patch.setattr(SimFilesystem, "sync", lazy)


def never_sync_directories(patch: pytest.MonkeyPatch) -> None:
    """A new file's name is not made durable before the entries in it are answered."""
    patch.setattr(SimFilesystem, "sync_directory", lambda self, path: None)


def trust_the_page_cache_at_open(patch: pytest.MonkeyPatch) -> None:
    """What reads back well at open is taken for durable (rule 3 left out)."""
    patch.setattr(recovery, "_write_again", lambda *given: None)


def skip_the_chain_check(patch: pytest.MonkeyPatch) -> None:
    """A secondary stores what comes over a link without checking hashes and chain."""
    patch.setattr(BatchVerifier, "verify_now", lambda *given, **more: None)


def count_lost_links(patch: pytest.MonkeyPatch) -> None:
    """The acknowledgement of a link that is gone goes on counting."""
    forget = Peer.link_closed

    def remember(self: Peer) -> None:
        acknowledged = self.acknowledged
        forget(self)
        self.acknowledged = acknowledged

    patch.setattr(Peer, "link_closed", remember)


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


def forget_the_keys_at_a_restart(patch: pytest.MonkeyPatch) -> None:
    """The window of keys is empty after a start."""
    patch.setattr(StoredKeys, "between", lambda *given: ())


def keep_the_window_over_an_adoption(patch: pytest.MonkeyPatch) -> None:
    """The window is read as soon as somebody needs it, and not again after an adoption."""

    def early(self: Appending, out: list[Effect]) -> None:
        window, last_id = self._window, self._facts.durable.last_id
        if self._unloaded and not window.is_loading:
            window.is_loading = True
            out.append(LoadKeys(window.first_id(last_id), last_id, window.number))

    patch.setattr(Appending, "_maybe_load", early)
    patch.setattr(Appending, "adopted", lambda *given: None)


def answer_a_retry_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    """Who sends a key again while its batch is on its way to the disk is told its ids."""
    take_in = Appending._take_in

    def hasty(self: Appending, queued: QueuedAppend, out: list[Effect]) -> None:
        for first, waiting in self._appends.running_keyed:
            if (first.keys, first.messages) == (queued.keys, queued.messages):
                ids = waiting.first_id, waiting.last_id
                stored = Stored(*ids, queued.copies, self._admission.nodes, is_replayed=True)
                out.append(AnswerAppend(queued.request, stored))
                return
        take_in(self, queued, out)

    patch.setattr(Appending, "_take_in", hasty)


def believe_the_hash_of_a_key(patch: pytest.MonkeyPatch) -> None:
    """Whose key is in the window is replayed: the log is not looked at."""

    def confirm(
        self: StoredKeys,
        *,
        keys: Sequence[str | None],
        messages: Sequence[bytes],
        candidates: Sequence[Sequence[EntryId]],
    ) -> tuple[tuple[EntryId, ...], bool]:
        return tuple(ids[-1] if ids else NO_ENTRY for ids in candidates), True

    patch.setattr(StoredKeys, "confirm", confirm)


def take_every_retry_for_a_mistake(patch: pytest.MonkeyPatch) -> None:
    """Whose key is stored is told that it stands for something else."""
    confirm = StoredKeys.confirm

    def strict(
        self: StoredKeys,
        *,
        keys: Sequence[str | None],
        messages: Sequence[bytes],
        candidates: Sequence[Sequence[EntryId]],
    ) -> tuple[tuple[EntryId, ...], bool]:
        found, _ = confirm(self, keys=keys, messages=messages, candidates=candidates)
        return found, False

    patch.setattr(StoredKeys, "confirm", strict)


def receipt_without_waiting(patch: pytest.MonkeyPatch) -> None:
    """Who asks for copies is told of those that there are, not when there are enough."""
    awaited = Appending.acks_awaited

    def hasty(self: Appending, event: AcksAwaited, out: list[Effect]) -> None:
        concern = event.concern if self.copies_of(event.concern) is None else 1
        awaited(self, replace(event, concern=concern), out)

    patch.setattr(Appending, "acks_awaited", hasty)


def ignore_min_id(patch: pytest.MonkeyPatch) -> None:
    """A secondary shows what it has, whatever the client has seen elsewhere."""
    requested = SecondaryReading.requested

    def hasty(self: SecondaryReading, event: ReadRequested, out: list[Effect]) -> None:
        requested(self, replace(event, min_id=NO_ENTRY), out)

    patch.setattr(SecondaryReading, "requested", hasty)


def expect_what_is_not_durable(patch: pytest.MonkeyPatch) -> None:
    """A condition is held against the end of the batch that is being written."""
    requested = Appending.requested

    def hasty(self: Appending, event: AppendRequested, out: list[Effect]) -> None:
        running = self._appends.running
        if event.expect is None or not running or event.expect == running[-1].last_id:
            requested(self, event, out)
            return
        reason = RefusalReason.PRECONDITION_FAILED
        out.append(
            AnswerAppend(event.request, Refused(reason, "moved on", last_id=running[-1].last_id))
        )

    patch.setattr(Appending, "requested", hasty)


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


PLANTED = (
    Planted("acknowledging before fsync", acknowledge_before_fsync, 20),
    Planted(
        "acknowledging what comes twice",
        acknowledge_what_comes_twice,
        200,
        focus="repeat a message",
    ),
    Planted("no fsync of segments", never_sync_segments, 20),
    Planted("no fsync of directories", never_sync_directories, 20),
    Planted("trusting the page cache at open", trust_the_page_cache_at_open, 200),
    Planted("skipping the chain check", skip_the_chain_check, 200),
    Planted("counting a lost link's old acknowledgement", count_lost_links, 300),
    Planted("reusing ids after a restart", reuse_ids_after_a_restart, 100),
    Planted(
        "taking a refused connection for an answer after damage",
        take_a_refusal_for_an_answer_after_damage,
        200,
        focus="lose tail, one lags",
    ),
    Planted(
        "applying commit news beyond what is proven common", apply_news_beyond_what_is_proven, 300
    ),
    Planted("forgetting the keys at a restart", forget_the_keys_at_a_restart, 100),
    Planted(
        "keeping the window of keys over an adoption",
        keep_the_window_over_an_adoption,
        200,
        focus="lose power in a sync",
    ),
    Planted(
        "answering a retry before it is durable",
        answer_a_retry_before_it_is_durable,
        100,
        focus="ask again",
    ),
    Planted("believing the hash of a key", believe_the_hash_of_a_key, 50),
    Planted("taking every retry for a mistake", take_every_retry_for_a_mistake, 50),
    Planted("giving a receipt without waiting", receipt_without_waiting, 100),
    Planted("ignoring min_id", ignore_min_id, 50),
    Planted("expecting what is not durable", expect_what_is_not_durable, 100),
    Planted("reading without asking the master", read_without_asking_the_master, 50),
    Planted("counting lag from when the word came", count_lag_from_when_the_word_came, 200),
    Planted("ignoring max_lag", ignore_max_lag, 100, focus="read"),
)
