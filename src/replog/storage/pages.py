"""Small pages: some entries and the hash behind them, in small reads of verified bytes.

DISK. For any thread, the event loop's too: nothing is verified here, and nothing looked for
again. What is not at hand at once is None, and the way by `EntryReader` says what it is.
"""

from __future__ import annotations

import re
from binascii import unhexlify

import msgspec

from replog.core.entry import EntryId
from replog.storage.contents import Contents
from replog.storage.filesystem import File
from replog.storage.index import Bounds
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

MARGINS = (2048, 16 * 1024, PAGE_READ_BYTES)
"""So far around the place where entries should be they are looked for, one after the other."""

_NEAR_BYTES = 4096
_TAIL_BYTES = 1024
_NEXT_ENTRY = re.compile(re.escape(b"\n" + ENTRY_BEGINNING) + rb"([0-9]{1,16}),")


class Page(msgspec.Struct, frozen=True, gc=False):
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
    bounds = segment.index.around(first, last, verified)
    return bounds.stop - bounds.start <= PAGE_READ_BYTES


def page_at_hand(contents: Contents, first: EntryId, last: EntryId) -> Page | None:
    """Return the entries `first` to `last`, at least one, where small reads give them.

    None where it would take more than that: a segment's border, bytes that are not verified
    yet, long entries, a cut meanwhile, damage.
    """
    segment = contents.holding(first)
    if segment is None:
        return None
    contents.used(segment)
    verified = segment.verified
    if verified.head.last_id < last:
        return None
    bounds = segment.index.around(first, last, verified)
    files = contents.open_files
    try:
        file = files.take(segment)
    except OSError:
        return None
    try:
        page = _page_in(file, bounds, first, last)
    except OSError:
        page = None
    finally:
        files.give_back(segment, file)
    return None if segment.is_retired else page


def _page_in(file: File, bounds: Bounds, first: EntryId, last: EntryId) -> Page | None:
    """Look for the lines near where they should be, then farther around."""
    for margin in MARGINS:
        start = max(bounds.offset_of(first) - margin, bounds.start)
        stop = min(bounds.offset_of(last + 1) + margin, bounds.stop)
        if stop - start > PAGE_READ_BYTES:
            return None
        window = file.read_at(start, stop - start)
        lines, end = _lines_in(window, first, last, is_at_end=start == bounds.start)
        if lines:
            digits = _hash_behind(window, end, last) or _hash_at_end(file, bounds, last)
            if digits is not None:
                return _page(lines, digits)
        if start == bounds.start and stop == bounds.stop:
            return None
    return None


def _page(lines: bytes, digits: bytes) -> Page | None:
    try:
        return Page(lines, unhexlify(digits))
    except ValueError:  # a plain trailer's digits are not looked at: see `PLAIN_TRAILER`
        return None


def _lines_in(
    window: bytes, first: EntryId, last: EntryId, *, is_at_end: bool
) -> tuple[bytes, int]:
    """Return the lines of `first` to `last` and where they end; none where one is not there.

    Args:
        is_at_end: the window begins at a batch end, not somewhere in a line.
    """
    start = _line_of(window, first, is_at_end=is_at_end)
    end = start if first == last else _line_of(window, last, is_at_end=is_at_end)
    if start is None or end is None:
        return b"", 0
    stop = window.find(b"\n", end) + 1
    lines = window[start:stop]
    if first != last:
        lines = without_trailers(lines)
    return (lines, stop) if lines.count(b"\n") == last - first + 1 else (b"", 0)


def _line_of(window: bytes, id: EntryId, *, is_at_end: bool) -> int | None:
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
    if is_at_end and low == 0 and window.startswith(line):
        return 0
    return window.find(b"\n" + line, low) + 1 or None


def _hash_behind(window: bytes, stop: int, last: EntryId) -> bytes | None:
    """Return the hash that the batch of `last` ends in, if that is in the window.

    Args:
        stop: where the line of `last` ends: the next trailer is that of its batch.
    """
    return _digits_in(window, window.find(NEXT_TRAILER, stop - 1) + 1, last)


def _hash_at_end(file: File, bounds: Bounds, last: EntryId) -> bytes | None:
    """Return the hash that the batch of `last` ends in, if it is the one at the end."""
    size = min(_TAIL_BYTES, bounds.stop - bounds.start)
    tail = file.read_at(bounds.stop - size, size)
    return _digits_in(tail, tail.rfind(NEXT_TRAILER) + 1, last)


def _digits_in(window: bytes, start: int, last: EntryId) -> bytes | None:
    """Return the hash of the trailer at `start`, 0 is none, if its batch holds `last`."""
    if start == 0:
        return None
    plain = PLAIN_TRAILER.match(window, start)
    if plain is not None:
        first_id, last_id, digits = int(plain[1]), int(plain[2]), plain[TRAILER_GROUPS_HASH]
    else:
        try:
            trailer = parse_trailer(window[start : window.find(b"\n", start) + 1])
        except LineError:
            return None
        first_id, last_id, digits = trailer.first_id, trailer.last_id, trailer.hash
    return digits if first_id <= last <= last_id else None


def without_trailers(data: bytes) -> bytes:
    """Return whole lines without the trailer lines among them.

    A pattern that is a literal at its beginning is found by a search for bytes: 2.2 GB/s in
    long batches, 2 GB/s where each holds one entry.
    """
    return b"".join(TRAILER_LINE.split(data))
