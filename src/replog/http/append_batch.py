"""What `POST /logs` asks for, where it brings several messages: all of them, or none.

PURE. A batch is read by msgspec, which costs a third of the strict reader, and by that one
wherever the quick reader refuses, or a count of quotes cannot prove that no key is given
twice: the strict one has the last word, and names the line (docs/decisions/0061).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import msgspec
from msgspec import UNSET, UnsetType

from replog.http.append_request import EXAMPLE, AppendRequest, encode_text
from replog.http.append_terms import NOTHING_IN_HEADERS, HeaderTerms, agreed_terms, key_fault
from replog.http.json_body import (
    NotStrictError,
    after_spaces,
    kind_of,
    quoted,
    scan_members,
    scan_scalar,
)
from replog.http.limits import Limits
from replog.http.problems import ProblemError, refusal
from replog.storage.batch import encode_messages

ENTRY_FIELDS = ("message", "key")

_SPACE = b" \t\r\n"

_MAYBE_ENTRIES = 4
"""As many times its limit of entries may a batch seem to have and still be read at once: more
are counted while they are read, so that nobody makes the node hold a million of them."""


class _Entry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    message: str
    key: str | UnsetType = UNSET


_array_of = msgspec.json.Decoder(list[_Entry]).decode
_line_of = msgspec.json.Decoder(_Entry).decode


@dataclass(frozen=True, slots=True)
class Batch:
    """The body of a batch, and how it is written.

    Attributes:
        is_lines: an object a line; else one array.
    """

    body: bytes
    is_lines: bool

    @property
    def noun(self) -> str:
        return "line" if self.is_lines else "entry"

    @property
    def how(self) -> str:
        """What a correct body is, for a problem's detail."""
        if self.is_lines:
            return f"Send one JSON object a line, such as {EXAMPLE}."
        return f"Send an array of JSON objects, such as [{EXAMPLE}]."

    def refuse(self, name: str, line: int, what: str, **members: object) -> ProblemError:
        """Return the problem `name` of the entry that is the `line`-th, counted from 1."""
        return refusal(name, f"In {self.noun} {line}: {what}", line=line, **members)


def parse_batch(
    batch: Batch, query: bytes, limits: Limits, given: HeaderTerms = NOTHING_IN_HEADERS
) -> AppendRequest:
    """Return what a batch, the query and the headers ask for together.

    Raises:
        ProblemError: malformed-json, bad-field, bad-parameter, bad-header, bad-write-concern,
            too-large; with the member `line` where one entry is the reason.
    """
    size_max = limits.batch_body_bytes_max
    if len(batch.body) > size_max:
        what = f"The body is larger than {size_max} bytes, which is the limit of a batch. Split it."
        raise refusal("too-large", what, limit=size_max)
    terms = agreed_terms({}, query, given)
    entries = _read_quickly(batch, limits.batch_entries_max)
    if entries is None:
        entries = read_strictly(batch, limits.batch_entries_max)
    messages = _encoded(batch, entries, limits)
    keys = _keys(batch, entries, terms.key)
    return AppendRequest(
        messages, terms.concern, terms.timeout_s, keys, terms.expect, is_batch=True
    )


# --- the quick reader ----------------------------------------------------------------------


