"""The large answers that are on their way to their clients: so many at a time, and no more.

SHELL. Each one holds a piece of the log until its client takes it, which a client that is
stuck never does (P10). Up to the limit it may take its time, as `replog get | less` does;
beyond it the one that took nothing for longest makes room (docs/decisions/0067).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from replog.http.body import CLOSE
from replog.http.cuttable import Cuttable
from replog.http.problems import PROBLEMS, Problem, ProblemError

log = logging.getLogger("replog.http")

LARGE_READS_MAX: Final = 32
"""With short messages one that is stuck holds 1.2 to 1.6 MB, with messages of 1 MiB 4 MB."""

PATIENCE_S: Final = 10.0
"""One that took nothing for so long makes room for another."""


class LargeRead(Cuttable):
    """One of them."""

    __slots__ = ("moved_at",)

    def __init__(self) -> None:
        super().__init__()
        self.moved()

    def moved(self) -> None:
        """Note that its client took what it was sent."""
        self.moved_at = asyncio.get_running_loop().time()


class LargeReads:
    """Those of one node; its length is their number."""

    def __init__(self, *, limit: int = LARGE_READS_MAX, patience_s: float = PATIENCE_S) -> None:
        self._limit = limit
        self._patience_s = patience_s
        self._open: dict[LargeRead, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def one(self) -> Iterator[LargeRead]:
        """Count the running task as one, while the context is open.

        It ends without an exception where it is cut: the caller breaks the answer off.

        Raises:
            ProblemError: overloaded.
        """
        self._make_room()
        read = LargeRead()
        self._open[read] = None
        try:
            yield read
        except asyncio.CancelledError:
            if not read.is_cut:
                raise
            read.take_back_cancel()
        finally:
            self._open.pop(read, None)

    def _make_room(self) -> None:
        if len(self._open) < self._limit:
            return
        slowest = min(self._open, key=_moved_at)
        stalled_s = asyncio.get_running_loop().time() - slowest.moved_at
        if stalled_s < self._patience_s:
            detail = (
                f"{self._limit} large reads are on their way, which is this node's limit. Try "
                "again in a moment, read at another node, or read pages with limit=1000."
            )
            # Its connection ends: it would be idle, and more of those are no help either.
            raise ProblemError(Problem(PROBLEMS["overloaded"], detail, headers=(CLOSE,)))
        log.warning("a read whose client took nothing for %.0f s makes room", stalled_s)
        del self._open[slowest]
        slowest.cut()


def _moved_at(read: LargeRead) -> float:
    return read.moved_at
