"""Appends that wait: for their batch to be made, and for their write concern.

PURE.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

import msgspec

from replog.core.entry import EntryId, Tick
from replog.core.events import RequestId


class QueuedAppend(msgspec.Struct, frozen=True, gc=False):
    """An append that has no ids yet: provably not stored."""

    request: RequestId
    messages: tuple[bytes, ...]
    size: int
    copies: int
    deadline: Tick | None
    keys: tuple[str | None, ...] = ()
    expect: EntryId | None = None


class WaitingAppend(msgspec.Struct, frozen=True, gc=False):
    """An append with ids whose client has not been answered.

    `copies` nodes, the master counted, must hold `last_id` durably (R10).
    `is_replayed`: an earlier append with the same key stored the entries (P6).
    """

    request: RequestId
    first_id: EntryId
    last_id: EntryId
    copies: int
    deadline: Tick | None
    is_replayed: bool = False


class Waiters:
    """The waiting appends, in order of ids within each number of copies.

    An acknowledgement looks at the lowest waiter of each number of copies only, so that it
    costs no more with many clients waiting than with one (P8). No task, no thread.
    """

    def __init__(self) -> None:
        self._waiting: dict[RequestId, WaitingAppend] = {}
        self._by_copies: dict[int, list[tuple[EntryId, RequestId]]] = {}
        self._deadlines: list[tuple[Tick, RequestId]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: WaitingAppend) -> None:
        """Take a waiter in; who asks about an old entry comes after those of later ones."""
        self._waiting[waiting.request] = waiting
        heapq.heappush(
            self._by_copies.setdefault(waiting.copies, []), (waiting.last_id, waiting.request)
        )
        if waiting.deadline is not None:
            heapq.heappush(self._deadlines, (waiting.deadline, waiting.request))

    def done(self, acknowledged: Callable[[int], EntryId]) -> Iterator[WaitingAppend]:
        """Remove and yield the waiters that are met.

        `acknowledged(copies)` is the highest id that `copies` nodes hold durably.
        """
        for copies, heap in self._by_copies.items():
            if not heap:
                continue
            level = acknowledged(copies)
            while heap and heap[0][0] <= level:
                waiting = self._waiting.pop(heapq.heappop(heap)[1], None)
                if waiting is not None:
                    self._sweep_deadlines()
                    yield waiting

    def expired(self, now: Tick, *, durable: EntryId) -> Iterator[WaitingAppend]:
        """Remove and yield the waiters whose deadline has passed and that are durable here.

        One that is not durable yet has no honest answer: it is asked about again.
        """
        undecided = []
        while self._deadlines and self._deadlines[0][0] <= now:
            due = heapq.heappop(self._deadlines)
            waiting = self._waiting.get(due[1])
            if waiting is None:
                continue
            if waiting.last_id > durable:
                undecided.append(due)
                continue
            yield self._remove(waiting)
        for due in undecided:
            heapq.heappush(self._deadlines, due)

    def all(self) -> Iterator[WaitingAppend]:
        """Remove and yield every waiter."""
        for waiting in list(self._waiting.values()):
            yield self._remove(waiting)

    def abandon(self, request: RequestId) -> bool:
        """Forget a waiter whose client hung up; return whether there was one."""
        waiting = self._waiting.get(request)
        if waiting is None:
            return False
        self._remove(waiting)
        return True

    def _remove(self, waiting: WaitingAppend) -> WaitingAppend:
        del self._waiting[waiting.request]
        heap = self._by_copies[waiting.copies]
        if len(heap) > 2 * len(self._waiting) + 64:
            # What is answered early leaves its number behind; swept before it adds up (P10).
            kept = [place for place in heap if place[1] in self._waiting]
            heapq.heapify(kept)
            self._by_copies[waiting.copies] = kept
        self._sweep_deadlines()
        return waiting

    def _sweep_deadlines(self) -> None:
        """Drop deadlines of what is answered, before they add up (P10)."""
        if len(self._deadlines) > 2 * len(self._waiting) + 64:
            self._deadlines = [due for due in self._deadlines if due[1] in self._waiting]
            heapq.heapify(self._deadlines)
