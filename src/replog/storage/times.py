"""When batches were made: the time of an entry's batch, and the first entry since a time.

DISK. For any thread, in verified bytes. Times never decrease along the log (check 9 of
docs/storage-format.md), and sort as bytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache

from replog.core.entry import EntryId
from replog.storage.contents import Contents
from replog.storage.lines import TRAILER_BEGINNING, Trailer
from replog.storage.lookup import Opened, again, missing
from replog.storage.segment import Segment
from replog.storage.span import NEXT_TRAILER, TRAILER_LINE
from replog.storage.timestamps import format_time, parse_time

TIME_MS_MAX = 253_402_300_799_999
"""The last millisecond that the form of the format can write: the year 9999 ends."""

_WINDOW_BYTES = 256 * 1024
_TAIL_BYTES = 1024
"""Enough for a trailer that carries nothing special."""


def time_of(contents: Contents, id: EntryId) -> bytes:
    """Return when the batch that holds `id` was made, as its trailer says it.

    Raises:
        DamagedLogError: the bytes that would tell do not verify, or `id` is not in the log.
    """
    return again(lambda: _time_of(contents, id))


def first_since(contents: Contents, time_ms: int) -> EntryId:
    """Return the first id whose batch was made at or after `time_ms`.

    Where there is none it is the id that follows on the head. Of all segments one is read,
    from its beginning to that batch, where that was not verified before.

    Raises:
        DamagedLogError: the bytes that would tell do not verify.
    """
    time = format_time(min(max(time_ms, 0), TIME_MS_MAX))
    return again(lambda: _first_since(contents, time))


def _time_of(contents: Contents, id: EntryId) -> bytes:
    segment = contents.holding(id)
    if segment is None:
        raise missing(contents, id)
    with Opened(contents, segment) as opened:
        return opened.trailer_of(id).time


def _first_since(contents: Contents, time: bytes) -> EntryId:
    head, segments = contents.head, contents.segments
    at = bisect_left(segments, time, key=_last_time)
    if at == len(segments):
        return EntryId(head.last_id + 1)
    with Opened(contents, segments[at]) as opened:
        for trailer in _trailers(opened, _end_before(opened, time)):
            if trailer.time >= time:
                return trailer.first_id
        raise opened.rotten()


def _last_time(segment: Segment) -> bytes:
    return segment.stop.time


def _end_before(opened: Opened, time: bytes) -> int:
    """Return the end of a batch made before `time`, or 0: not far before the first that was not.

    Everything up to that first one is verified afterwards.
    """
    segment = opened.segment
    while (verified := segment.verified).time < time and verified.offset < segment.stop.offset:
        opened.verify(verified.offset + 1)
    ends = segment.index.ends_within(verified.offset)
    at = bisect_left(ends, time, lo=1, key=lambda end: _time_until(opened, end))
    return ends[at - 1]


def _time_until(opened: Opened, end: int) -> bytes:
    """Return the time of the batch that ends at the offset `end`."""
    size = _TAIL_BYTES
    while True:
        tail = opened.read(max(0, end - size), end)
        start = tail.rfind(NEXT_TRAILER) + 1
        if start:
            return opened.parsed(tail[start:]).time
        if size >= end:
            raise opened.rotten()
        size *= 4


def _trailers(opened: Opened, offset: int) -> Iterator[Trailer]:
    """Yield the trailers from a batch end on, in constant memory."""
    size = _WINDOW_BYTES
    stop_offset = opened.segment.stop.offset
    while offset < stop_offset:
        window = opened.read(offset, offset + size)
        done = 0
        for line in TRAILER_LINE.finditer(window):
            yield opened.parsed(line[0])
            done = line.end()
        rest = window.find(TRAILER_BEGINNING, done)
        if rest == -1:  # whole lines are done with, and what cannot begin a trailer
            rest = window.rfind(b"\n", done) + 1 or done or len(window)
        if rest == 0 and offset + size >= stop_offset:
            raise opened.rotten()  # the last trailer ended there
        size = size * 2 if rest == 0 else _WINDOW_BYTES
        offset += rest


@lru_cache(maxsize=2)
def parsed(time: bytes) -> int:
    """Return the milliseconds since 1970 of the time of a batch; 0 before the first."""
    return parse_time(time) if time else 0
