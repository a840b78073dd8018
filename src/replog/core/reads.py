"""Reads that wait until they may show what a client was told is stored (R7, P4).

PURE.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from replog.core.entry import EntryId, Tick
from replog.core.events import RequestId


class WaitingReads:
    """The waiting reads, in the order in which they arrived, and so of the ids they wait for."""

    def __init__(self) -> None:
        self._targets: OrderedDict[RequestId, EntryId] = OrderedDict()
        self._arrived: dict[RequestId, Tick] = {}

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def oldest(self) -> Tick | None:
        """When the read arrived that has waited longest."""
        first = next(iter(self._targets), None)
        return None if first is None else self._arrived[first]

    def add(self, request: RequestId, target: EntryId, *, arrived: Tick) -> None:
        """Let `request` wait until `target` is shown; both ascend from call to call."""
        self._targets[request] = target
        self._arrived[request] = arrived

    def reached(self, shown: EntryId) -> Iterator[RequestId]:
        """Remove and yield the reads that wait for nothing beyond `shown`."""
        while self._targets:
            request = next(iter(self._targets))
            if self._targets[request] > shown:
                return
            self.abandon(request)
            yield request

    def arrived_before(self, level_at: Tick) -> Iterator[RequestId]:
        """Remove and yield the reads that arrived before everything committed was shown."""
        while self._targets:
            request = next(iter(self._targets))
            if self._arrived[request] >= level_at:
                return
            self.abandon(request)
            yield request

    def all(self) -> Iterator[RequestId]:
        """Remove and yield every read: what they wait for will not be known."""
        while self._targets:
            request = next(iter(self._targets))
            self.abandon(request)
            yield request

    def clip(self, durable: EntryId) -> None:
        """The log was cut back to `durable`: nobody waits for what is gone (R3)."""
        for request, target in self._targets.items():
            self._targets[request] = min(target, durable)

    def abandon(self, request: RequestId) -> None:
        """Forget a read whose client hung up."""
        self._targets.pop(request, None)
        self._arrived.pop(request, None)


@dataclass(slots=True)
class FreshRead:
    """A read that asks for more than what is committed here.

    Attributes:
        asked: the client asks for it: its `min_id`, or what the master called committed since.
        needed: this node shows it before the read goes on: that, and what may have been
            acknowledged when it came (P4).
        barrier: number of the question to the master whose answer is awaited; None for none.
        deadline: when it is given up as not met; None waits without limit.
        max_lag: how long ago this node may have been level when it is answered; None for any.
    """

    request: RequestId
    asked: EntryId
    needed: EntryId
    barrier: int | None
    deadline: Tick | None
    max_lag: Tick | None = None


class FreshReads:
    """The waiting reads that ask for more, however many: each event looks at who is due."""

    def __init__(self) -> None:
        self._waiting: dict[RequestId, FreshRead] = {}
        self._by_id: list[tuple[EntryId, RequestId]] = []
        self._by_deadline: list[tuple[Tick, RequestId]] = []
        self._by_barrier: dict[int, list[RequestId]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, read: FreshRead) -> None:
        """Take a read in."""
        self._waiting[read.request] = read
        if read.deadline is not None:
            heapq.heappush(self._by_deadline, (read.deadline, read.request))
        if read.barrier is None:
            heapq.heappush(self._by_id, (read.needed, read.request))
        else:
            self._by_barrier.setdefault(read.barrier, []).append(read.request)

    def awaits(self, barrier: int) -> bool:
        """Whether somebody waits for the answer to this question."""
        return barrier in self._by_barrier

    def marked(self, barrier: int, committed_id: EntryId) -> None:
        """The master has said what is committed: that much must be shown, and no more (P4)."""
        for request in self._by_barrier.pop(barrier, ()):
            read = self._waiting.get(request)
            if read is not None:
                read.barrier = None
                read.asked = read.needed = max(read.asked, committed_id)
                heapq.heappush(self._by_id, (read.needed, request))

    def reached(self, shown: EntryId) -> list[FreshRead]:
        """Remove and return the reads that wait for nothing beyond `shown`."""
        reads = []
        while self._by_id and self._by_id[0][0] <= shown:
            read = self._waiting.pop(heapq.heappop(self._by_id)[1], None)
            if read is not None:
                self._sweep()
                reads.append(read)
        return reads

    def expired(self, now: Tick) -> Iterator[RequestId]:
        """Remove and yield the reads that have waited long enough."""
        while self._by_deadline and self._by_deadline[0][0] <= now:
            request = heapq.heappop(self._by_deadline)[1]
            if self._waiting.pop(request, None) is not None:
                self._sweep()
                yield request

    def clip(self, good_id: EntryId) -> None:
        """Nobody waits for more than that but who asked for it: it is gone, or never known."""
        for read in self._waiting.values():
            read.needed = max(read.asked, min(read.needed, good_id))
        known = [read for read in self._waiting.values() if read.barrier is None]
        self._by_id = [(read.needed, read.request) for read in known]
        heapq.heapify(self._by_id)

    def unanswerable(self) -> Iterator[RequestId]:
        """Remove and yield the reads that wait for a word of the master: there is none."""
        for requests in self._by_barrier.values():
            for request in requests:
                if self._waiting.pop(request, None) is not None:
                    yield request
        self._by_barrier.clear()

    def all(self) -> Iterator[RequestId]:
        """Remove and yield every read."""
        waiting, self._waiting = self._waiting, {}
        self._sweep()
        self._by_barrier.clear()
        yield from waiting

    def abandon(self, request: RequestId) -> None:
        """Forget a read whose client hung up."""
        if self._waiting.pop(request, None) is not None:
            self._sweep()

    def _sweep(self) -> None:
        """Drop places of reads that are gone, before they add up (P10)."""
        limit = 2 * len(self._waiting) + 64
        if len(self._by_id) > limit:
            self._by_id = [place for place in self._by_id if place[1] in self._waiting]
            heapq.heapify(self._by_id)
        if len(self._by_deadline) > limit:
            self._by_deadline = [due for due in self._by_deadline if due[1] in self._waiting]
            heapq.heapify(self._by_deadline)
