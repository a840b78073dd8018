"""The three kinds of lines of format 1: entry, segment header, batch trailer.

PURE. docs/storage-format.md is the reference; what is called canonical there is what the
functions here write, and byte for byte what the patterns here accept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NoReturn, cast

import msgspec

from replog.core.entry import EntryId, Epoch, Head, LogId
from replog.core.errors import FormatError, ReplogError
from replog.storage.timestamps import TIME_OF_DAY

FORMAT = 1

KEY_BYTES_MAX = 255
"""Longest idempotency key, in bytes of UTF-8."""

BATCH_BYTES_MAX = 32 * 1024 * 1024
"""Longest batch, from the end of the trailer before it to the end of its own."""

NUMBER_MAX = 2**53 - 1
"""Highest id and epoch: what every JSON reader reads exactly (RFC 7493, section 2.2)."""

HEADER_BEGINNING = b'{"segment":{'
ENTRY_BEGINNING = b'{"id":'
TRAILER_BEGINNING = b'{"batch":{'

LINE_END = b'"}}\n'
HASH_AND_END_BYTES = 64 + len(LINE_END)
"""What stands after the hashed bytes of a batch: the hash's digits and the line's end."""

TIME_BYTES = 24
"""A time as `timestamps.format_time` writes it."""

TRAILER_BYTES_MIN = (
    len('{"batch":{"first":1,"last":1,"epoch":1,"commit":0,"time":"')
    + TIME_BYTES
    + len('","prev":"","hash":"')
    + 64
    + HASH_AND_END_BYTES
)
"""No trailer line is shorter, its newline counted."""

_NUMBER = rb"(0|[1-9][0-9]{0,15})"
_HASH = rb"([0-9a-f]{64})"

PLAIN_TRAILER = re.compile(
    rb'\{"batch":\{"first":' + _NUMBER + rb',"last":' + _NUMBER + rb',"epoch":' + _NUMBER
    + rb',"commit":' + _NUMBER + rb',"time":"(.{10}' + TIME_OF_DAY + rb')"'
    + rb'(?:,"keys":(\{[ -\[\]-~]+\}))?(,"seal":true)?'
    + rb',"prev":"(.{64})","hash":"(.{64})"\}\}\n'
)  # fmt: skip
"""A trailer that carries nothing special but keys in printable ASCII: nearly all of them.

The day and both hashes are still to be compared: with dots for them it costs a fifth of the
exact pattern. The keys are `plain_keys`'s to read.
"""

_TRAILER_START = re.compile(
    rb'\{"batch":\{"first":' + _NUMBER + rb',"last":' + _NUMBER + rb',"epoch":' + _NUMBER
    + rb',"commit":' + _NUMBER + rb',"time":"([^"]{%d})"' % TIME_BYTES
)  # fmt: skip
_TRAILER_STOP = re.compile(rb',"prev":"' + _HASH + rb'","hash":"' + _HASH + rb'"\}\}\n')
_TRAILER_STOP_BYTES = len(',"prev":"') + 64 + len('","hash":"') + HASH_AND_END_BYTES
_ANY_HEADER = re.compile(
    rb'\{"segment":\{"format":' + _NUMBER + rb',"log_id":"([0-9A-Za-z._:-]{1,64})","first":'
    + _NUMBER + rb'(,.*)?,"prev":"' + _HASH + rb'"\}\}\n'
)  # fmt: skip
_KEYS = b',"keys":'
_SEAL = b',"seal":true'
_LOG_ID = re.compile(r"[0-9A-Za-z._:-]{1,64}")
_TRAILER_FIXED = frozenset(("first", "last", "epoch", "commit", "time", "prev", "hash"))
_HEADER_FIXED = frozenset(("format", "log_id", "first", "prev"))

TRAILER_GROUPS_HASH: Final = 9
"""The group of `PLAIN_TRAILER` that is the batch's own hash."""

NO_KEYS: Mapping[EntryId, str] = MappingProxyType({})
"""What nearly all batches have, shared."""

_encode_json = msgspec.json.Encoder().encode
_decode_keys = msgspec.json.Decoder(dict[str, str]).decode
_decode_plain_keys = msgspec.json.Decoder(dict[EntryId, str]).decode


class LimitError(ReplogError):
    """A key or a batch is longer than format 1 allows; nothing was stored."""


class LineError(ReplogError):
    """A line that is not what format 1 says; its text is the reason."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """What a segment's first line says. `prev` is the hash of the log before it, in hex."""

    format: int
    log_id: LogId
    first_id: EntryId
    prev: bytes
    unknown_musts: tuple[str, ...] = ()


