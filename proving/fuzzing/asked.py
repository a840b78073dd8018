"""The decoders of what clients send: bodies, queries, headers, and whole heads.

PURE.
"""

from __future__ import annotations

from typing import Final

import httptools

from proving.fuzzing.target import Target, Wrong
from proving.strict import messages_in, messages_in_lines
from replog.http.append_routes import _parse
from replog.http.append_terms import NOTHING_IN_HEADERS, agreed_terms, header_terms
from replog.http.body import APPEND_KINDS, BodyKind, kind_of_body
from replog.http.limits import Limits
from replog.http.plain_heads import PlainHeads
from replog.http.problems import ProblemError
from replog.http.read_request import parse_freshness, parse_read, parse_wish
from replog.storage.batch import encode_messages

LIMITS: Final = Limits(batch_entries_max=100)

JSON_TOKENS: Final = (
    *(b'{"message":"', b'"}', b'"message":', b'"key":"', b'"w":', b'"timeout":', b'"expect":'),
    *(b'"write_concern":', b'"all"', b'"majority"', b"[", b"]", b'","', b'"},{"', b'"}\n{"', b"\n"),
    *(b"\\ud83d\\ude00", b"\\ud83d", b"\\u0022", b"\\u005c", b'\\"', b"\\\\", b"\\u006d", b"NaN"),
)


def decode_json(data: bytes) -> bool:
    """One message or an array of them: what the standard library reads in the same body."""
    return _decode(data, BodyKind.JSON, messages_in(data))


def decode_lines(data: bytes) -> bool:
    return _decode(data, BodyKind.LINES, messages_in_lines(data))


def decode_text(data: bytes) -> bool:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    return _decode(data, BodyKind.TEXT, (text,) if text else ())


def _decode(data: bytes, kind: BodyKind, stores: tuple[str, ...] | None) -> bool:
    """Read a body as the route does.

    Args:
        stores: what must be stored, nothing where it must be refused; None where that is open.
    """
    try:
        request = _parse(data, kind, b"", LIMITS, NOTHING_IN_HEADERS)
    except ProblemError as error:
        error.problem.body()
        if stores and error.problem.kind.name != "too-large":
            problem = error.problem.detail
            raise Wrong(f"{stores} must be stored, and is refused: {problem}") from error
        return False
    if stores is not None and request.messages != encode_messages(stores):
        raise Wrong(f"{stores} must be stored, and it is {request}")
    return True


def decode_query(data: bytes) -> bool:
    """A query of any call: a problem, or what it says."""
    is_good = False
    for parse in (parse_read, parse_freshness, lambda query: agreed_terms({}, query)):
        try:
            parse(data)
        except ProblemError as error:
            error.problem.body()
        else:
            is_good = True
    return is_good


_NAMES = (
    *(b"idempotency-key", b"if-match", b"content-type", b"accept", b"accept-encoding"),
    *(b"if-none-match", b"content-encoding", b"origin"),
)


def decode_headers(data: bytes) -> bool:
    """Values of headers, one a line, each for the header whose number it begins with."""
    lines = [line for line in data.split(b"\n") if line]
    headers = [(_NAMES[line[0] % len(_NAMES)], line[1:]) for line in lines]
    is_good = True
    try:
        parse_wish(headers)
        kind_of_body(dict(headers), APPEND_KINDS)
        header_terms(headers)
    except ProblemError as error:
        error.problem.body()
        is_good = False
    return is_good


# --- heads that came before -----------------------------------------------------------------


