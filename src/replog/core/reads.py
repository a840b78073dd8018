"""Reads that wait until they may show what a client was told is stored (R7, P4).

PURE.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from replog.core.entry import EntryId
from replog.core.events import RequestId


class WaitingReads:
    """The waiting reads, in order of the id that each waits for."""

    def __init__(self) -> None:
        self._queue: deque[tuple[EntryId, RequestId]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, request: RequestId, target: EntryId) -> None:
        """Let `request` wait until `target` is shown; targets ascend from call to call."""
        self._queue.append((target, request))

    def reached(self, shown: EntryId) -> Iterator[RequestId]:
        """Remove and yield the reads that wait for nothing beyond `shown`."""
        while self._queue and self._queue[0][0] <= shown:
            yield self._queue.popleft()[1]

    def all(self) -> Iterator[RequestId]:
        """Remove and yield every read: what they wait for will not be known."""
        while self._queue:
            yield self._queue.popleft()[1]

    def clip(self, durable: EntryId) -> None:
        """The log was cut back to `durable`: nobody waits for what is gone (R3)."""
        self._queue = deque((min(target, durable), request) for target, request in self._queue)

    def abandon(self, request: RequestId) -> None:
        """Forget a read whose client hung up."""
        self._queue = deque(waiting for waiting in self._queue if waiting[1] != request)