def _read_quickly(batch: Batch, entries_max: int) -> list[_Entry] | None:
    """Return the entries; None where the strict reader is to decide."""
    body = batch.body
    try:
        if batch.is_lines:
            lines = body.rstrip(_SPACE).split(b"\n", entries_max)
            entries = [*map(_line_of, lines)]
        elif body.count(b"}") > _MAYBE_ENTRIES * entries_max:
            return None
        else:
            entries = _array_of(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    is_proper = 1 <= len(entries) <= entries_max and _has_each_member_once(body, entries)
    return entries if is_proper else None


def _has_each_member_once(body: bytes, entries: Sequence[_Entry]) -> bool:
    r"""Whether it is sure that no entry gives a member twice, which msgspec does not say.

    Names and values of all members are strings, so each member has four quotes. Those inside
    of strings are written `\"`, a quote too, or `\u0022`, counted here as one; text that only
    looks like the latter makes the count too high, and leaves it to the strict reader.
    """
    members = 2 * len(entries) - [entry.key for entry in entries].count(UNSET)
    quotes = body.count(b'"')
    if b"\\" in body:
        quotes += body.count(b"\\u0022")
        quotes -= sum([entry.message.count('"') for entry in entries])
        quotes -= sum([entry.key.count('"') for entry in entries if isinstance(entry.key, str)])
    return quotes == 4 * members


# --- the strict reader ---------------------------------------------------------------------


def read_strictly(batch: Batch, entries_max: int) -> list[_Entry]:
    """Return the entries of `batch`, at least one.

    Raises:
        ProblemError: malformed-json, bad-field, too-large.
    """
    entries: list[_Entry] = []
    for line, entry in _lines(batch, entries_max) if batch.is_lines else _elements(batch):
        if entry is None or line > entries_max:
            raise refusal(
                "too-large",
                f"The batch has more than {entries_max} entries, which is the limit. Send "
                "several batches.",
                limit=entries_max,
            )
        entries.append(entry)
    return entries


def _lines(batch: Batch, entries_max: int) -> Iterator[tuple[int, _Entry | None]]:
    """Yield the entry of each line with its number, and None for one more than allowed."""
    body = batch.body.rstrip(_SPACE)
    if not body:
        raise refusal("malformed-json", f"The body holds no entry. {batch.how}")
    for line, raw in enumerate(body.split(b"\n", entries_max), start=1):
        if line > entries_max:
            yield line, None
            return
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise _not_utf8(batch, line, raw, error) from error
        start = after_spaces(text, 0)
        if start == len(text):
            raise batch.refuse("malformed-json", line, f"it is empty. {batch.how}")
        entry, end = _scan(batch, line, text, start)
        if after_spaces(text, end) != len(text):
            raise batch.refuse(
                "malformed-json",
                line,
                f"more stands behind column {end} (curl keeps line ends with --data-binary, not "
                f"with -d). {batch.how}",
            )
        yield line, entry


def _elements(batch: Batch) -> Iterator[tuple[int, _Entry]]:
    """Yield each element of the array with its place."""
    body = batch.body
    not_utf8: UnicodeDecodeError | None = None
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        not_utf8 = error
        text = body.decode(errors="replace")
    bad_at = len(text) if not_utf8 is None else len(body[: not_utf8.start].decode())
    at = after_spaces(text, after_spaces(text, 0) + len("["))
    if text.startswith("]", at):
        raise refusal("malformed-json", f"The body is an array without entries. {batch.how}")
    for line in count(1):
        entry, at = _scan(batch, line, text, at)
        if at > bad_at and not_utf8 is not None:
            raise _not_utf8(batch, line, body, not_utf8) from not_utf8
        yield line, entry
        at = after_spaces(text, at)
        if not text.startswith(",", at):
            break
        at = after_spaces(text, at + 1)
    if not text.startswith("]", at) or after_spaces(text, at + 1) != len(text):
        what = "neither another entry nor the end of the array and the body stands behind it"
        raise batch.refuse("malformed-json", line, f"{what}. {batch.how}")


def _scan(batch: Batch, line: int, text: str, start: int) -> tuple[_Entry, int]:
    """Return the entry at `start`, and where it ends.

    Raises:
        ProblemError: at the first that is wrong, so that no more of it is read or made.
    """
    try:
        if not text.startswith("{", start):
            value, _ = scan_scalar(text, start)
            what = f"{kind_of(value)} stands there, not an object. {batch.how}"
            raise batch.refuse("malformed-json", line, what)
        members, end = scan_members(text, start, ENTRY_FIELDS)
        return _entry_of(batch, line, members), end
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno} of the body"
        if batch.is_lines:
            where = f"column {error.colno}"
        what = f"it is not JSON: {error.msg} at {where}. {batch.how}"
        raise batch.refuse("malformed-json", line, what) from error
    except NotStrictError as error:
        raise batch.refuse("malformed-json", line, f"{error}. {batch.how}") from error


def _not_utf8(batch: Batch, line: int, body: bytes, error: UnicodeDecodeError) -> ProblemError:
    what = f"it is not UTF-8: byte 0x{body[error.start]:02x} at offset {error.start}"
    return batch.refuse(
        "malformed-json", line, f"{what} of the {'line' if batch.is_lines else 'body'}."
    )


def _entry_of(batch: Batch, line: int, members: Mapping[str, object]) -> _Entry:
    for name, value in members.items():
        if name not in ENTRY_FIELDS:
            raise batch.refuse(
                "bad-field",
                line,
                f"the field {quoted(name)} is unknown: an entry of a batch takes message and key. "
                "What is said of the whole batch (w, timeout, expect) stands in the query.",
                field=quoted(name)[1:-1],
            )
        if not isinstance(value, str):
            what = f'the field "{name}" is {kind_of(value)}, and must be a string.'
            raise batch.refuse("bad-field", line, what, field=name)
    text, key = members.get("message"), members.get("key", UNSET)
    if not isinstance(text, str):
        raise batch.refuse("bad-field", line, 'the field "message" is missing.', field="message")
    assert isinstance(key, str | UnsetType), key
    return _Entry(text, key)


# --- what was read -------------------------------------------------------------------------


def _encoded(batch: Batch, entries: Sequence[_Entry], limits: Limits) -> tuple[bytes, ...]:
    """Return the messages as the log holds them, each within its limit."""
    try:
        messages = encode_messages([entry.message for entry in entries])
    except UnicodeEncodeError:
        messages = ()
    if messages and max(map(len, messages)) - 2 <= limits.message_bytes_max:
        return messages
    return tuple(_encode_with_line(batch, line, e, limits) for line, e in enumerate(entries, 1))


def _encode_with_line(batch: Batch, line: int, entry: _Entry, limits: Limits) -> bytes:
    try:
        return encode_text(entry.message, limits)
    except ProblemError as error:
        problem = error.problem
        raise batch.refuse(problem.kind.name, line, problem.detail, **problem.members) from error


def _keys(batch: Batch, entries: Sequence[_Entry], of_batch: str | None) -> tuple[str | None, ...]:
    """Return the keys as `AppendRequested.keys` holds them (P6)."""
    own = [None if entry.key is UNSET else entry.key for entry in entries]
    if own.count(None) == len(own):
        if of_batch is None:
            return ()
        return (of_batch,) if len(own) == 1 else (of_batch, *own[1:-1], of_batch)
    lines: dict[str, int] = {}
    for line, key in enumerate(own, start=1):
        if key is None:
            continue
        fault = key_fault(key)
        if fault is None and of_batch is not None:
            fault = "is given, and one for the whole batch too; give one or the other"
        if fault is None and key in lines:
            fault = f"is {quoted(key)}, which {batch.noun} {lines[key]} has already"
        if fault is not None:
            raise batch.refuse("bad-field", line, f'the field "key" {fault}.', field="key")
        lines[key] = line
    return tuple(own)
