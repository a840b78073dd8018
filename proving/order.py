"""The order in which a trace must have done things, so that a loss of power takes nothing back.

PURE. `kill -9` leaves the page cache, so no killed process shows that a sync was forgotten or
came too late: the trace does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from posixpath import basename, dirname

from proving.calls import Call

_BATCH = re.compile(r'\{"batch":\{"first":(\d+),"last":(\d+)')
_EPOCH = re.compile(r'"epoch": (\d+)')
_SEGMENT = re.compile(r".*/segments/(\d{20})\.ndjson\Z")  # no *.ndjson.repair: it is none yet
_COMMIT_NOTES_FROM = 8192
"""Where they begin in `marks`: they are written unsynced, by design (docs/storage-format.md)."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a call lets out of the process: from now on it must survive everything.

    Attributes:
        last_id: the entries up to here are durable.
        epoch: this epoch is stored.
        is_all: so is everything that was done before.
    """

    last_id: int = 0
    epoch: int = 0
    is_all: bool = False


@dataclass(frozen=True, slots=True)
class _Change:
    """What was done to a file's content, and the ids of the batches in it (0: not known)."""

    call: Call
    first_id: int = 0
    last_id: int = 0


@dataclass(slots=True)
class _Disk:
    """What the calls so far have left in the page cache alone.

    Attributes:
        changes: what no sync has covered, by file.
        names: what no sync of their directory has covered: names made, replaced or removed.
        syncs: what each running sync will have covered when it returns.
        failed: descriptors on which a sync failed.
        last_id: the highest id that was written.
        epochs: the epoch in a `node.json` that was written, by the name it has at the moment.
    """

    last_id: int
    epoch: int
    changes: dict[str, list[_Change]] = field(default_factory=dict)
    names: dict[str, Call] = field(default_factory=dict)
    syncs: dict[int, tuple[list[_Change], dict[str, Call]]] = field(default_factory=dict)
    failed: dict[int, Call] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)

    # --- what must hold when a call begins ----------------------------------------------------

    def objections(self, call: Call, told: Told | None) -> Iterator[str]:
        """Yield what should have been done before this call."""
        if told is not None:
            yield from self._to_telling(call, told)
        if call.name in _SYNCS and call.descriptor in self.failed:
            first = self.failed[call.descriptor]
            yield f"a second sync after one that failed ({first}): {call}"
        if call.name == "openat" and "O_CREAT" in call.arguments and _SEGMENT.match(call.path):
            for path in self.changes:
                if _SEGMENT.match(path) and self.changes[path]:
                    yield f"a new segment before {self.changes[path][-1].call} was synced: {call}"
            yield from self._names_like(_SEGMENT, f"and only then a new segment: {call}")
        if call.name == "rename" and self.changes.get(call.path):
            yield f"a name before {self.changes[call.path][-1].call} was synced: {call}"
        ends = call.target if call.name == "rename" else call.path
        if call.name in {"unlink", "ftruncate", "rename"} and _SEGMENT.match(ends):
            for path, changes in self.changes.items():
                if "/quarantine/" in path and changes:
                    yield f"cut before {changes[-1].call} was synced: {call}"
            yield from self._names_like(_IN_QUARANTINE, f"and only then the cut: {call}")

    def _to_telling(self, call: Call, told: Told) -> Iterator[str]:
        for path, changes in self.changes.items():
            is_segment = _SEGMENT.match(path)
            for change in changes:
                if told.is_all or (is_segment and change.first_id <= told.last_id):
                    yield f"told before {change.call} was synced: {call}"
        for path, made in self.names.items():
            if told.is_all or (told.last_id and self._is_above_told(path, told.last_id)):
                yield f"told before the directory of {made} was synced: {call}"
        if told.last_id > self.last_id:
            yield f"told of entry {told.last_id}, which was not written: {call}"
        if told.epoch > self.epoch:
            yield f"told of epoch {told.epoch}, which was not stored: {call}"

    def _is_above_told(self, path: str, last_id: int) -> bool:
        segment = _SEGMENT.match(path)
        return int(segment[1]) <= last_id if segment else basename(path) == "segments"

    def _names_like(self, pattern: re.Pattern[str], what: str) -> Iterator[str]:
        for path, made in self.names.items():
            if pattern.match(path):
                yield f"the directory of {made} is to be synced, {what}"

    # --- what calls do ------------------------------------------------------------------------

    def begin(self, call: Call) -> None:
        if call.name in _SYNCS:
            names = {path: by for path, by in self.names.items() if dirname(path) == call.path}
            self.syncs[call.began] = (list(self.changes.get(call.path, ())), names)

    def end(self, call: Call) -> None:
        """Take in what a call that returned has done."""
        if call.name in _SYNCS:
            self._end_sync(call)
        elif call.name == "close":
            self.failed.pop(call.descriptor, None)
        elif not call.has_succeeded:
            return
        elif call.name in {"pwrite64", "ftruncate"}:
            self._write(call)
        elif call.name == "mkdir" or (call.name == "openat" and "O_EXCL" in call.arguments):
            self.names[call.path] = call
        elif call.name == "unlink":
            self.changes.pop(call.path, None)
            self.names[call.path] = call
        elif call.name == "rename":
            self.changes[call.target] = self.changes.pop(call.path, [])
            self.names.pop(call.path, None)
            self.names[call.target] = call
            if call.path in self.epochs:
                self.epochs[call.target] = self.epochs.pop(call.path)

    def _write(self, call: Call) -> None:
        data = call.data if call.name == "pwrite64" else ""
        offset = int(call.arguments.rpartition(",")[2])
        if basename(call.path) == "marks" and offset >= _COMMIT_NOTES_FROM:
            return
        ids = [(int(found[1]), int(found[2])) for found in _BATCH.finditer(data)]
        change = _Change(call, ids[0][0], ids[-1][1]) if ids else _Change(call)
        if _SEGMENT.match(call.path):
            self.last_id = max(self.last_id, change.last_id)
        self.changes.setdefault(call.path, []).append(change)
        if epoch := _EPOCH.search(data):
            self.epochs[call.path] = int(epoch[1])

    def _end_sync(self, call: Call) -> None:
        covered, names = self.syncs.pop(call.began)
        if not call.has_succeeded:
            self.failed[call.descriptor] = call
            return
        left = self.changes.get(call.path, [])
        self.changes[call.path] = [change for change in left if change not in covered]
        for path, made in names.items():
            if self.names.get(path) is made:
                del self.names[path]
                if basename(path) == "node.json":
                    self.epoch = max(self.epoch, self.epochs.get(path, 0))


