"""What a read asks for: which entries, how fresh, and in which form.

PURE. docs/http.md is the reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote

from replog.core.entry import EntryId
from replog.http.accept import preferred, quality
from replog.http.problems import refusal
from replog.http.query import moment_ms, one_of, parse_query, seconds, whole_number
from replog.node.views import ANY, Freshness

FRESHNESS_PARAMETERS = ("min_id", "max_lag_ms", "level", "timeout")
READ_PARAMETERS = ("from", "limit", "last", "since", "wait", *FRESHNESS_PARAMETERS)

LEVELS = ("committed", "master")
"""What a read may be checked against; the first is the default."""

FRESH_WITHIN_S = 10.0
"""How long a read waits to be as fresh as it asks, unless it says."""

FRESH_WITHIN_S_MAX = 3600
WAIT_S_MAX = 300

_KEPT_IN_LINKS = ("wait", *FRESHNESS_PARAMETERS)
_ETAG = re.compile(rb'(?:W/)?("[^"]*")')


class Form(Enum):
    """In which form entries are sent: the name in an ETag, and the media type."""

    JSON = ("json", b"application/json")
    LINES = ("lines", b"application/x-ndjson")

    @property
    def media_type(self) -> bytes:
        return self.value[1]


_FORMS = {
    "application/json": Form.JSON,
    "application/x-ndjson": Form.LINES,
    "application/ndjson": Form.LINES,
    "application/jsonl": Form.LINES,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the headers say.

    Attributes:
        may_gzip: the client takes gzip, and likes it no less than what is not compressed.
        known: entity tags of what the client has already; b"*" alone is any.
    """

    form: Form
    may_gzip: bool
    known: tuple[bytes, ...]


PLAIN = Wish(Form.JSON, may_gzip=False, known=())


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Which entries, from the query.

    Attributes:
        first: None where it follows from `last` or `since_ms`, else 1 or more.
        limit: entries at the most.
        last: so many at the end.
        since_ms: those stored at or after it.
        wait_s: how long to wait for the first one.
        kept: parameters that belong into the link to the next page, percent-encoded.
    """

    first: EntryId | None
    limit: int | None
    last: int | None
    since_ms: int | None
    wait_s: float | None
    freshness: Freshness
    kept: str

    @property
    def is_repeatable(self) -> bool:
        """Whether it asks for a page that is the same whenever it is full."""
        return bool(self.limit) and self.last is None and self.wait_s is None

    def next_link(self, first: int) -> bytes:
        """Return the Link to the page that begins with `first` (RFC 8288)."""
        return f'</logs?from={first}&limit={self.limit}{self.kept}>; rel="next"'.encode()


EVERYTHING = ReadRequest(EntryId(1), None, None, None, None, ANY, "")


def parse_read(query: bytes) -> ReadRequest:
    """Return what the query of `GET /logs` asks for.

    Raises:
        ProblemError: bad-parameter.
    """
    if not query:
        return EVERYTHING
    parameters = parse_query(query, known=READ_PARAMETERS)
    first = whole_number(parameters, "from", minimum=1)
    last = whole_number(parameters, "last", minimum=0)
    since_ms = moment_ms(parameters, "since")
    _refuse_together(parameters, "last", ("from", "since", "wait"))
    _refuse_together(parameters, "since", ("from", "wait"))
    if first is None and last is None and since_ms is None:
        first = 1
    return ReadRequest(
        None if first is None else EntryId(first),
        whole_number(parameters, "limit", minimum=0),
        last,
        since_ms,
        seconds(parameters, "wait", maximum=WAIT_S_MAX),
        _freshness(parameters),
        "".join(f"&{n}={quote(parameters[n])}" for n in _KEPT_IN_LINKS if n in parameters),
    )


def parse_freshness(query: bytes) -> Freshness:
    """Return what the query of `GET /logs/{id}` asks for. Raises: ProblemError."""
    if not query:
        return ANY
    return _freshness(parse_query(query, known=FRESHNESS_PARAMETERS))


def _freshness(parameters: Mapping[str, str]) -> Freshness:
    min_id = whole_number(parameters, "min_id", minimum=0)
    max_lag_ms = whole_number(parameters, "max_lag_ms", minimum=0)
    level = one_of(parameters, "level", LEVELS)
    timeout_s = seconds(parameters, "timeout", maximum=FRESH_WITHIN_S_MAX)
    if min_id is None and max_lag_ms is None and level != "master":
        return ANY
    return Freshness(
        EntryId(min_id or 0),
        is_linearizable=level == "master",
        max_lag_s=None if max_lag_ms is None else max_lag_ms / 1000,
        timeout_s=FRESH_WITHIN_S if timeout_s is None else timeout_s,
    )


def _refuse_together(parameters: Mapping[str, str], name: str, others: Iterable[str]) -> None:
    for other in others:
        if name in parameters and other in parameters:
            raise refusal(
                "bad-parameter",
                f"The parameters {name} and {other} do not go together; give one of them.",
                parameter=name,
            )


def parse_wish(headers: Iterable[tuple[bytes, bytes]]) -> Wish:
    """Return what the headers of a request, names in lower case, wish for.

    Raises:
        ProblemError: not-acceptable.
    """
    accept: bytes | None = None
    encoding = known = b""
    for name, value in headers:
        if name == b"accept":
            accept = value if accept is None else accept + b"," + value
        elif name == b"accept-encoding":
            encoding = encoding + b"," + value if encoding else value
        elif name == b"if-none-match":
            known = known + b"," + value if known else value
    if not encoding and not known and accept in (None, b"*/*"):
        return PLAIN
    return Wish(_form(accept), _may_gzip(encoding), _tags(known))


def _form(accept: bytes | None) -> Form:
    if accept is None or accept == b"*/*":
        return Form.JSON
    media_type = preferred(accept, tuple(_FORMS))
    if media_type is None:
        raise refusal(
            "not-acceptable",
            "Accept takes neither application/json nor application/x-ndjson, and entries have no "
            "other form. Leave Accept out, or name one of the two.",
        )
    return _FORMS[media_type]


def _may_gzip(accept_encoding: bytes) -> bool:
    """Say whether gzip may be sent, by RFC 9110, section 12.5.3."""
    if not accept_encoding:
        return False
    qualities: dict[str, float] = {}
    for part in accept_encoding.decode("latin-1").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        qualities[name] = quality(parameters)
    gzip = qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0)))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def _tags(if_none_match: bytes) -> tuple[bytes, ...]:
    if if_none_match.strip() == b"*":
        return (b"*",)
    return tuple(_ETAG.findall(if_none_match))
