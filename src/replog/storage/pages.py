"""Small pages: some entries and the hash behind them, in one read of verified bytes.

DISK. For any thread, the event loop's too: nothing is verified here, and nothing looked for
again. What is not at hand at once is None, and the way by `EntryReader` says what it is.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from dataclasses import dataclass

from replog.core.entry import EntryId
from replog.storage.contents import Contents
from replog.storage.lines import (
    ENTRY_BEGINNING,
    PLAIN_TRAILER,
    TRAILER_GROUPS_HASH,
    LineError,
    parse_trailer,
)
from replog.storage.span import NEXT_TRAILER, TRAILER_LINE

PAGE_READ_BYTES = 256 * 1024
"""What one read may take: 0.05 ms where it stands in the page cache."""

_NEAR_BYTES = 4096
_NEXT_ENTRY = re.compile(re.escape(b"\n" + ENTRY_BEGINNING) + rb"([0-9]{1,16}),")


@dataclass(frozen=True, slots=True)
class Page:
    """Whole entry lines, each with its newline.

    Attributes:
        hash: that of the log at the end of the batch that holds the last one.
    """

    lines: bytes
    hash: bytes


def is_at_hand(contents: Contents, first: EntryId, last: EntryId) -> bool:
    """Say whether reading `first` to `last` takes little: verified bytes, and few of them."""
    segment = contents.holding(first)
    if segment is None or segment.verified.offset < segment.stop.offset:
        return False
    verified = segment.verified
    if verified.head.last_id < last:
        return False
    start, stop = segment.index.around(first, last, verified.offset)
    return stop - start <= PAGE_READ_BYTES


def page_at_hand(contents: Contents, first: EntryId, last: EntryId) -> Page | None:
    """Return the entries `first` to `last`, at least one, where one small read gives them.

    None where it would take more than that: a segment's border, bytes that are not verified
    yet, a long batch, a cut meanwhile, damage.
    """
    segment = contents.holding(first)
    if segment is None:
        return None
    contents.used(segment)
    verified = segment.verified
    if verified.head.last_id < last:
        return None
    start, stop = segment.index.around(first, last, verified.offset)
    if stop - start > PAGE_READ_BYTES:
        return None
    try:
        file = contents.open(segment)
    except OSError:
        return None
    try:
        window = file.read_at(start, stop - start)
    except OSError:
        return None
    finally:
        file.close()
    return None if segment.is_retired else _page_in(window, first, last)


def _page_in(window: bytes, first: EntryId, last: EntryId) -> Page | None:
    start = _line_of(window, first)
    end = start if first == last else _line_of(window, last)
    if start is None or end is None:
        return None
    stop = window.find(b"\n", end) + 1
    lines = without_trailers(window[start:stop])
    if lines.count(b"\n") != last - first + 1:
        return None
    digits = _hash_behind(window, stop, last)
    try:
        return None if digits is None else Page(lines, unhexlify(digits))
    except ValueError:  # a plain trailer's digits are not looked at: see `PLAIN_TRAILER`
        return None


def _line_of(window: bytes, id: EntryId) -> int | None:
    """Return where the line of `id` begins: ids ascend, so that halving finds it."""
    low, high = 0, len(window)
    while high - low > _NEAR_BYTES:
        middle = (low + high) // 2
        entry = _NEXT_ENTRY.search(window, middle, high)
        if entry is not None and int(entry[1]) <= id:
            low = entry.start()
        else:
            high = middle
    line = b'{"id":%d,' % id
    if low == 0 and window.startswith(line):
        return 0
    return window.find(b"\n" + line, low) + 1 or None


def _hash_behind(window: bytes, stop: int, last: EntryId) -> bytes | None:
    """Return the hash that the batch of `last` ends in; the line of `last` ends at `stop`.

    Its trailer is near, where batches are short, or it ends the window, where they are long.
    """
    for start in (
        window.find(NEXT_TRAILER, stop - 1, stop + _NEAR_BYTES) + 1,
        window.rfind(NEXT_TRAILER, stop - 1) + 1,
        window.find(NEXT_TRAILER, stop - 1) + 1,
    ):
        if start:
            plain = PLAIN_TRAILER.match(window, start)
            if plain is not None:
                first_id, last_id, digits = int(plain[1]), int(plain[2]), plain[TRAILER_GROUPS_HASH]
            else:
                try:
                    trailer = parse_trailer(window[start : window.find(b"\n", start) + 1])
                except LineError:
                    return None
                first_id, last_id, digits = trailer.first_id, trailer.last_id, trailer.hash
            if first_id <= last <= last_id:
                return digits
    return None


def without_trailers(data: bytes) -> bytes:
    """Return whole lines without the trailer lines among them.

    A pattern that is a literal at its beginning is found by a search for bytes: 2.2 GB/s in
    long batches, 2 GB/s where each holds one entry.
    """
    return b"".join(TRAILER_LINE.split(data))
