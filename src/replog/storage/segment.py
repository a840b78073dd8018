"""One segment of the good part of the log, as it is known in memory.

DISK. Bytes are served only below `verified`: each has been read through the hash chain
since this process opened the segment, or was written by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from replog.core.entry import EntryId, LogId
from replog.storage.filesystem import File
from replog.storage.index import End, SparseIndex
from replog.storage.layout import segment_name
from replog.storage.place import STRETCH_BYTES, Place, Stretch, read_stretch


class Segment:
    """A file of the log: its ends, how far it is verified, and its index.

    The writer moves `stop`; readers, in any thread, move `verified`. A segment whose file
    is cut or replaced is retired and another object takes its place: who read from it
    looks it up again, and does not take what it saw for damage.

    Invariant: start.offset == 0 <= verified.offset <= stop.offset; `stop` is a batch end.
    """

    __slots__ = ("_lock", "index", "is_retired", "is_sealed", "name", "start", "stop", "verified")

    def __init__(self, start: Place, stop: Place, *, is_sealed: bool = False) -> None:
        assert start.offset == 0, start
        self.name = segment_name(EntryId(start.head.last_id + 1))
        self.start = start
        self.stop = stop
        self.is_sealed = is_sealed
        self.is_retired = False
        self.verified = start
        self.index = SparseIndex(start)
        self._lock = Lock()

    @property
    def first_id(self) -> EntryId:
        return EntryId(self.start.head.last_id + 1)

    def wrote(self, stop: Place, ends: Sequence[End], *, is_sealed: bool) -> None:
        """Take bytes that this process wrote behind the end as verified.

        Args:
            ends: some of the batch ends in them.
        """
        with self._lock:
            if self.verified == self.stop:
                self.index.add(self.stop.offset, self.stop.head)
                for offset, head in ends:
                    self.index.add(offset, head)
                self.verified = stop
            self.stop = stop
            self.is_sealed = is_sealed

    def take(self, stretch: Stretch) -> None:
        """Take a stretch that follows on what is verified, read from the file just now."""
        assert stretch.start == self.verified, (stretch.start, self.verified)
        base, next_offset = stretch.start.offset, self.index.next_offset
        for batch in stretch.batches:
            if base + batch.stop >= next_offset:
                self.index.add(base + batch.stop, batch.head)
                next_offset = self.index.next_offset
        self.verified = stretch.stop

    def verify_next(
        self, file: File, *, log_id: LogId, before: int, size: int = STRETCH_BYTES
    ) -> Stretch | None:
        """Verify one more stretch; None where everything below the offset `before` is.

        A stretch that has `bad` moved the verified end up to there; the caller decides
        what it means. Threads that want the same stretch wait for the one that reads it.
        """
        with self._lock:
            if self.verified.offset >= min(before, self.stop.offset):
                return None
            stretch = read_stretch(
                file, self.verified, stop_offset=self.stop.offset, log_id=log_id, size=size
            )
            self.take(stretch)
            return stretch

    def forget(self) -> None:
        """Free the index; what is needed of the segment is verified anew."""
        with self._lock:
            self.index = SparseIndex(self.start)
            self.verified = self.start
