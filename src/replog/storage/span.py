"""Finding the batches in bytes of format 1.

PURE. Nothing is hashed or checked here: `run` does that. Offsets count from the beginning
of the given bytes.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Iterator, Mapping

import msgspec

from replog.core.entry import EntryId, Epoch, Head
from replog.core.errors import ReplogError
from replog.storage.lines import (
    BATCH_BYTES_MAX,
    HEADER_BEGINNING,
    LINE_END,
    PLAIN_TRAILER,
    TRAILER_BEGINNING,
    TRAILER_BYTES_MIN,
    LineError,
    Trailer,
    parse_trailer,
    plain_keys,
)

NEXT_TRAILER = b"\n" + TRAILER_BEGINNING
_HASH_DIGITS = re.compile(rb"[0-9a-f]{64}")
TRAILER_LINE = re.compile(
    re.escape(TRAILER_BEGINNING)
    + rb"(?s:.{%d})[^\n]*\n" % (TRAILER_BYTES_MIN - len(TRAILER_BEGINNING) - 1)
)
"""A trailer line among verified lines: what every trailer has at least is jumped over, unread."""


class BadBatch(ReplogError):
    """Bytes that are not the batches that should follow.

    Attributes:
        offset: where the first batch that is not good begins.
        reason: what did not agree, for people.
    """

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"the batch at byte {offset} is not good: {reason}")
        self.offset = offset
        self.reason = reason


class Unfinished(Exception):
    """There is no trailer line in the rest of the bytes."""


class BatchSpan(msgspec.Struct, frozen=True, gc=False):
    """One batch in a run of bytes.

    Attributes:
        last_id: `first_id - 1` where the batch covers no entry.
        start: where its first byte is, that of the header line included.
        entries_start: where its entry lines begin.
        entries_stop: where its entry lines end and its trailer begins.
        stop: where the next batch begins.
        committed_id: what was known to be committed when it was made.
        time: when it was made, RFC 3339, as it stands there.
        seal: it ends its segment.
        prev: the hash before it.
    """

    first_id: EntryId
    last_id: EntryId
    epoch: Epoch
    hash: bytes
    start: int
    entries_start: int
    entries_stop: int
    stop: int
    committed_id: EntryId
    time: bytes
    seal: bool
    prev: bytes
    keys: Mapping[EntryId, str]

    @property
    def head(self) -> Head:
        return Head(self.epoch, self.last_id, self.hash)


def trailer_after(payload: bytes, entries_start: int, start: int) -> tuple[int, Trailer, int]:
    """Find the trailer of the batch that begins at `start`: where it begins, it, its end.

    Raises:
        Unfinished: the bytes end before it does.
        LineError: what ends the batch is no trailer, or the batch is too long.
    """
    if payload.startswith(TRAILER_BEGINNING, entries_start):  # it covers no id
        entries_stop = entries_start
    else:
        before = payload.find(NEXT_TRAILER, entries_start)
        if before == -1:
            raise _without_trailer(payload, start)
        entries_stop = before + 1
    match = PLAIN_TRAILER.match(payload, entries_stop)
    if match is None:
        return _unusual_trailer(payload, entries_stop, start)
    if match.end() - start > BATCH_BYTES_MAX:
        raise LineError(f"it is longer than {BATCH_BYTES_MAX} bytes")
    first, last, epoch, committed, time, written, seal, prev, digits = match.groups()
    first_id, last_id = EntryId(int(first)), EntryId(int(last))
    keys = plain_keys(written, first=first_id, last=last_id)
    if keys is None:
        return _unusual_trailer(payload, entries_stop, start)
    trailer = Trailer(
        first_id,
        last_id,
        Epoch(int(epoch)),
        EntryId(int(committed)),
        time,
        prev,
        digits,
        seal is not None,
        keys=keys,
    )
    return entries_stop, trailer, match.end()


def _unusual_trailer(payload: bytes, entries_stop: int, start: int) -> tuple[int, Trailer, int]:
    """`trailer_after` for trailers that carry more, are cut off, or are none."""
    stop = payload.find(b"\n", entries_stop) + 1
    if stop == 0:
        raise _without_trailer(payload, start)
    if stop - start > BATCH_BYTES_MAX:
        raise LineError(f"it is longer than {BATCH_BYTES_MAX} bytes")
    return entries_stop, parse_trailer(payload[entries_stop:stop]), stop


def _without_trailer(payload: bytes, start: int) -> Unfinished | LineError:
    if len(payload) - start >= BATCH_BYTES_MAX:
        return LineError(f"no trailer ends it within {BATCH_BYTES_MAX} bytes")
    return Unfinished("the bytes end before its trailer does")


def spans(payload: bytes, start: int = 0) -> Iterator[BatchSpan]:
    """Yield the batches from `start`, where one begins, as far as they are whole.

    Nothing is hashed or checked: only for bytes that have been verified. An unfinished
    batch at the end is left out.

    Raises:
        BadBatch: the bytes are no batches after all.
    """
    while start < len(payload):
        entries_start = start
        if payload.startswith(HEADER_BEGINNING, start):
            entries_start = payload.find(b"\n", start) + 1
        try:
            entries_stop, trailer, stop = trailer_after(payload, entries_start, start)
        except Unfinished:
            return
        except LineError as error:
            raise BadBatch(start, str(error)) from error
        yield BatchSpan(
            trailer.first_id,
            trailer.last_id,
            trailer.epoch,
            unhexlify(trailer.hash),
            start,
            entries_start,
            entries_stop,
            stop,
            trailer.committed_id,
            trailer.time,
            trailer.seal,
            unhexlify(trailer.prev),
            trailer.keys,
        )
        start = stop


def looks_complete(payload: bytes, start: int = 0) -> bool:
    """Say whether a line from `start` on ends as a trailer does (Opening rule 1).

    A header line ends alike, but for the name of its last member.
    """
    end = payload.find(LINE_END, start)
    while end != -1:
        digits = end - 64
        if (
            digits >= start
            and _HASH_DIGITS.fullmatch(payload, digits, end)
            and not payload.endswith(b'"prev":"', start, digits)
        ):
            return True
        end = payload.find(LINE_END, end + 1)
    return False
