"""Taking the body of a request off the connection: its type, its size, the node's budget.

NETWORK.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum, auto

from starlette.types import Receive

from replog.http.in_flight import BytesInFlight
from replog.http.problems import refusal

CLOSE = (b"connection", b"close")

DISCARDED_BYTES_MAX = 16 * 1024 * 1024
"""How much of a refused body is read and thrown away so that its connection lives on."""

DISCARD_S = 2.0
"""How long a connection that is to be closed may go on sending, so that its client reads the
answer instead of a reset."""

_FORM = b"application/x-www-form-urlencoded"
_JSON = b"application/json"
_TEXT = b"text/plain"

_MAYBE_ARRAY = re.compile(rb"[ \t\r\n]*(?:\[|\Z)")
"""Also of a body of which only spaces have come so far."""


class BodyKind(Enum):
    """In which form the body of a request is to be read."""

    JSON = auto()
    LINES = auto()
    TEXT = auto()


_KINDS = {
    _JSON: BodyKind.JSON,
    _FORM: BodyKind.JSON,
    b"application/x-ndjson": BodyKind.LINES,
    b"application/ndjson": BodyKind.LINES,
    b"application/jsonl": BodyKind.LINES,
    _TEXT: BodyKind.TEXT,
}

_ONLY_JSON = frozenset({BodyKind.JSON})
APPEND_KINDS = frozenset(BodyKind)
"""What an append may be sent as."""

_HOW_TO_SEND = {
    _ONLY_JSON: "Send JSON in UTF-8 with the header Content-Type: application/json.",
    APPEND_KINDS: "Send JSON in UTF-8 with the header Content-Type: application/json, a batch of "
    "lines with application/x-ndjson, or one message of plain text with text/plain.",
}


class ClientGone(Exception):
    """The client hung up: there is nobody to answer."""


def require_json(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """Return the headers by name, after making sure that the body may be taken as JSON.

    Raises:
        ProblemError: unsupported-media-type.
    """
    fields = dict(headers)
    kind_of_body(fields, _ONLY_JSON)
    return fields


def kind_of_body(fields: Mapping[bytes, bytes], taken: frozenset[BodyKind]) -> BodyKind:
    """Return how the body under the headers `fields` is to be read: one of `taken`.

    `curl -d` sends a form's type by itself, and other clients none at all: both are taken as
    JSON, unless a browser says that a page sent the request. A page of a foreign site can
    send these two and plain text without asking, and must not be able to append.

    Raises:
        ProblemError: unsupported-media-type.
    """
    kind = BodyKind.JSON
    content_type = fields.get(b"content-type")
    if content_type is not None and content_type != _JSON:
        media_type, _, parameters = content_type.partition(b";")
        media_type = media_type.strip().lower()
        known = _KINDS.get(media_type)
        if known is None or known not in taken:
            raise _unsupported(f"The content type is {_shown(media_type)}.", taken)
        for parameter in parameters.split(b";"):
            name, _, value = parameter.partition(b"=")
            charset = value.strip(b' \t"').lower()
            if name.strip().lower() == b"charset" and charset not in (b"utf-8", b"utf8"):
                raise _unsupported(f"The charset is {_shown(charset)}; only UTF-8 is taken.", taken)
        kind = known
        if media_type in (_FORM, _TEXT):
            content_type = None
    if content_type is None and (b"origin" in fields or b"sec-fetch-site" in fields):
        raise _unsupported("A browser page sent this without the content type of JSON.", taken)
    if fields.get(b"content-encoding", b"identity").lower() != b"identity":
        raise _unsupported("The body is compressed; send it as it is.", taken)
    return kind


async def read_body(
    receive: Receive,
    fields: Mapping[bytes, bytes],
    size_max: int,
    array_size_max: int = 0,
    *,
    budget: BytesInFlight,
) -> bytes:
    """Return the whole body, counted in `budget`: the caller gives its length back.

    Args:
        array_size_max: the limit of a body that begins as an array does; 0 where that is none of
            its own. One that is lower than `size_max` is not yet kept here.

    Raises:
        ProblemError: too-large as soon as that is known, or overloaded; nothing is counted.
        ClientGone: the client hung up before the end.
    """
    announced = int(fields.get(b"content-length", b"0"))
    if announced > size_max and announced > array_size_max:
        raise _too_large(max(size_max, array_size_max))
    event = await receive()
    if event["type"] != "http.request":
        raise ClientGone
    body: bytes = event.get("body", b"")
    has_more = event.get("more_body", False)
    if has_more or len(body) > size_max:
        if array_size_max and _MAYBE_ARRAY.match(body):
            size_max = array_size_max
        if announced > size_max or len(body) > size_max:
            raise _too_large(size_max)
        if has_more:
            begun = bytearray(body)
            del event, body  # else they would be held beside it for as long as the rest takes
            return await _read_rest(receive, begun, size_max=size_max, budget=budget)
    budget.take(len(body))
    return body


async def read_nothing(receive: Receive) -> None:
    """Take a request without a body, or throw its body away: `receive` then waits for its end.

    Raises:
        ClientGone: the client hung up before the end.
    """
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise ClientGone
        if not event.get("more_body", False):
            return


async def _read_rest(
    receive: Receive, body: bytearray, *, size_max: int, budget: BytesInFlight
) -> bytes:
    """Return the whole body, of which `body` is here; it grows, and is held once (P10)."""
    with budget.partial() as part:
        has_ended = False
        while True:
            budget.take_part(part, len(body) - part.size)
            if has_ended:
                budget.complete(part)
                return bytes(body)
            has_ended = await _receive_into(body, receive, size_max)


async def _receive_into(body: bytearray, receive: Receive, size_max: int) -> bool:
    """Take what comes next; return whether it was the end. Nothing else holds it afterwards."""
    event = await receive()
    if event["type"] != "http.request":
        raise ClientGone
    chunk = event.get("body", b"")
    if len(body) + len(chunk) > size_max:
        raise _too_large(size_max)
    body += chunk
    return not event.get("more_body", False)


def _too_large(size_max: int) -> Exception:
    return refusal(
        "too-large",
        f"The body is larger than {size_max} bytes, which nothing within the limits takes. "
        "Split the message, or the batch.",
        limit=size_max,
    )


def _unsupported(what: str, taken: frozenset[BodyKind]) -> Exception:
    return refusal("unsupported-media-type", f"{what} {_HOW_TO_SEND[taken]}")


def _shown(value: bytes) -> str:
    return value[:60].decode("ascii", "replace") or "empty"
