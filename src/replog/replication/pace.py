"""How a stream that catches up makes way for appends.

PURE. Sending what a secondary missed takes processor time and the network from those who append
meanwhile; each part of it rests a moment then, for as long as the secondary gains all the same.
"""

from __future__ import annotations

from math import inf
from typing import Final

from replog.core.events import RequestId

REST_S: Final = 0.004
"""Before each fragment of a frame: some 30 MB/s are left to who catches up."""

APPENDS_COME_S: Final = 0.1
"""So long after an append was answered more of them are expected."""


class Pace:
    """Of one link.

    Invariant: `_least` is the least that the other end has been behind, at first as much as can
    be. A frame rests only where it brings that down: who appends faster than frames with rests can
    follow has none of them, and whoever kept up once is never held back again.
    """

    __slots__ = ("_least", "_waiting")

    def __init__(self) -> None:
        self._least: float = inf
        self._waiting: RequestId | None = None

    def rest_s(self, *, behind: int, appends_come: bool, waiting: RequestId | None) -> float:
        """Return how long to rest before each fragment of a frame.

        Args:
            behind: entries that are left to be sent after it.
            waiting: who has waited longest for an append. If it did so at the frame before, it
                may well be this secondary that it waits for.
        """
        is_awaited = waiting is not None and waiting == self._waiting
        self._waiting = waiting
        if behind >= self._least:
            return 0.0
        self._least = behind
        return REST_S if behind and appends_come and not is_awaited else 0.0
