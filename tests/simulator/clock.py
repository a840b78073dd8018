"""Virtual time: what is due, in order, one callback at a time.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

UNITS_PER_TICK = 100
"""One unit is 0.1 ms: fine enough for a disk, and a tick of the core is 10 ms."""
UNITS_PER_SECOND = 10_000
CALLBACKS_MAX = 200_000
"""More than any history needs."""


def seconds(value: float) -> int:
    """Return `value` seconds in units."""
    return int(value * UNITS_PER_SECOND)


class Clock:
    """Callbacks at points of virtual time; equal times run in the order they were set."""

    def __init__(self) -> None:
        self.now = 0
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._set = 0
        self._done = 0

    def after(self, delay: int, callback: Callable[[], None]) -> None:
        self._set += 1
        heappush(self._due, (self.now + delay if delay > 0 else self.now, self._set, callback))

    def run_until(self, time: int) -> None:
        """Let everything happen that is due up to `time`, which is now then."""
        due = self._due
        while due and due[0][0] <= time:
            self.run_next()
        self.now = max(self.now, time)

    def run_next(self) -> None:
        self.now, _, callback = heappop(self._due)
        callback()
        self._done += 1
        assert self._done < CALLBACKS_MAX, "the history does not end"