_SYNCS = frozenset({"fsync", "fdatasync"})
_IN_QUARANTINE = re.compile(r".*/quarantine/")


def broken_orders(
    calls: Sequence[Call],
    told: Callable[[Call], Told | None],
    *,
    last_id: int = 0,
    epoch: int = 0,
) -> list[str]:
    """Return what was done too early; empty where the order is right.

    - What `told` finds in a call leaves only once all of it is durable: content by a sync that
      began after the write had returned, and names by a sync of their directory.
    - A segment is made when the one before it is durable, its name included.
    - A file takes another's place when its content is durable.
    - A segment is cut, removed or replaced when what the quarantine got of it is durable.
    - No descriptor is synced again after a sync of it that failed.

    Args:
        calls: of one trace, of all threads that touch the data directory.
        told: what a call tells somebody outside, if it does.
        last_id, epoch: what was durable before the first call.
    """
    disk = _Disk(last_id=last_id, epoch=epoch)
    found: list[str] = []
    for call, is_end in _moments(calls):
        if is_end:
            disk.end(call)
            continue
        found.extend(disk.objections(call, told(call)))
        disk.begin(call)
    return found


def _moments(calls: Iterable[Call]) -> Iterator[tuple[Call, bool]]:
    """Yield the begin (False) and the end (True) of each call, in order of time."""
    moments = [(call.began, False, call) for call in calls]
    moments += [(call.ended, True, call) for call in calls if call.ended is not None]
    for _, is_end, call in sorted(moments, key=lambda moment: moment[:2]):
        yield call, is_end
