"""Where batches end, as the hash chain proves it now.

DISK. For answers on which another node gives something up (R3). Bytes that were verified when
this process first read them may have rotted since; a rotten trailer would say that this log
does not hold what it holds, and a secondary would cut off what is good.
"""

from __future__ import annotations

from collections.abc import Iterator

from replog.core.entry import EntryId, Head
from replog.storage.contents import Contents
from replog.storage.lookup import Opened, Retired, again, end_of
from replog.storage.place import Place, read_stretch
from replog.storage.span import BatchSpan

_READ_BYTES = 128 * 1024
"""What stands between two points of the index, and one more batch, about."""


def contains(contents: Contents, head: Head) -> bool:
    """Say whether `head` is a batch end of the good part of the log.

    Raises:
        DamagedLogError: the bytes that would tell do not verify (any more).
    """
    if head.last_id > contents.head.last_id:
        return False
    if head == contents.head or end_of(contents, head) is not None:
        return True  # a hash that is found is no rot
    return again(lambda: _is_end(contents, head))


def around(contents: Contents, id: EntryId) -> tuple[Head, Head | None]:
    """Return the batch ends around `id`: `below.last_id <= id < above.last_id`.

    `above` is None, and `below` the head, where `id` is at or beyond it.

    Raises: DamagedLogError; as `contains`.
    """
    return again(lambda: _around(contents, id))


def _is_end(contents: Contents, head: Head) -> bool:
    last_id = head.last_id
    # Batches that only open an epoch may stand at either side of a segment's beginning.
    for segment in (contents.holding(last_id), contents.beginning_behind(last_id)):
        if segment is None:
            continue
        with Opened(contents, segment) as opened:
            for batch in _batches(opened, last_id):
                if batch.head == head:
                    return True
                if batch.last_id > last_id:
                    break
    return False


def _around(contents: Contents, id: EntryId) -> tuple[Head, Head | None]:
    head = contents.head
    next_id = EntryId(id + 1)
    segment = contents.holding(next_id)
    if id >= head.last_id or segment is None:
        return head, None
    with Opened(contents, segment) as opened:
        _, below = opened.point_before(next_id)
        for batch in _batches(opened, next_id):
            if batch.last_id >= next_id:
                return below, batch.head
            below = batch.head
        raise opened.rotten()


def _batches(opened: Opened, id: EntryId) -> Iterator[BatchSpan]:
    """Yield batches up to that of `id` and beyond, from an end whose hash is in memory."""
    segment, log_id = opened.segment, opened.contents.log_id
    offset, head = opened.point_before(id)
    place = Place(offset, head, b"")
    while place.offset < segment.stop.offset:
        stretch = read_stretch(
            opened.file(), place, stop_offset=segment.stop.offset, log_id=log_id, size=_READ_BYTES
        )
        if segment.is_retired:
            raise Retired
        yield from stretch.batches
        if stretch.bad is not None:
            raise opened.rotten()
        place = stretch.stop
