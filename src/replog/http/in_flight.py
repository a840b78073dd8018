"""The bytes of requests that a node holds until their outcome is known: so many, and no more.

SHELL. Half is kept for bodies that are here: clients whose bodies never end cannot keep out those
that send theirs. Among bodies of which more is to come, the slow ones make room
(docs/decisions/0094).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from replog.http.cuttable import Cuttable
from replog.http.problems import refusal

log = logging.getLogger("replog.http")

PATIENCE_S: Final = 10.0
"""A body that is younger does not make room: it may have had to wait for others."""

SLOW_BYTES_PER_S: Final = 16 * 1024
"""A body that comes at less than this, since it began, makes room."""


class PartialBody(Cuttable):
    """A body of which more is to come; `size` is how much of it is counted."""

    __slots__ = ("_began_at", "size")

    def __init__(self) -> None:
        super().__init__()
        self._began_at = asyncio.get_running_loop().time()
        self.size = 0

    def age_s(self, now: float) -> float:
        return now - self._began_at

    def is_slow(self, now: float) -> bool:
        return self.size < SLOW_BYTES_PER_S * self.age_s(now)


class BytesInFlight:
    """The bytes of all bodies that are held.

    Invariant: `held` is the sum of what every request took and did not give back, `arriving`
    the part of it that belongs to bodies of which more is to come; these stand in the order in
    which they began.
    """

    __slots__ = ("_partial", "_patience_s", "arriving", "held", "limit")

    def __init__(self, limit: int, *, patience_s: float = PATIENCE_S) -> None:
        self.held = 0
        self.arriving = 0
        self.limit = limit
        self._patience_s = patience_s
        self._partial: dict[PartialBody, None] = {}

    def take(self, size: int) -> None:
        """Count `size` more bytes.

        Raises:
            ProblemError: overloaded; nothing was counted.
        """
        if self.held + size > self.limit:
            raise _overloaded(self.limit)
        self.held += size

    def give_back(self, size: int) -> None:
        self.held -= size
        assert self.held >= 0, self.held

    # --- bodies of which more is to come ------------------------------------------------------

    @contextmanager
    def partial(self) -> Iterator[PartialBody]:
        """Count a body that the running task reads, while the context is open.

        Behind it nothing of it is counted, but where the caller took it over by `complete`.

        Raises:
            ProblemError: overloaded: it came so slowly that it had to make room.
        """
        part = PartialBody()
        self._partial[part] = None
        try:
            yield part
        except asyncio.CancelledError:
            if not part.is_cut:
                raise
            part.take_back_cancel()
            raise refusal(
                "overloaded",
                f"The body came at less than {SLOW_BYTES_PER_S} bytes a second, and had to make "
                "room for others. Nothing of it was stored: wait, then send it again.",
            ) from None
        finally:
            self._drop(part)

    def take_part(self, part: PartialBody, size: int) -> None:
        """Count `size` more bytes of `part`; others that are slow make room where there is none.

        Raises:
            ProblemError: overloaded; nothing was counted.
        """
        is_alone = self.arriving == part.size
        if self.arriving + size > self.limit // 2 and not is_alone:
            self._make_room(part, size)
        self.take(size)
        self.arriving += size
        part.size += size

    def complete(self, part: PartialBody) -> None:
        """Note that `part` is whole: what is counted of it is the caller's to give back."""
        del self._partial[part]
        self.arriving -= part.size

    def _make_room(self, part: PartialBody, size: int) -> None:
        """Cut the oldest of those that are slow, as many as it takes; none where it is no use."""
        limit, now = self.limit // 2, asyncio.get_running_loop().time()
        cut: list[PartialBody] = []
        freed = 0
        for other in self._partial:  # from the oldest one on: behind a young one are younger ones
            is_enough = self.arriving + size - freed <= limit
            if is_enough or other.age_s(now) < self._patience_s:
                break
            if other is not part and other.is_slow(now):
                cut.append(other)
                freed += other.size
        if self.arriving + size - freed > limit:
            raise _overloaded(limit)
        if self.held + size - freed > self.limit:
            raise _overloaded(self.limit)
        log.warning("%d slow bodies make room for others", len(cut))
        for other in cut:
            self._drop(other)
            other.cut()

    def _drop(self, part: PartialBody) -> None:
        if part in self._partial:
            self.complete(part)
            self.give_back(part.size)


def _overloaded(limit: int) -> Exception:
    return refusal(
        "overloaded",
        f"The bodies of the requests in flight have reached the limit of {limit} bytes. "
        "Nothing of this one was stored: wait, then send it again.",
    )