class Trailer(msgspec.Struct, frozen=True, gc=False):
    """What a batch's last line says. `prev` and `hash` are hex digits, `time` is RFC 3339."""

    first_id: EntryId
    last_id: EntryId
    epoch: Epoch
    committed_id: EntryId
    time: bytes
    prev: bytes
    hash: bytes
    seal: bool = False
    keys: Mapping[EntryId, str] = NO_KEYS
    unknown_musts: tuple[str, ...] = ()


# --- writing ------------------------------------------------------------------------------


def encode_message(text: str) -> bytes:
    """Return `text` as a compact JSON string in canonical form, quotes included.

    Raises:
        ValueError: `text` holds a lone surrogate, which UTF-8 cannot write.
    """
    return _encode_json(text)


def encode_messages(texts: Iterable[str]) -> tuple[bytes, ...]:
    """Return each of `texts` as `encode_message` does. Raises: ValueError."""
    return tuple(map(_encode_json, texts))


def entry_line(id: EntryId, message: bytes) -> bytes:
    """Return the line of one entry; `message` is a JSON string as `encode_message` makes."""
    return b'{"id":%d,"message":%b}\n' % (id, message)


def header_line(log_id: LogId, first_id: EntryId, prev: bytes) -> bytes:
    """Return a segment's first line; `prev` is the hash of the batch before it, 32 bytes."""
    assert _LOG_ID.fullmatch(log_id), log_id
    return b'{"segment":{"format":%d,"log_id":"%b","first":%d,"prev":"%b"}}\n' % (
        FORMAT,
        log_id.encode(),
        first_id,
        prev.hex().encode(),
    )


def trailer_until_hash(
    *,
    after: Head,
    last_id: EntryId,
    epoch: Epoch,
    committed_id: EntryId,
    time: bytes,
    keys: Mapping[EntryId, str],
    seal: bool,
) -> bytes:
    """Return a trailer up to where the digits of its hash begin.

    Raises:
        LimitError: a key is too long.
    """
    return (
        b'{"batch":{"first":%d,"last":%d,"epoch":%d,"commit":%d,"time":"%b"%b%b,"prev":"%b"'
        b',"hash":"'
        % (
            after.last_id + 1,
            last_id,
            epoch,
            committed_id,
            time,
            _KEYS + _encode_keys(keys) if keys else b"",
            _SEAL if seal else b"",
            after.hash.hex().encode(),
        )
    )


def _encode_keys(keys: Mapping[EntryId, str]) -> bytes:
    for entry_id, key in keys.items():
        if 4 * len(key) > KEY_BYTES_MAX and len(key.encode()) > KEY_BYTES_MAX:
            raise LimitError(
                f"the idempotency key of entry {entry_id} has {len(key.encode())} bytes of UTF-8, "
                f"{KEY_BYTES_MAX} is the most; use a shorter one"
            )
    return _encode_json({str(entry_id): keys[entry_id] for entry_id in sorted(keys)})


# --- reading ------------------------------------------------------------------------------


def id_of_last(lines: bytes) -> EntryId:
    """Return the id of the last of at least one whole entry line."""
    start = lines.rfind(b"\n", 0, -1) + 1 + len(ENTRY_BEGINNING)
    return EntryId(int(lines[start : lines.index(b",", start)]))


def parse_trailer(line: bytes) -> Trailer:
    """Return what a trailer line says, whatever it carries; `line` ends in its newline.

    See `PLAIN_TRAILER` for the quick way.

    Raises:
        LineError: it is no trailer of format 1.
    """
    start = _TRAILER_START.match(line)
    stop = _TRAILER_STOP.fullmatch(line, max(0, len(line) - _TRAILER_STOP_BYTES))
    if start is None or stop is None or start.end() > stop.start():
        raise LineError("the trailer has not the form of format 1")
    first, last, epoch, commit, time = start.groups()
    prev, hash_ = stop.groups()
    rest = line[start.end() : stop.start()]
    extra = _usual_members(rest) or _members(rest, _TRAILER_FIXED)
    seal = extra.get("seal", False)
    if "seal" in extra and seal is not True:
        raise LineError('the trailer\'s "seal" is not true')
    return Trailer(
        EntryId(int(first)),
        EntryId(int(last)),
        Epoch(int(epoch)),
        EntryId(int(commit)),
        time,
        prev,
        hash_,
        bool(seal),
        _keys(extra, first=int(first), last=int(last)),
        _unknown_musts(extra),
    )


