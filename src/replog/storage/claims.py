"""What bytes that do not verify still say about how far the log went.

PURE.
"""

from __future__ import annotations

import re

from replog.core.entry import EntryId
from replog.storage.lines import (
    HASH_AND_END_BYTES,
    HEADER_BEGINNING,
    LINE_END,
    NUMBER_MAX,
    TRAILER_BEGINNING,
)
from replog.storage.span import looks_complete

_TRAILER_END = re.compile(rb'(?<!"prev":")[0-9a-f]{64}"\}\}\n')
_HASH_MEMBER = b'"hash":"'
_LAST = re.compile(rb'"last":([1-9][0-9]{0,15}),')
_ENTRY = re.compile(rb'\{"id":([1-9][0-9]{0,15}),')

_HEX_DIGITS = frozenset(b"0123456789abcdef")
_ROTTEN_BYTES_MAX = 4
"""A write that was torn lacks more of a trailer's end than this, or was lost with it."""


def may_have_counted(tail: bytes) -> bool:
    """Say whether a bad end of the log holds what was once a whole batch (Opening rule 1).

    It does if a line in it ends as a trailer does, and also if the last one has the length
    of a trailer and nearly its end: a torn write leaves the end away, rot only changes it.
    """
    return looks_complete(tail) or _ends_nearly_as_a_trailer(tail)


def _ends_nearly_as_a_trailer(tail: bytes) -> bool:
    start = tail.rfind(_HASH_MEMBER)
    end = tail[start + len(_HASH_MEMBER) :][:HASH_AND_END_BYTES]
    if start == -1 or len(end) < HASH_AND_END_BYTES:
        return False
    digits, line_end = end[: -len(LINE_END)], end[-len(LINE_END) :]
    rotten = sum(byte not in _HEX_DIGITS for byte in digits)
    rotten += sum(byte != right for byte, right in zip(line_end, LINE_END, strict=True))
    return rotten <= _ROTTEN_BYTES_MAX


def claimed_id(payload: bytes, *, after: EntryId, known: EntryId) -> EntryId:
    """Return the highest id that bad bytes behind `after` may have held, acknowledged.

    Only bytes up to what was a trailer speak: without it nothing counted. They say it three
    times, in the trailer, in the ids and by the number of lines; rot in one of the three
    is outvoted by the other two.

    Args:
        known: up to here the log is known to have been durable, whatever the bytes say.
    """
    if _ends_nearly_as_a_trailer(payload):
        whole = payload
    else:
        ends = [match.end() for match in _TRAILER_END.finditer(payload)]
        whole = payload[: ends[-1]] if ends else b""
    entries = [int(digits) for digits in _ENTRY.findall(whole)]
    by_trailer = max((int(digits) for digits in _LAST.findall(whole)), default=0)
    lines = whole.count(b"\n") - whole.count(TRAILER_BEGINNING) - whole.count(HEADER_BEGINNING)
    votes = sorted((by_trailer, max(entries, default=0), after + lines))
    return EntryId(max(known, after, min(votes[1], NUMBER_MAX)))
