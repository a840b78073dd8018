"""The heads of requests for a plain append, as they came before.

NETWORK. A client says the same each time, but for the length of the body. The same bytes mean the
same: a head that was parsed once need not be parsed again. Plain is one that leaves all else to
the body and the query, but for a key: no condition, nothing about the connection (decision 0082).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from starlette.types import Scope

from replog.http.answer import is_append
from replog.http.append_terms import EXPECT_HEADER, KEY_HEADER
from replog.http.body import APPEND_KINDS, BodyKind, kind_of_body
from replog.http.problems import ProblemError

HEADS_MAX: Final = 1024
HEAD_BYTES_MAX: Final = 1024
"""Together a bound of a megabyte. Most heads have 60 to 200 bytes."""

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length"
_KEY_LINES: Final = (b"\r\nIdempotency-Key: ", b"\r\nidempotency-key: ")
_VALUE: Final = re.compile(rb"[!-~](?:[ -~]*[!-~])?")
_UNUSUAL: Final = frozenset(
    {EXPECT_HEADER, b"transfer-encoding", b"expect", b"upgrade", b"connection"}
)
"""Headers that ask for more than an append, or change how its connection goes on."""


class PlainAppend(NamedTuple):
    """The body of an append, the query of its URL, and the value of its key's header."""

    body: bytes
    query: bytes
    key: bytes | None


class _Known(NamedTuple):
    """What the parser found in a head: the length of the body, and the query."""

    size: int
    query: bytes


class PlainHeads:
    """Plain heads, each with the length of the body that it announces, and its query.

    Invariant: each was read by the HTTP parser, alone with its body, at the beginning of a
    message, and stands here with what that found. One with a key stands here as what is
    before the key's value and what is behind it: in its place may be any other that is made of
    visible characters, and of blanks between them.
    """

    def __init__(self) -> None:
        self._known: dict[bytes | tuple[bytes, bytes], _Known] = {}

    def __len__(self) -> int:
        return len(self._known)

    def append_in(self, data: bytes) -> PlainAppend | None:
        """Return what is asked where `data` is a plain head and its whole body, else None."""
        stop = data.find(_END, 0, HEAD_BYTES_MAX) + len(_END)
        head, key = data[:stop], None
        known = self._known.get(head)
        if known is None and (parts := _around_key(head)) is not None:
            key = parts[1]
            known = self._known.get((parts[0], parts[2]))
        if known is None or len(data) != stop + known.size:
            return None
        return PlainAppend(data[stop:], known.query, key)

    def learn(self, data: bytes, scope: Scope) -> None:
        """Note the head in `data`, if it is a plain one.

        Args:
            data: what the parser took for one whole message that keeps its connection open.
            scope: what it found in it.
        """
        if not is_append(scope) or scope["http_version"] != "1.1":
            return
        headers = scope["headers"]
        names = [name for name, _ in headers]
        stop = data.find(_END, 0, HEAD_BYTES_MAX) + len(_END)
        head = data[:stop]
        has_all = head.count(b"\n") == head.count(b"\r\n") == 2 + len(headers)
        if not has_all or names.count(_LENGTH) != 1 or not _is_plain(headers):
            return
        if len(data) != stop + int(dict(headers)[_LENGTH]):
            return
        place: bytes | tuple[bytes, bytes] = head
        if KEY_HEADER in names:
            parts = _around_key(head)
            if parts is None or names.count(KEY_HEADER) != 1:
                return
            place = (parts[0], parts[2])
        if len(self._known) >= HEADS_MAX:
            self._known.clear()  # what is in use is back at once
        self._known[place] = _Known(len(data) - stop, scope["query_string"])


def _around_key(head: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return what is before the value of the key's header, that, and what is behind it."""
    for line in _KEY_LINES:
        start = head.find(line) + len(line)
        if start >= len(line):
            stop = head.find(b"\r\n", start)
            value = head[start:stop]
            return (head[:start], value, head[stop:]) if _VALUE.fullmatch(value) else None
    return None


def _is_plain(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    fields = dict(headers)
    try:
        kind = kind_of_body(fields, APPEND_KINDS)
    except ProblemError:
        return False
    return kind is BodyKind.JSON and _UNUSUAL.isdisjoint(fields)