def plain_keys(written: bytes | None, *, first: int, last: int) -> Mapping[EntryId, str] | None:
    """Return what the group of `PLAIN_TRAILER` that holds the keys says.

    None leaves it to `parse_trailer`: they are written in another way than a writer writes
    them, or are wrong.
    """
    if written is None:
        return NO_KEYS
    try:
        keys = _decode_plain_keys(written)
    except msgspec.DecodeError:
        return None
    is_plain = (
        _encode_json(keys) == written  # no space, no 0 before a number, no name twice
        and first <= min(keys) <= max(keys) <= last
        and max(map(len, keys.values())) <= KEY_BYTES_MAX  # a character is a byte
    )
    return keys if is_plain else None


def parse_header(line: bytes) -> Header:
    """Return what a segment's first line says; `line` ends in its newline.

    A format other than 1 is no error here: whether the line is to be believed is known
    only when the hash of its batch has been compared.

    Raises:
        LineError: it is no header line.
    """
    match = _ANY_HEADER.fullmatch(line)
    if match is None:
        raise LineError("the segment's header line has not the form of format 1")
    version, log_id, first, rest, prev = match.groups()
    musts = _unknown_musts(_members(rest or b"", _HEADER_FIXED))
    return Header(int(version), LogId(log_id.decode()), EntryId(int(first)), prev, musts)


def refuse_unknown(line: Header | Trailer) -> None:
    """Stop a reader that does not understand what it must (only after the hash agreed).

    Raises:
        FormatError: the line asks for something that this version does not know.
    """
    if isinstance(line, Header) and line.format != FORMAT:
        raise FormatError(
            f"the segment from id {line.first_id} on is written in format {line.format}, this "
            f"version knows format {FORMAT}; use a newer version"
        )
    if line.unknown_musts:
        raise FormatError(
            f"the batch from id {line.first_id} on needs {', '.join(line.unknown_musts)} to be "
            "understood, which this version does not; use a newer version"
        )


def _usual_members(rest: bytes) -> dict[str, object] | None:
    """Return keys and seal where these alone stand there, as a writer writes them.

    This costs a tenth of `_members`, which decides about everything else.
    """
    seal: dict[str, object] = {"seal": True} if rest.endswith(_SEAL) else {}
    written = rest.removesuffix(_SEAL)
    if not written.startswith(_KEYS):
        return None
    try:
        keys = _decode_keys(written[len(_KEYS) :])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if _KEYS + _encode_json(keys) != written:  # spaces, other escapes, a name twice
        return None
    return {"keys": keys, **seal}


def _members(rest: bytes, fixed: frozenset[str]) -> dict[str, object]:
    """Return the members between a line's fixed ones; any JSON, no name twice."""
    if not rest:
        return {}
    if not rest.startswith(b","):
        raise LineError("the line has not the form of format 1")
    try:
        members = json.loads(
            (b"{" + rest[1:] + b"}").decode(),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_int=float,  # int refuses numbers of thousands of digits, JSON does not
        )
    except (ValueError, RecursionError) as error:
        raise LineError(f"a member of the line is no JSON: {error}") from error
    assert isinstance(members, dict), members
    if not members:
        raise LineError("a comma of the line has no member behind it")
    if not fixed.isdisjoint(members):
        raise LineError(f"the line says {sorted(fixed & members.keys())} twice")
    return cast(dict[str, object], members)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _keys(extra: Mapping[str, object], *, first: int, last: int) -> Mapping[EntryId, str]:
    if "keys" not in extra:
        return NO_KEYS
    members = extra["keys"]
    if not isinstance(members, dict):
        raise LineError('the trailer\'s "keys" is no object')
    keys: dict[EntryId, str] = {}
    for name, key in members.items():
        if not _is_number(name) or not first <= int(name) <= last:
            raise LineError(f'the trailer\'s "keys" names {name!r}, no id of its batch')
        if not isinstance(key, str):
            raise LineError(f"the key of entry {name} is no string")
        try:
            size = len(key.encode())
        except UnicodeEncodeError as error:
            raise LineError(f"the key of entry {name} holds a lone surrogate") from error
        if size > KEY_BYTES_MAX:
            raise LineError(f"the key of entry {name} is longer than {KEY_BYTES_MAX} bytes")
        keys[EntryId(int(name))] = key
    return keys


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and name[0] != "0" and len(name) <= 16


def _unknown_musts(extra: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names under "must": format 1 knows none, so each is unknown."""
    if "must" not in extra:
        return ()
    musts = extra["must"]
    if not isinstance(musts, dict):
        raise LineError('the line\'s "must" is no object')
    return tuple(str(name) for name in musts)
