"""Idempotency keys: which of the last entries have one, and which are on their way (P6).

PURE. The window is derived data and is never trusted: what it says may be stored is confirmed
in the log before it counts, so two keys of one hash cost a read and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from replog.core.entry import NO_ENTRY, EntryId
from replog.core.events import RequestId
from replog.core.waiters import QueuedAppend

KEY_WINDOW_ENTRIES = 100_000
"""Entries behind the last one whose keys are known: about 30 MB where each has one."""


@dataclass(slots=True)
class KeyWindow:
    """The keys of the last `entries` entries, as hashes.

    Attributes:
        entries: how far back a key is known.
        is_loaded: the log's keys were read; until then every append with a key is held.
        is_loading: they are being read.
        number: counts how often the window was forgotten: answers of before are recognised.
    """

    entries: int = KEY_WINDOW_ENTRIES
    is_loaded: bool = False
    is_loading: bool = False
    number: int = 0
    _ids: OrderedDict[int, tuple[EntryId, ...]] = field(default_factory=OrderedDict)
    _in_flight: dict[str, dict[RequestId, QueuedAppend]] = field(default_factory=dict)
    _held_by: dict[RequestId, str] = field(default_factory=dict)

    # --- what is stored -----------------------------------------------------------------

    def first_id(self, last_id: EntryId) -> EntryId:
        """Return where the window begins in a log that ends at `last_id`."""
        return EntryId(max(1, last_id - self.entries + 1))

    def load(self, keys: Iterable[tuple[EntryId, str]]) -> None:
        """Take the keys that the log holds, in order of their ids."""
        self._ids.clear()
        self.is_loading = False
        self.is_loaded = True
        for entry_id, key in keys:
            self._add(entry_id, key, first_id=NO_ENTRY)

    def forget(self) -> None:
        """The log got entries that were not appended here: its keys are read anew (R8)."""
        self._ids.clear()
        self.is_loaded = self.is_loading = False
        self.number += 1

    def stored(self, keys: Iterable[tuple[EntryId, str]], *, last_id: EntryId) -> None:
        """Add the keys of a batch that is durable; what left the window is dropped (P10)."""
        first_id = self.first_id(last_id)
        for entry_id, key in keys:
            self._add(entry_id, key, first_id=first_id)
        # The oldest is at hand in an `OrderedDict` only: a plain one walks the place of each
        # that was taken out before it.
        while self._ids:
            oldest = next(iter(self._ids))
            if self._ids[oldest][-1] >= first_id:
                return
            del self._ids[oldest]

    def _add(self, entry_id: EntryId, key: str, *, first_id: EntryId) -> None:
        # Taken out and put in again: the order is that of the last id of each hash.
        number = hash(key)
        before = self._ids.pop(number, None)
        if before is None:
            self._ids[number] = (entry_id,)
        else:
            self._ids[number] = (*(known for known in before if known >= first_id), entry_id)

    def candidates(
        self, keys: tuple[str | None, ...], *, last_id: EntryId
    ) -> tuple[tuple[EntryId, ...], ...] | None:
        """Return for each of `keys` the ids in the window whose key it may be, ascending.

        None where there is none for any of them.
        """
        found = [() if key is None else self._ids.get(hash(key), ()) for key in keys]
        if not any(found):
            return None
        first_id = self.first_id(last_id)
        within = tuple(tuple(known for known in ids if known >= first_id) for ids in found)
        return within if any(within) else None

    # --- what is on its way -------------------------------------------------------------

    @property
    def has_held(self) -> bool:
        """Whether anybody waits for the append that has its key."""
        return bool(self._held_by)

    def begin_new(self, keys: tuple[str | None, ...]) -> bool:
        """Begin the only one of `keys`, which nobody has and which is not stored.

        So it is with nearly every append. Where this returns False, nothing was begun, and
        `holder_of` and `candidates` tell more.
        """
        key = keys[0] if len(keys) == 1 else None
        if key is None or key in self._in_flight or hash(key) in self._ids:
            return False
        self._in_flight[key] = {}
        return True

    def holder_of(self, keys: Iterable[str | None]) -> str | None:
        """Return one of `keys` that an unanswered append has already, None if none has."""
        for key in keys:
            if key is not None and key in self._in_flight:
                return key
        return None

    def begin(self, keys: Iterable[str | None]) -> None:
        """An append with these keys is on its way to the disk, or being looked for there."""
        for key in keys:
            if key is not None:
                self._in_flight.setdefault(key, {})

    def hold(self, key: str, queued: QueuedAppend) -> None:
        """Let an append wait for the one that has its key: it gets the same outcome."""
        self._in_flight[key][queued.request] = queued
        self._held_by[queued.request] = key

    def end(self, keys: Iterable[str | None]) -> list[QueuedAppend]:
        """The fate of these keys is known: return who waited for it, in order of arrival.

        All of them are taken out before any is looked at again: the first one may begin the
        same key anew.
        """
        held: list[QueuedAppend] = []
        for key in keys:
            if key is not None and (waiting := self._in_flight.pop(key, None)):
                held += waiting.values()
        for queued in held:
            del self._held_by[queued.request]
        return held

    def abandon(self, request: RequestId) -> None:
        """A client that waited for a key hung up."""
        key = self._held_by.pop(request, None)
        if key is not None:
            del self._in_flight[key][request]


def keys_of(first_id: EntryId, keys: tuple[str | None, ...]) -> tuple[tuple[EntryId, str], ...]:
    """Return the keys of a run of entries from `first_id` on, with the ids that have one."""
    if len(keys) == 1 and keys[0] is not None:  # nearly every append with a key
        return ((first_id, keys[0]),)
    ids = range(first_id, first_id + len(keys))
    pairs = zip(map(EntryId, ids), keys, strict=True)
    return tuple([(entry_id, key) for entry_id, key in pairs if key is not None])


def first_found(found: tuple[EntryId, ...]) -> EntryId:
    """Return the lowest id under which one of an append's keys is stored; 0 where none is."""
    return min((entry_id for entry_id in found if entry_id), default=NO_ENTRY)
