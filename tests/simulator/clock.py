"""Virtual time: what is due, in order, one callback at a time.

PURE.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf

UNITS_PER_TICK = 100
"""One unit is 0.1 ms: fine enough for a disk, and a tick of the core is 10 ms."""
UNITS_PER_SECOND = 10_000


def seconds(value: float) -> int:
    """Return `value` seconds in units."""
    return int(value * UNITS_PER_SECOND)


class Clock:
    """Callbacks at points of virtual time; equal times run in the order they were set."""

    def __init__(self) -> None:
        self.now = 0
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._set = 0

    def after(self, delay: int, callback: Callable[[], None]) -> None:
        self._set += 1
        heapq.heappush(self._due, (self.now + max(0, delay), self._set, callback))

    def next_due(self) -> float:
        """Return when the next callback is due; infinity where there is none."""
        return self._due[0][0] if self._due else inf

    def run_next(self) -> None:
        self.now, _, callback = heapq.heappop(self._due)
        callback()
