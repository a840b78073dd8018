"""What of the log may be served: its good segments, its head, its damage.

DISK. Shared by who writes, one thread at a time, and any number of readers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock

from replog.core.entry import EntryId, Head, LogId
from replog.core.errors import DamagedLogError, StorageError
from replog.core.messages import Damage
from replog.storage.filesystem import File, Filesystem
from replog.storage.index import End
from replog.storage.layout import Layout
from replog.storage.open_files import OpenFiles
from replog.storage.place import BEGINNING, Place
from replog.storage.segment import Segment
from replog.storage.survey import SegmentSurvey, missing, survey_segment

INDEXES_MAX = 256
"""Segments that keep their index and what is verified of them: 4 GiB of log, 6.4 MiB of memory."""


class Contents:
    """The good part of the log, from its beginning to `head`.

    The lists are replaced, never changed, so that a reader works on what it took. What is
    behind damage is not in them.

    Invariant: segments meet: each one's `stop.head` is the next one's `start.head`.
    """

    def __init__(self, filesystem: Filesystem, layout: Layout, log_id: LogId | None) -> None:
        self.filesystem = filesystem
        self.layout = layout
        self.log_id = log_id
        self.segments: tuple[Segment, ...] = ()
        self.head = BEGINNING.head
        self.damage: tuple[Damage, ...] = ()
        self.open_files = OpenFiles(self.open)
        self._lock = Lock()
        self._indexed: OrderedDict[Segment, None] = OrderedDict()

    def replace(
        self,
        segments: Iterable[Segment],
        head: Head,
        damage: tuple[Damage, ...],
        *,
        known: tuple[Damage, ...],
    ) -> bool:
        """Take another good part; segments that are not in it any more are retired.

        Args:
            known: the damage that the other part was made from. Where a reader has found more
                meanwhile, nothing is changed, and False is returned: it would be forgotten.
        """
        with self._lock:
            if self.damage != known:
                return False
            segments = tuple(segments)
            for segment in set(self.segments).difference(segments):
                self._retire(segment)
            self.segments = segments
            self.head = head
            self.damage = damage
            return True

    def extend(
        self, segment: Segment, *, stop: Place, ends: Sequence[End], is_sealed: bool
    ) -> None:
        """Show what was written behind the head: in the last segment or in a new one."""
        with self._lock:
            segment.wrote(stop, ends, is_sealed=is_sealed)
            if self.damage:
                return  # found by a reader just now: this comes back with the repair
            before = self.segments[-1] if self.segments else None
            if before is not segment:
                self.segments = (*self.segments, segment)
            self.head = stop.head
        if before is not None and before is not segment:
            # Its index was made while it was written; nobody may ever read from it (P10).
            self.used(before)

    def open(self, segment: Segment) -> File:
        """Open the file of a segment for reading.

        Raises:
            OSError: it is not there (any more).
        """
        return self.filesystem.open(self.layout.segment(segment.name), writable=False)

    def holding(self, id: EntryId) -> Segment | None:
        """Return the segment in which `id` stands, if the good part has it."""
        segments = self.segments
        at = bisect_right(segments, id, key=_first_id) - 1
        if at < 0 or id > segments[at].stop.head.last_id:
            return None
        return segments[at]

    def beginning_behind(self, id: EntryId) -> Segment | None:
        """Return the segment that begins with the entry behind `id`, if there is one."""
        segments = self.segments
        at = bisect_left(segments, id + 1, key=_first_id)
        return segments[at] if at < len(segments) and segments[at].first_id == id + 1 else None

    def used(self, segment: Segment) -> None:
        """Keep the index of `segment` for now, and free that of the least used one."""
        with self._lock:
            self._indexed[segment] = None
            self._indexed.move_to_end(segment)
            if len(self._indexed) <= INDEXES_MAX:
                return
            oldest, _ = self._indexed.popitem(last=False)
        if oldest.is_sealed:
            oldest.forget()

    def found_bad(self, segment: Segment) -> StorageError:
        """Say what is damaged in a segment and serve it no more; return what to raise (R13).

        Everything from the first bad batch on is out of the good part; what follows on
        the range comes back when it is repaired.
        """
        found = self._survey(segment)
        if not found.damage:
            return StorageError(f"{segment.name} could not be read, but verifies now; try again")
        with self._lock:
            if segment in self.segments:
                at = self.segments.index(segment)
                for retired in self.segments[at:]:
                    self._retire(retired)
                good = () if found.good is None else (found.good,)
                self.segments = (*self.segments[:at], *good)
                self.damage = (*found.damage, *self.damage)
                self.head = found.damage[0].before
        return DamagedLogError(damage_text(found.damage[0]))

    def _retire(self, segment: Segment) -> None:
        segment.is_retired = True
        self._indexed.pop(segment, None)
        self.open_files.retired(segment)

    def _survey(self, segment: Segment) -> SegmentSurvey:
        assert self.log_id is not None, segment.name
        try:
            file = self.open(segment)
        except FileNotFoundError:
            return SegmentSurvey(None, (missing(segment, "the file is not there any more"),))
        try:
            return survey_segment(file, segment, log_id=self.log_id)
        finally:
            file.close()


def _first_id(segment: Segment) -> EntryId:
    return segment.first_id


def damage_text(damage: Damage) -> str:
    """Say where the log is damaged, for people."""
    upto = "" if damage.last_id is None else f" to {damage.last_id}"
    return (
        f"the log is damaged from id {damage.first_id}{upto}, at byte {damage.offset} of "
        f"{damage.segment}: {damage.reason}. Entries below are served; the range is fetched "
        "from another node"
    )
