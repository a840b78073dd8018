"""Bugs in exactly once: keys and conditions (P6), and in time.

PURE.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from replog.core.appending import Appending
from replog.core.effects import (
    AnswerAppend,
    Effect,
    LoadKeys,
    RefusalReason,
    Refused,
    Stored,
)
from replog.core.entry import NO_ENTRY, EntryId
from replog.core.events import AppendRequested, RequestId
from replog.core.keys import KeyWindow
from replog.core.waiters import QueuedAppend
from replog.storage import times
from replog.storage.batch import EncodedBatch
from replog.storage.keys import StoredKeys
from replog.storage.log import Log
from tests.simulator.planted.bug import Planted


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


def store_what_is_in_flight_twice(patch: pytest.MonkeyPatch) -> None:
    """A key that is on its way to the disk is stored again."""
    patch.setattr(KeyWindow, "holder_of", lambda self, keys: None)


def write_no_keys(patch: pytest.MonkeyPatch) -> None:
    """Keys are known to the process and not written into trailers."""
    append = Log.append

    def lazy(self: Log, messages: Sequence[bytes], **given: object) -> EncodedBatch:
        return append(self, messages, **{**given, "keys": {}})  # type: ignore[arg-type]

    patch.setattr(Log, "append", lazy)


def window_one_too_short(patch: pytest.MonkeyPatch) -> None:
    """The oldest entry of the window is forgotten."""
    first_id = KeyWindow.first_id

    def off_by_one(self: KeyWindow, last_id: EntryId) -> EntryId:
        return EntryId(first_id(self, last_id) + 1)

    patch.setattr(KeyWindow, "first_id", off_by_one)


def check_no_condition(patch: pytest.MonkeyPatch) -> None:
    """An append is stored wherever the log ends, whatever it expects."""
    requested = Appending.requested

    def deaf(self: Appending, event: AppendRequested, out: list[Effect]) -> None:
        requested(self, replace(event, expect=None), out)

    patch.setattr(Appending, "requested", deaf)


def store_what_was_abandoned(patch: pytest.MonkeyPatch) -> None:
    """Keys of a client that hung up before its batch stay taken for ever."""

    def forgetful(self: Appending, request: RequestId, out: list[Effect]) -> None:
        self._appends.abandon(request)

    patch.setattr(Appending, "abandon", forgetful)


def let_time_go_back(patch: pytest.MonkeyPatch) -> None:
    """A batch has the time of a clock that was put back."""
    patch.setattr(times, "parsed", lambda time: 0)


BUGS = (
    Planted("forgetting the keys at a restart", "P6", forget_the_keys_at_a_restart),
    Planted(
        "keeping the window of keys over an adoption",
        "P6",
        keep_the_window_over_an_adoption,
        within=200,
        focus="lose power in a sync",
        seed=1,
    ),
    Planted(
        "answering a retry before it is durable",
        "P6",
        answer_a_retry_before_it_is_durable,
        focus="ask again",
        seed=9,
    ),
    Planted("believing the hash of a key", "P6", believe_the_hash_of_a_key),
    Planted("taking every retry for a mistake", "P6", take_every_retry_for_a_mistake),
    Planted("expecting what is not durable", "P6", expect_what_is_not_durable, seed=6),
    Planted(
        "storing what is in flight twice",
        "P6",
        store_what_is_in_flight_twice,
        focus="ask again",
        seed=5,
    ),
    Planted("writing no keys", "P6", write_no_keys),
    Planted(
        "a window of keys one too short", "P6", window_one_too_short, focus="ask again", seed=5
    ),
    Planted("checking no condition", "P6", check_no_condition),
    Planted(
        "keeping the keys of who hung up",
        "P6",
        store_what_was_abandoned,
        within=200,
        focus="abandon",
        seed=9,
    ),
    Planted("letting time go back", "Trailer", let_time_go_back, focus="jump clock", seed=1),
)
