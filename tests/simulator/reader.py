"""A reader of format 1 that shares no code with the log: what the bytes themselves prove.

PURE.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from tests.simulator.disk import SimFilesystem
from tests.simulator.images import Inode

GENESIS_HASH = bytes(32)

_TRAILER = re.compile(
    rb'^\{"batch":\{"first":(\d+),"last":(\d+),"epoch":(\d+),'
    rb'[^\n]*"hash":"([0-9a-f]{64})"\}\}\n',
    re.MULTILINE,
)
_ENTRY = re.compile(rb'^\{"id":(\d+),"message":("[^\n]*")\}$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FoundBatch:
    """A batch whose bytes give its hash and follow on the batch before it."""

    first_id: int
    last_id: int
    epoch: int
    prev: bytes
    hash: bytes
    messages: tuple[bytes, ...]
    stop: int
    keys: tuple[tuple[int, str], ...] = ()


@lru_cache(1024)
def scan(data: bytes, *, prev: bytes, last_id: int) -> tuple[FoundBatch, ...]:
    """Return what `scan_once` does.

    Every node holds the same bytes: one look at them is remembered for all of them.
    """
    return scan_once(data, prev=prev, last_id=last_id)


def scan_once(data: bytes, *, prev: bytes, last_id: int) -> tuple[FoundBatch, ...]:
    """Return the good batches from the beginning on, up to the first bad place or the end."""
    found: list[FoundBatch] = []
    start = 0
    for match in _TRAILER.finditer(data):
        hashed = data[start : match.start(4)]
        entries = _ENTRY.findall(hashed)
        own_hash = bytes.fromhex(match.group(4).decode())
        first, last, epoch = (int(match.group(group)) for group in (1, 2, 3))
        ids = [int(number) for number, _ in entries]
        if sha256(prev + hashed).digest() != own_hash or first != last_id + 1:
            break
        if ids != list(range(first, last + 1)):
            break
        messages = tuple(message for _, message in entries)
        keys = _keys(match.group())
        found.append(FoundBatch(first, last, epoch, prev, own_hash, messages, match.end(), keys))
        prev, last_id, start = own_hash, last, match.end()
    return tuple(found)


def last_batch(data: bytes, heads: Mapping[int, Collection[bytes]]) -> FoundBatch | None:
    """Return the last batch of a file that follows on one of `heads`, hashes by last id."""
    trailers = list(_TRAILER.finditer(data))
    if not trailers:
        return None
    start = trailers[-2].end() if len(trailers) > 1 else 0
    after = int(trailers[-1].group(1)) - 1
    for prev in heads.get(after, ()):
        for batch in scan(data[start : trailers[-1].end()], prev=prev, last_id=after):
            return batch
    return None


def _keys(trailer: bytes) -> tuple[tuple[int, str], ...]:
    """Return the ids that have an idempotency key, with that."""
    if b',"keys":{' not in trailer:
        return ()
    keys = json.loads(trailer)["batch"]["keys"]
    return tuple(sorted((int(entry_id), key) for entry_id, key in keys.items()))


@dataclass(slots=True)
class _FileSeen:
    name: str
    inode: Inode
    rewrites: int
    stop: int


@dataclass(slots=True)
class DurableView:
    """What one disk would still prove to hold after a power loss now, read as little as can be.

    Attributes:
        ends: last id to hash of each good batch of the gapless prefix.
    """

    disk: SimFilesystem
    directory: str
    ends: dict[int, bytes] = field(default_factory=dict)
    last_id: int = 0
    hash: bytes = GENESIS_HASH
    _files: list[_FileSeen] = field(default_factory=list)
    _durable_changes: int = -1

    @property
    def is_readable(self) -> bool:
        """Whether a process reads what is durable: a truncation may have failed to sync."""
        last = self._files[-1] if self._files else None
        return last is None or len(last.inode.cached) >= last.stop

    def refresh(self) -> list[FoundBatch]:
        """Follow the disk; return the batches that were not seen in it before."""
        if self._durable_changes == self.disk.durable_changes:
            return []
        files = self.disk.durable_files(self.directory)
        seen = len(self._files)
        is_same = seen <= len(files) and all(
            old.name == name
            and old.inode is inode
            and old.rewrites == inode.rewrites
            and old.stop <= len(inode.durable)
            for old, (name, inode) in zip(self._files, files, strict=False)
        )
        if not is_same:
            self._files.clear()
            self.ends.clear()
            self.last_id, self.hash, seen = 0, GENESIS_HASH, 0
        self._durable_changes = self.disk.durable_changes
        found: list[FoundBatch] = []
        for at, (name, inode) in enumerate(files):
            if at < seen - 1:
                continue
            if at == seen:
                self._files.append(_FileSeen(name, inode, inode.rewrites, 0))
                seen += 1
            here = self._files[at]
            if here.stop == len(inode.durable):
                continue
            begin = here.stop
            batches = scan(bytes(inode.durable[begin:]), prev=self.hash, last_id=self.last_id)
            for batch in batches:
                self.ends[batch.last_id] = batch.hash
                self.last_id, self.hash, here.stop = batch.last_id, batch.hash, begin + batch.stop
            found += batches
            if here.stop != len(inode.durable):
                break
        return found
