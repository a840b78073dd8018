"""Checking the entry lines of a batch.

PURE. docs/storage-format.md is the reference.
"""

from __future__ import annotations

import re

import msgspec

_READ_AT_ONCE_BYTES = 2 * 1024 * 1024
"""Lines that are held as objects meanwhile, and written again: a batch may have 32 MiB (P10)."""

ENTRY = re.compile(rb'^\{"id":([1-9][0-9]{0,15}),"message":".*"\}\n', re.MULTILINE)
STRICT_ENTRY = re.compile(
    rb'^\{"id":([1-9][0-9]{0,15}),"message":"[^"\\\x00-\x1f]*+'
    rb'(?:\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))[^"\\\x00-\x1f]*+)*+"\}\n',
    re.MULTILINE,
)


class _EntryLine(msgspec.Struct, gc=False):
    """An entry line; the order of the members is that of the format."""

    id: int
    message: str


_decode_entries = msgspec.json.Decoder(_EntryLine).decode_lines
_encode_entries = msgspec.json.Encoder().encode_lines


def entries_fault(
    payload: bytes, start: int, stop: int, first_id: int, last_id: int, *, strict: bool
) -> str:
    """Return what is wrong with the entry lines in `payload[start:stop]`, "" if nothing is.

    Args:
        strict: compare each message with the canonical form of JSON.
    """
    is_short = stop - start <= _READ_AT_ONCE_BYTES
    if is_short and first_id != last_id and are_canonical(payload[start:stop], first_id, last_id):
        return ""
    if strict:
        try:
            payload[start:stop].decode()
        except UnicodeDecodeError as error:
            return f"its entries are not UTF-8 ({error.reason})"
    pattern = STRICT_ENTRY if strict else ENTRY
    if first_id == last_id:
        match = pattern.match(payload, start, stop)
        if match is None or match.end() != stop or match[1] != b"%d" % first_id:
            return f"its lines are not the one entry {first_id}"
        return ""
    count = last_id - first_id + 1
    ids = pattern.findall(payload, start, stop)
    if len(ids) != count or payload.count(b"\n", start, stop) != count:
        return f"its lines are not {count} entries"
    if list(map(int, ids)) != list(range(first_id, last_id + 1)):
        return f"its ids are not {first_id} to {last_id}, one by one"
    return ""


def are_canonical(lines: bytes, first_id: int, last_id: int) -> bool:
    """Whether `lines` are surely the entries from `first_id` to `last_id` as they are written.

    They are read and written again, which costs a third of what the patterns do (not for a
    single one): those decide where this says no.
    """
    try:
        entries = _decode_entries(lines)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if len(entries) != last_id - first_id + 1:  # before a range is made of what they claim
        return False
    ids = [entry.id for entry in entries]
    return ids == list(range(first_id, last_id + 1)) and _encode_entries(entries) == lines
