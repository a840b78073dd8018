"""Where batches begin in a segment, one about every 64 KiB.

PURE. Derived while a segment is verified, kept in memory only, and never trusted: whoever
follows it checks that the line found carries the expected id.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import msgspec

from replog.core.entry import EntryId, Epoch, Head
from replog.storage.place import Place

SPACING_BYTES = 64 * 1024


End = tuple[int, Head]
"""A batch end: where the next batch begins, and the head there."""


class Bounds(msgspec.Struct, frozen=True, gc=False):
    """Two batch ends and what is between them: bytes from `start` to `stop`, and entries.

    Attributes:
        first_id, last_id: of these entries, at least one.
    """

    start: int
    stop: int
    first_id: EntryId
    last_id: EntryId

    def offset_of(self, id: int) -> int:
        """Return about where the line of `id` begins, as if all lines were equally long."""
        share = (id - self.first_id) * (self.stop - self.start)
        return self.start + share // (self.last_id + 1 - self.first_id)


class SparseIndex:
    """Some of the batch ends of a segment, in order; about 97 bytes each.

    Invariant: offsets and ids grow; the first point is the start of the segment.
    """

    __slots__ = ("_epochs", "_hashes", "_ids", "_offsets")

    def __init__(self, start: Place) -> None:
        self._offsets = array("Q", (start.offset,))
        self._ids = array("Q", (start.head.last_id,))
        self._epochs = array("Q", (start.head.epoch,))
        self._hashes = [start.head.hash]

    @property
    def next_offset(self) -> int:
        """Where the next point should be, at the earliest."""
        return self._offsets[-1] + SPACING_BYTES

    def add(self, offset: int, head: Head) -> None:
        """Take a batch end beyond the last one, if it is far enough from it."""
        if offset < self.next_offset:
            return
        # The ids last: `before` counts by them, in another thread.
        self._hashes.append(head.hash)
        self._epochs.append(head.epoch)
        self._offsets.append(offset)
        self._ids.append(head.last_id)

    def before(self, id: EntryId) -> tuple[int, Head]:
        """Return the last point whose head is below `id`, else the start of the segment."""
        at = max(bisect_left(self._ids, id) - 1, 0)
        head = Head(Epoch(self._epochs[at]), EntryId(self._ids[at]), self._hashes[at])
        return self._offsets[at], head

    def last_end_within(self, stop: int) -> int:
        """Return the offset of the last point that is not beyond `stop`."""
        return self._offsets[bisect_right(self._offsets, stop) - 1]

    def first_end_from(self, offset: int) -> int | None:
        """Return the offset of the first point that is not before `offset`; None for none."""
        at = bisect_left(self._offsets, offset)
        return self._offsets[at] if at < len(self._offsets) else None

    def id_at(self, offset: int) -> EntryId | None:
        """Return the last id before the point at `offset`; None where there is none."""
        at = bisect_left(self._offsets, offset)
        if at >= len(self._ids) or self._offsets[at] != offset:
            return None
        return EntryId(self._ids[at])

    def ends_within(self, stop: int) -> Sequence[int]:
        """Return the offsets of the points that are not beyond `stop`; the first is 0."""
        return self._offsets[: bisect_right(self._offsets, stop)]

    def around(self, first: EntryId, last: EntryId, end: Place) -> Bounds:
        """Return the points between which `first` to `last` stand.

        Args:
            end: a batch end behind `last`; the answer where no point is between them.
        """
        ids, offsets = self._ids, self._offsets
        before = max(bisect_left(ids, first) - 1, 0)
        behind = bisect_left(ids, last, lo=before + 1)
        first_id = EntryId(ids[before] + 1)
        if behind < len(ids):
            return Bounds(offsets[before], offsets[behind], first_id, EntryId(ids[behind]))
        return Bounds(offsets[before], end.offset, first_id, end.head.last_id)
