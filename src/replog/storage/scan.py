"""What stands in one segment file: its two ends at a glance, or every good run in it.

DISK.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from dataclasses import dataclass

from replog.core.entry import EntryId, Epoch, Head, LogId
from replog.storage.filesystem import File
from replog.storage.lines import (
    BATCH_BYTES_MAX,
    HASH_AND_END_BYTES,
    TRAILER_BEGINNING,
    Header,
    LineError,
    Trailer,
    parse_header,
    parse_trailer,
)
from replog.storage.place import STRETCH_BYTES, Bad, Place, read_stretch
from replog.storage.run import hash_after
from replog.storage.salvage import read_what_can_be_read
from replog.storage.segment import Segment

_HEADER_READ_BYTES = 512
_ENTRY_ID = re.compile(rb'\{"id":([1-9][0-9]{0,15}),')
_TAIL_READ_BYTES = 1024
_SEARCH_BYTES_MAX = 128 * 1024 * 1024
"""Good batches behind a bad one are looked for in files up to this size."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file in segments/; ids of its entries are in `[first_id, stop_id)`."""

    name: str
    first_id: EntryId
    stop_id: EntryId | None
    size: int


@dataclass(frozen=True, slots=True)
class GoodRun:
    """Batches of one file that follow on one another.

    Attributes:
        start: what they follow on; where that is not known from the file before, the
            hash is what the first of them says, and the epoch is 0.
        segment: where every batch was read: what was learned; None after a glance.
    """

    file: Found
    start: Place
    stop: Place
    seals: bool
    segment: Segment | None


@dataclass(frozen=True, slots=True)
class FileScan:
    """The good runs of a file, in order, and each place where bytes are not good."""

    runs: tuple[GoodRun, ...]
    bad: tuple[Bad, ...]


def glance(file: File, found: Found, before: Place, *, log_id: LogId) -> GoodRun | None:
    """Look at the header and the last batch of a sealed segment: two small reads.

    Returns None where they are not what should follow on `before`: then it takes a scan
    to say what is wrong. The hash of the last batch is compared, for all that is known of
    the segment until somebody reads it is what its trailer says.
    """
    try:
        header = _read_header(file)
        trailer = _read_last_batch(file, found)
    except (OSError, LineError):
        return None
    if header is None or trailer is None:
        return None
    if (
        header.log_id != log_id
        or header.first_id != found.first_id
        or before.head.last_id + 1 != found.first_id
        or header.prev != before.head.hash.hex().encode()
        or not trailer.seal
        or trailer.last_id + 1 != found.stop_id
        or trailer.epoch < before.head.epoch
        or trailer.time < before.time
    ):
        return None
    head = Head(trailer.epoch, trailer.last_id, unhexlify(trailer.hash))
    start = Place(0, before.head, before.time)
    return GoodRun(found, start, Place(found.size, head, trailer.time), seals=True, segment=None)


def _read_header(file: File) -> Header | None:
    beginning = file.read_at(0, _HEADER_READ_BYTES)
    stop = beginning.find(b"\n") + 1
    return parse_header(beginning[:stop]) if stop else None


def read_last_trailer(file: File, size: int) -> Trailer | None:
    """Return the trailer whose line ends at the offset `size`; None where none does.

    Raises:
        LineError: what ends there is no trailer of format 1.
        OSError: it cannot be read.
    """
    wanted = _TAIL_READ_BYTES
    while True:
        tail = file.read_at(max(0, size - wanted), min(size, wanted))
        start = tail.rfind(b"\n" + TRAILER_BEGINNING) + 1
        if start:
            return parse_trailer(tail[start:])
        if wanted >= min(size, BATCH_BYTES_MAX):
            return None
        wanted *= 4


def _read_last_batch(file: File, found: Found) -> Trailer | None:
    """Return the trailer of a file's last batch if its hash is right."""
    trailer = read_last_trailer(file, found.size)
    if trailer is None:
        return None
    wanted = _TAIL_READ_BYTES
    while True:
        tail = file.read_at(max(0, found.size - wanted), min(found.size, wanted))
        start: int = tail.rfind(b'{"id":%d,' % trailer.first_id)
        if trailer.first_id == found.first_id:
            start = 0 if wanted >= found.size else -1
        if start != -1:
            digest = hash_after(
                unhexlify(trailer.prev), tail, start, len(tail) - HASH_AND_END_BYTES
            )
            return trailer if digest == unhexlify(trailer.hash) else None
        if wanted >= min(found.size, BATCH_BYTES_MAX):
            return None
        wanted *= 4


