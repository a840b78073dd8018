"""Finding batch ends by id, and whole batches behind one, in verified bytes.

DISK. For any thread. What is found is checked to carry the expected id: the index only
says where to look.
"""

from __future__ import annotations

import errno
from binascii import unhexlify
from collections.abc import Callable
from typing import Self, TypeVar

from replog.core.entry import EntryId, Head
from replog.core.errors import DamagedLogError, StorageError
from replog.storage.contents import Contents
from replog.storage.filesystem import File
from replog.storage.lines import (
    HEADER_BEGINNING,
    TRAILER_BEGINNING,
    LineError,
    Trailer,
    parse_trailer,
)
from replog.storage.segment import Segment
from replog.storage.span import NEXT_TRAILER

_WINDOW_BYTES = 256 * 1024
_LINE_BEGINNING_BYTES = 32
"""At least what `{"id":N,` and the newline before it have."""

_BEGINNING_BYTES = 4096
"""Enough for a header line and the id of the line behind it."""

_Found = TypeVar("_Found")


class Retired(Exception):
    """The segment was cut or replaced meanwhile: look it up again."""


def read_batches(
    contents: Contents, after: Head, *, through: EntryId, size_max: int
) -> tuple[Head, bytes] | None:
    """Return whole verified batches of one segment that follow on `after`, and their end.

    At least one, however long; of more, as many as fit into `size_max` bytes; none beyond
    `through`. None where there is none, or where `after` is no batch end of the log.

    Raises:
        DamagedLogError: the bytes do not verify.
    """
    return again(lambda: _read_batches(contents, after, through=through, size_max=size_max))


def again(look: Callable[[], _Found]) -> _Found:
    """Call `look` until no cut or repair comes in between: each one is another attempt."""
    while True:
        try:
            return look()
        except Retired:
            continue


def missing(contents: Contents, id: EntryId) -> DamagedLogError:
    """Return what to raise where `id` is asked for, and the good part does not have it."""
    if contents.damage:
        return DamagedLogError(
            f"id {id} is at or behind a damaged range of the log "
            f"(id {contents.damage[0].first_id} on); it is fetched from another node"
        )
    return DamagedLogError(f"id {id} is not in the log, which ends at {contents.head.last_id}")


def end_of(contents: Contents, head: Head) -> tuple[Segment, int] | None:
    """Return where `head` is a batch end: see `_end_of`. Raises: DamagedLogError."""
    return again(lambda: _end_of(contents, head))


def _end_of(contents: Contents, head: Head) -> tuple[Segment, int] | None:
    """Return the segment and offset of the batch that follows on `head`, if it is an end.

    For an end between two segments it is the beginning of the later one; at the end of
    the log it is the end of the last one.
    """
    behind = contents.beginning_behind(head.last_id)
    if behind is not None and behind.start.head == head:
        return behind, 0
    last = contents.segments[-1] if contents.segments else None
    if last is not None and last.stop.head == head:
        return last, last.stop.offset
    # Batches that only open an epoch may stand at either side of a segment's beginning.
    for segment in (contents.holding(head.last_id), behind):
        if segment is None:
            continue
        with Opened(contents, segment) as opened:
            offset = opened.offset_of_end(head)
        if offset is not None:
            return segment, offset
    return None


def _read_batches(
    contents: Contents, after: Head, *, through: EntryId, size_max: int
) -> tuple[Head, bytes] | None:
    if through < after.last_id:
        return None
    found = _indexed_end(contents, after) or _end_of(contents, after)
    if found is None:
        return None
    segment, offset = found
    with Opened(contents, segment) as opened:
        stop = opened.last_known_end(offset + size_max, through)
        if stop <= offset:
            return _scanned_batches(opened, offset, after, through=through, size_max=size_max)
        window = opened.read(offset, stop)
        opened.check_beginning(window, after)
        end = opened.last_end(window)
        if end is None or end[0] != len(window):
            raise opened.rotten()
        return end[1], window


def _indexed_end(contents: Contents, head: Head) -> tuple[Segment, int] | None:
    """Return where `head` is a batch end if the index knows: without a look at the file."""
    segment = contents.holding(EntryId(head.last_id + 1))
    if segment is None:
        return None
    offset, end = segment.index.before(EntryId(head.last_id + 1))
    return (segment, offset) if end == head else None