class _Parsed:
    """What the HTTP parser finds in bytes that should be one whole request."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = self.body = b""
        self.ended = 0
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method = parser.get_method()
        self.version = parser.get_http_version()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.ended += 1


def _learn(heads: PlainHeads, data: bytes) -> None:
    parsed = _Parsed(data)
    path, _, query = parsed.url.partition(b"?")
    scope: dict[str, object] = {
        "method": parsed.method.decode(),
        "path": path.decode(),
        "query_string": query,
        "http_version": parsed.version,
        "headers": parsed.headers,
    }
    heads.learn(data, scope)


def _request(*headers: bytes, target: bytes = b"/logs") -> bytes:
    lines = [
        b"POST " + target + b" HTTP/1.1",
        b"Host: x",
        *headers,
        b"Content-Length: 15",
        b"",
        b"",
    ]
    return b"\r\n".join(lines) + b'{"message":"x"}'


PLAIN: Final = (
    _request(),
    _request(b"Content-Type: application/json", target=b"/logs?w=2&timeout=1"),
    _request(b"Idempotency-Key: order-77", b"Accept: */*"),
    _request(b'idempotency-key: "a b"', b"User-Agent: x"),
)
_HEADS: Final = PlainHeads()
for _each in PLAIN:
    _learn(_HEADS, _each)
assert len(_HEADS) == len(PLAIN), "all of them are plain"


def decode_plain_head(data: bytes) -> bool:
    """What counts as a head that came before is, to the HTTP parser, that request and no other."""
    plain = _HEADS.append_in(data)
    if plain is None:
        return False
    try:
        parsed = _Parsed(data)
    except httptools.HttpParserError as error:
        raise Wrong(f"{data!r} is no HTTP ({error}), and is taken for {plain}") from error
    path, _, query = parsed.url.partition(b"?")
    keys = [value for name, value in parsed.headers if name == b"idempotency-key"]
    found = (parsed.method, parsed.version, path, parsed.ended, parsed.body, query, keys)
    wanted = [] if plain.key is None else [plain.key]
    if found != (b"POST", "1.1", b"/logs", 1, plain.body, plain.query, wanted):
        raise Wrong(f"{data!r} is taken for {plain}, and is {found}")
    return True


_VALUES = (b"\x00k", b'\x00"order 7"', b'\x01"7"', b"\x02application/json; charset=utf-8")
_MORE = (b"\x03text/html;q=0.5, application/x-ndjson", b"\x04gzip;q=1.0, *;q=0", b'\x05W/"a", "b"')
_QUERIES = (
    *(b"w=2&timeout=1.5&key=k", b"from=1&limit=10&wait=1", b"last=3",
      b"since=2026-11-22T22:10:00Z"),
    *(b"min_id=3&max_lag_ms=100&level=master&timeout=1", b"expect=7&writeConcern=all",
      b"key=%C3%A9"),
)  # fmt: skip
_OBJECT = b'{"message":"\xc3\xa9\\ud83d\\ude00\\"x","key":"k","w":"all","timeout":1.5,"expect":3}'
_ARRAY = b'[{"message":"one","key":"k"},{"message":"t\\u0077o"}]'
_TWO = b'{"message":"one","key":"k"}\n{"message":"two"}\n'

ASKED = (
    Target("objects", "one append", decode_json, (b'{"message":"x"}', _OBJECT), JSON_TOKENS),
    Target("arrays", "a batch", decode_json, (b'[{"message":"x"}]', _ARRAY), JSON_TOKENS),
    Target("lines", "a batch of lines", decode_lines, (b'{"message":"x"}\n', _TWO), JSON_TOKENS),
    Target("texts", "plain text", decode_text, (b"x", "é\u2028\0".encode()), ()),
    Target("queries", "queries", decode_query, _QUERIES, (b"&", b"=", b"%", b"w=", b"from=", b"+")),
    Target("request-headers", "headers", decode_headers, (b"\n".join(_VALUES), *_VALUES, *_MORE),
           (b'"', b";", b",", b"q=", b"\n\x00", b"\n\x01", b"W/", b"*")),
    Target("plain-heads", "heads that came before", decode_plain_head, PLAIN,
           (b"\r\n", b"\r\n\r\n", b": ", b"Idempotency-Key: ", b"Content-Length: 15", b" HTTP/1.1",
           b"?")),
)  # fmt: skip