def scan(file: File, found: Found, before: Place, *, log_id: LogId) -> FileScan:
    """Read the whole file: every good run in it, and every place that is not good.

    The first run follows on `before` where the file's header says so, else on what the
    header says itself: whether the runs meet is for the caller to see.
    """
    if _is_anothers(file, found):
        reason = "it is not the segment that its name says"
        return FileScan((), (Bad(0, reason, is_unfinished=False),))
    runs: list[GoodRun] = []
    bad: list[Bad] = []
    start = _start(file, found, before)
    while True:
        run, stopped = _walk(file, found, start, log_id=log_id)
        if run.stop.offset > start.offset:
            runs.append(run)
        if stopped is None:
            return FileScan(tuple(runs), tuple(bad))
        bad.append(stopped)
        # A batch that is good by itself may still not be one of this log: go on behind it.
        again = _next_good(file, found, max(run.stop.offset, start.offset + 1))
        end = run.stop.offset, run.stop.head.hash
        if again is not None and (again.offset, again.head.hash) == end:
            # The bad batch itself: what is wrong (its epoch, its time) does not show alone.
            again = _next_good(file, found, run.stop.offset + 1)
        if again is None:
            return FileScan(tuple(runs), tuple(bad))
        start = again


def _is_anothers(file: File, found: Found) -> bool:
    """Say whether a file stands under a wrong name: its header and its first entry say so.

    Rot changes one of the two; good batches in such a file are good somewhere else.
    """
    try:
        beginning = file.read_at(0, _HEADER_READ_BYTES)
        stop = beginning.find(b"\n") + 1
        header = parse_header(beginning[:stop])
    except (OSError, LineError):
        return False
    entry = _ENTRY_ID.match(beginning, stop)
    own = found.first_id
    return header.first_id != own and entry is not None and int(entry[1]) != own


def _start(file: File, found: Found, before: Place) -> Place:
    follows = before.head.last_id + 1 == found.first_id
    if follows:
        start = Place(0, before.head, before.time)
    else:
        start = Place(0, Head(Epoch(0), EntryId(found.first_id - 1), before.head.hash), b"")
    try:
        header = _read_header(file)
    except (OSError, LineError):
        return start
    if header is None or (follows and header.prev == before.head.hash.hex().encode()):
        return start
    head = Head(Epoch(0), EntryId(found.first_id - 1), unhexlify(header.prev))
    return Place(0, head, b"")


def _walk(file: File, found: Found, start: Place, *, log_id: LogId) -> tuple[GoodRun, Bad | None]:
    """Walk from a known place to the end of the file or the first bad batch."""
    segment = Segment(Place(0, start.head, start.time), start, is_sealed=False)
    segment.verified = start
    seals, bad = False, None
    while bad is None and segment.verified.offset < found.size:
        stretch = read_stretch(
            file, segment.verified, stop_offset=found.size, log_id=log_id, size=STRETCH_BYTES
        )
        if seals:
            reason = "bytes follow on the batch that seals the segment"
            bad = Bad(segment.verified.offset, reason, is_unfinished=False)
            break
        segment.take(stretch)
        seals, bad = stretch.seals, stretch.bad
    segment.stop = segment.verified
    segment.is_sealed = seals
    run = GoodRun(found, start, segment.stop, seals, segment if start.offset == 0 else None)
    return run, bad


def _next_good(file: File, found: Found, offset: int) -> Place | None:
    """Return where, behind a bad batch, a batch stands that is good by itself.

    Its trailer names its first id and the hash that it follows on; `{"id":N,` stands
    nowhere but at the beginning of an entry line, for inside a message its quotes are
    escaped. So the batch is found even where the end of the one before it is gone.
    """
    if found.size > _SEARCH_BYTES_MAX:
        return None
    payload = read_what_can_be_read(file, offset, found.size)
    at = 0
    while (at := payload.find(TRAILER_BEGINNING, at)) != -1:
        stop = payload.find(b"\n", at) + 1
        if not stop:
            return None
        try:
            trailer = parse_trailer(payload[at:stop])
        except LineError:
            at += 1
            continue
        start = _batch_start(payload, trailer, at)
        if start is not None and _is_in(found, trailer):
            prev = unhexlify(trailer.prev)
            digest = hash_after(prev, payload, start, stop - HASH_AND_END_BYTES)
            if digest == unhexlify(trailer.hash):
                head = Head(Epoch(0), EntryId(trailer.first_id - 1), prev)
                return Place(offset + start, head, b"")
        at = stop
    return None


def _batch_start(payload: bytes, trailer: Trailer, at: int) -> int | None:
    """Return where the batch of the trailer at `at` begins; a header line is never found,
    for a file's first batch has been tried before."""
    if trailer.last_id < trailer.first_id:
        return at
    start = payload.rfind(b'{"id":%d,' % trailer.first_id, 0, at)
    return None if start == -1 else start


def _is_in(found: Found, trailer: Trailer) -> bool:
    return found.first_id <= trailer.first_id and (
        found.stop_id is None or trailer.last_id < found.stop_id
    )
