"""The batches appended last, kept so that sending them on costs no system call.

PURE. One thread at a time adds; any thread looks up (one dict operation each).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from replog.core.entry import EntryId, Head

RECENT_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Batch:
    head: Head
    payload: bytes
    seals: bool


class RecentBatches:
    """The end of the log in memory, at most `RECENT_BYTES_MAX` bytes of it."""

    def __init__(self) -> None:
        self._by_hash_before: dict[bytes, _Batch] = {}
        self._oldest_first: deque[bytes] = deque()
        self._size = 0

    def add(self, after: Head, head: Head, payload: bytes, *, seals: bool) -> None:
        """Take bytes that were written behind `after`; the oldest make room."""
        if len(payload) > RECENT_BYTES_MAX:
            self.clear()
            return
        self._by_hash_before[after.hash] = _Batch(head, payload, seals)
        self._oldest_first.append(after.hash)
        self._size += len(payload)
        while self._size > RECENT_BYTES_MAX:
            oldest = self._by_hash_before.pop(self._oldest_first.popleft())
            self._size -= len(oldest.payload)

    def clear(self) -> None:
        self._by_hash_before = {}
        self._oldest_first = deque()
        self._size = 0

    def read(self, after: Head, *, through: EntryId, size_max: int) -> tuple[Head, bytes] | None:
        """Return what follows on `after`, as `lookup.read_batches` does; None if unknown."""
        batches = self._by_hash_before
        batch = batches.get(after.hash)
        payloads: list[bytes] = []
        head, size = after, 0
        while batch is not None and batch.head.last_id <= through:
            size += len(batch.payload)
            if payloads and size > size_max:
                break
            payloads.append(batch.payload)
            head = batch.head
            if batch.seals:
                break
            batch = batches.get(head.hash)
        return (head, b"".join(payloads)) if payloads else None