def _scanned_batches(
    opened: Opened, offset: int, after: Head, *, through: EntryId, size_max: int
) -> tuple[Head, bytes] | None:
    """Look for a batch end: none is known in reach, as the next batch is long or the end near."""
    stop_offset = opened.segment.stop.offset
    size = max(size_max, _BEGINNING_BYTES)
    while offset < stop_offset:
        window = opened.read(offset, opened.first_known_end(offset + size))
        is_all = offset + len(window) >= stop_offset
        opened.check_beginning(window, after)
        if opened.last_known_end(offset + len(window), through) < offset + len(window):
            beyond = _find_line(window, EntryId(through + 1))
            if beyond is not None:
                window, is_all = window[: beyond + 1], True
        end = opened.last_end(window, size_max) or opened.first_end(window)
        if end is not None:
            return end[1], window[: end[0]]
        if is_all:
            return None
        size = max(size * 2, _WINDOW_BYTES)
    return None


class Opened:
    """A segment's file open for reading; what cannot be found in it is damage, or a cut."""

    def __init__(self, contents: Contents, segment: Segment) -> None:
        self.contents = contents
        self.segment = segment
        self._file: File | None = None

    def __enter__(self) -> Self:
        self.contents.used(self.segment)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, start: int, stop: int) -> bytes:
        """Return verified bytes of `[start, stop)`, short only at the segment's end.

        Raises:
            DamagedLogError: they do not verify.
            Retired: the segment is another one meanwhile.
            StorageError: they cannot be read for a reason that is not theirs.
        """
        segment = self.segment
        stop = min(stop, segment.stop.offset)
        self.verify(stop)
        try:
            data = self.file().read_at(start, stop - start)
        except OSError as error:
            if error.errno != errno.EIO:
                raise self._unread(error) from error
            raise self.rotten() from error
        if segment.is_retired:
            raise Retired
        if len(data) != stop - start:
            raise self.rotten()
        return data

    def verify(self, stop: int) -> None:
        """Verify what stands below the offset `stop` and is not yet. Raises: as `read`."""
        segment, log_id = self.segment, self.contents.log_id
        assert log_id is not None, segment.name
        stop = min(stop, segment.stop.offset)
        while segment.verified.offset < stop:
            try:
                stretch = segment.verify_next(self.file(), log_id=log_id, before=stop)
            except OSError as error:
                raise self._unread(error) from error
            if segment.is_retired:
                raise Retired
            if stretch is not None and stretch.bad is not None:
                raise self.contents.found_bad(segment)

    def end_near(self, start: int, stop: int) -> int:
        """Return a batch end not far before the offset `stop` where one is known, else `stop`.

        What is read up to a batch end holds whole lines, and need not be copied to be cut.
        """
        self.verify(stop)
        end = self.segment.index.last_end_within(stop)
        return end if end - start > (stop - start) // 2 else stop

    def last_known_end(self, stop: int, through: EntryId) -> int:
        """Return the last known batch end that is beyond neither `stop` nor the id `through`."""
        self.verify(stop)
        end, index = self.segment.stop, self.segment.index
        if end.offset <= stop and end.head.last_id <= through:
            return end.offset
        return min(index.last_end_within(stop), index.before(EntryId(through + 1))[0])

    def first_known_end(self, stop: int) -> int:
        """Return the first known batch end at or behind the offset `stop`, else `stop`."""
        self.verify(stop)
        segment = self.segment
        end = segment.index.first_end_from(stop)
        if end is None and segment.verified == segment.stop:
            end = segment.stop.offset
        return stop if end is None else end

    def id_at_end(self, offset: int) -> EntryId | None:
        """Return the last id before the batch end at `offset`; None where none is known there."""
        stop = self.segment.stop
        return stop.head.last_id if stop.offset == offset else self.segment.index.id_at(offset)

    def file(self) -> File:
        if self._file is None:
            try:
                self._file = self.contents.open(self.segment)
            except FileNotFoundError as error:
                raise self.rotten() from error
            except OSError as error:
                raise StorageError(f"cannot open {self.segment.name}: {error}") from error
        return self._file

    def _unread(self, error: OSError) -> StorageError:
        return StorageError(f"cannot read {self.segment.name}: {error}")

    def rotten(self) -> Exception:
        """Return what to raise for bytes that are not what they were when verified."""
        if self.segment.is_retired:
            return Retired()
        return self.contents.found_bad(self.segment)

    def point_before(self, id: EntryId) -> tuple[int, Head]:
        """Return a batch end below `id`, or the segment's start; all up to `id` is verified."""
        assert id <= self.segment.stop.head.last_id, (id, self.segment.name)
        while self.segment.verified.head.last_id < id:
            self.verify(self.segment.verified.offset + 1)
        return self.segment.index.before(id)

    def window_with(self, id: EntryId, offset: int) -> tuple[bytes, int]:
        """Return bytes from `offset` on with the whole batch of `id`, and where its line is.

        The place is that of the newline before the line; -1 is the beginning.
        """
        size = _WINDOW_BYTES
        while True:
            window = self.read(offset, offset + size)
            at = _find_line(window, id)
            trailer = -1 if at is None else window.find(NEXT_TRAILER, max(at, 0))
            if at is not None and trailer != -1 and window.find(b"\n", trailer + 1) != -1:
                return window, at
            if offset + size >= self.segment.stop.offset:
                raise self.rotten()
            size *= 2

    def offset_of_line(self, id: EntryId) -> int:
        """Return where the line of `id` begins, in constant memory."""
        offset, _ = self.point_before(id)
        while True:
            window = self.read(offset, offset + _WINDOW_BYTES)
            at = _find_line(window, id)
            if at is not None:
                return offset + at + 1
            if offset + len(window) >= self.segment.stop.offset:
                raise self.rotten()
            offset += len(window) - _LINE_BEGINNING_BYTES

    def trailer_of(self, id: EntryId) -> Trailer:
        """Return the trailer of the batch that holds `id`."""
        offset, _ = self.point_before(id)
        window, at = self.window_with(id, offset)
        start = window.find(NEXT_TRAILER, max(at, 0)) + 1
        return self.parsed(window[start : window.find(b"\n", start) + 1])

    def trailer(self, window: bytes, start: int) -> tuple[int, Head]:
        """Return the end and the head of the trailer that begins at `start`."""
        stop = window.find(b"\n", start) + 1
        trailer = self.parsed(window[start:stop])
        return stop, Head(trailer.epoch, trailer.last_id, unhexlify(trailer.hash))

    def parsed(self, line: bytes) -> Trailer:
        """Return what the line of a trailer says."""
        try:
            return parse_trailer(line)
        except LineError as error:
            raise self.rotten() from error

    def first_end(self, window: bytes) -> tuple[int, Head] | None:
        """Return the end and the head of the first batch in a window, if it is whole."""
        start = window.find(b"\n") + 1 if window.startswith(HEADER_BEGINNING) else 0
        if not window.startswith(TRAILER_BEGINNING, start):
            start = window.find(NEXT_TRAILER) + 1
        if not window.startswith(TRAILER_BEGINNING, start) or window.find(b"\n", start) == -1:
            return None
        return self.trailer(window, start)

    def last_end(self, window: bytes, size: int | None = None) -> tuple[int, Head] | None:
        """Return the end and the head of the last whole batch in the first `size` bytes."""
        before = stop = len(window) if size is None else min(size, len(window))
        while True:
            start = window.rfind(NEXT_TRAILER, 0, before) + 1
            if start == 0 and not window.startswith(TRAILER_BEGINNING):
                return None
            if window.find(b"\n", start, stop) != -1:
                return self.trailer(window, start)
            if start == 0:
                return None
            before = start

    def check_beginning(self, window: bytes, after: Head) -> None:
        """See that what follows on `after` carries the id that follows on its."""
        next_id = after.last_id + 1
        start = window.find(b"\n") + 1 if window.startswith(HEADER_BEGINNING) else 0
        line = window[start : start + 64]
        if (
            not line.startswith((b'{"id":%d,' % next_id, b'{"batch":{"first":%d,' % next_id))
            and line
        ):
            raise self.rotten()

    def offset_of_end(self, head: Head) -> int | None:
        """Return where the batch that follows on `head` begins; None if it is no end."""
        end_id = head.last_id
        offset, _ = self.point_before(end_id)
        if end_id > self.segment.start.head.last_id:
            window, at = self.window_with(end_id, offset)
            start = window.find(NEXT_TRAILER, max(at, 0)) + 1
        else:
            window = self.read(0, _WINDOW_BYTES)
            start = window.find(b"\n") + 1
        while window.startswith(TRAILER_BEGINNING, start):
            stop, end = self.trailer(window, start)
            if end.last_id > end_id:
                return None
            if end == head:
                return offset + stop
            start = stop
            if len(window) - start < _WINDOW_BYTES // 2:
                offset, window = (
                    offset + start,
                    self.read(offset + start, offset + start + _WINDOW_BYTES),
                )
                start = 0
        return None


def _find_line(window: bytes, id: EntryId) -> int | None:
    """Return where the newline before the line of `id` is; -1 for the first line."""
    line = b'\n{"id":%d,' % id
    if window.startswith(line[1:]):
        return -1
    at = window.find(line)
    return None if at == -1 else at
