"""Verifying segments again and again: rot is found before the copies rot too.

DISK. For one background thread.
"""

from __future__ import annotations

from collections.abc import Collection

from replog.core.entry import EntryId
from replog.core.messages import Damage
from replog.storage.contents import Contents
from replog.storage.filesystem import File
from replog.storage.place import read_stretch
from replog.storage.segment import Segment


class Scrubber:
    """Goes round through the segments of the good part, one at a call."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._next_id = EntryId(1)

    def next(self) -> Damage | None:
        """Verify one segment; return what is damaged in it, None if nothing is."""
        segments = self._contents.segments
        if not segments:
            return None
        ahead = (segment for segment in segments if segment.first_id >= self._next_id)
        segment = next(ahead, segments[0])
        self._next_id = EntryId(segment.first_id + 1)
        if self._is_good(segment) or segment.is_retired:
            return None
        self._contents.found_bad(segment)
        begins = segment.start.head.last_id
        return next(
            (found for found in self._contents.damage if found.before.last_id >= begins), None
        )

    def verify(self, ids: Collection[EntryId]) -> None:
        """Verify the segments that hold `ids`, each once."""
        held = set(map(self._contents.holding, ids))
        for segment in held:
            if segment is not None and not self._is_good(segment) and not segment.is_retired:
                self._contents.found_bad(segment)

    def _is_good(self, segment: Segment) -> bool:
        try:
            file = self._contents.open(segment)
        except FileNotFoundError:
            return False
        try:
            return self._verifies(segment, file)
        finally:
            file.close()

    def _verifies(self, segment: Segment, file: File) -> bool:
        place, stop = segment.start, segment.stop  # the writer may move the last one's
        while place.offset < stop.offset:
            stretch = read_stretch(
                file, place, stop_offset=stop.offset, log_id=self._contents.log_id
            )
            if stretch.bad is not None:
                return False
            place = stretch.stop
        return place.head == stop.head
