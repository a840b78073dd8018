"""Appends that wait: for their batch to be made, and for their write concern.

PURE.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from replog.core.entry import EntryId, Tick
from replog.core.events import RequestId


@dataclass(frozen=True, slots=True)
class QueuedAppend:
    """An append that has no ids yet: provably not stored."""

    request: RequestId
    messages: tuple[bytes, ...]
    size: int
    copies: int
    deadline: Tick | None


@dataclass(frozen=True, slots=True)
class WaitingAppend:
    """An append with ids whose client has not been answered.

    `copies` nodes, the master counted, must hold `last_id` durably (R10).
    """

    request: RequestId
    first_id: EntryId
    last_id: EntryId
    copies: int
    deadline: Tick | None


class Waiters:
    """The waiting appends, in order of ids within each number of copies.

    An acknowledgement looks at the oldest waiter of each number of copies only, so that it
    costs no more with many clients waiting than with one (P8). No task, no thread.
    """

    def __init__(self) -> None:
        self._waiting: dict[RequestId, WaitingAppend] = {}
        self._by_copies: dict[int, deque[RequestId]] = {}
        self._deadlines: list[tuple[Tick, RequestId]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: WaitingAppend) -> None:
        """Take a waiter in; ids ascend from call to call."""
        self._waiting[waiting.request] = waiting
        self._by_copies.setdefault(waiting.copies, deque()).append(waiting.request)
        if waiting.deadline is not None:
            heapq.heappush(self._deadlines, (waiting.deadline, waiting.request))

    def done(self, acknowledged: Callable[[int], EntryId]) -> Iterator[WaitingAppend]:
        """Remove and yield the waiters that are met.

        `acknowledged(copies)` is the highest id that `copies` nodes hold durably.
        """
        for copies, queue in self._by_copies.items():
            if not queue:
                continue
            level = acknowledged(copies)
            while queue:
                waiting = self._waiting.get(queue[0])
                if waiting is not None and waiting.last_id > level:
                    break
                queue.popleft()
                if waiting is not None:
                    del self._waiting[waiting.request]
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

    def up_to(self, durable: EntryId) -> Iterator[WaitingAppend]:
        """Remove and yield the waiters whose entries are durable here."""
        for waiting in list(self._waiting.values()):
            if waiting.last_id <= durable:
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
        queue = self._by_copies[waiting.copies]
        if len(queue) > 2 * len(self._waiting) + 64:
            # What is answered early leaves its number behind; swept before it adds up (P10).
            kept = deque(request for request in queue if request in self._waiting)
            self._by_copies[waiting.copies] = kept
        self._sweep_deadlines()
        return waiting

    def _sweep_deadlines(self) -> None:
        """Drop deadlines of what is answered, before they add up (P10)."""
        if len(self._deadlines) > 2 * len(self._waiting) + 64:
            self._deadlines = [due for due in self._deadlines if due[1] in self._waiting]
            heapq.heapify(self._deadlines)
