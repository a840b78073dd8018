"""Requests as a node expects them, and its answers as values.

PURE. docs/http.md describes both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from replog.client.errors import NotANodeError
from replog.client.model import (
    Acks,
    Appended,
    AppendedMany,
    Entry,
    Level,
    NodeStatus,
    WriteConcern,
)
from replog.client.ops import Answer, Request

JSON = "application/json"
NDJSON = "application/x-ndjson"

ANSWER_WITHIN_S = 10.0
"""How long a node may be silent beside the time that it was asked to wait."""

Value = str | int | float | None
T = TypeVar("T")


def path_of(path: str, query: Mapping[str, Value]) -> str:
    """Return `path` with those parameters that are given."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


# --- appending ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms an append is made: what goes beside the messages."""

    w: WriteConcern | None = None
    timeout_s: float | None = None
    expect: int | None = None

    def query(self) -> dict[str, Value]:
        return {"w": self.w, "timeout": self.timeout_s, "expect": self.expect}


def append_request(message: str, key: str, terms: Terms) -> Request:
    body: dict[str, Value] = {"message": message, "key": key}
    body |= {name: value for name, value in terms.query().items() if value is not None}
    return Request("POST", "/logs", (("Content-Type", JSON),), msgspec.json.encode(body))


def encode_batch(messages: Sequence[str], keys: Sequence[str] | None) -> bytes:
    """Return a batch as a JSON array."""
    if keys is None:
        return msgspec.json.encode([{"message": message} for message in messages])
    return msgspec.json.encode(
        [{"message": message, "key": key} for message, key in zip(messages, keys, strict=True)]
    )


def batch_request(body: bytes, *, media_type: str, key: str | None, terms: Terms) -> Request:
    """Return the append of a batch.

    Args:
        key: the whole batch's. It goes into the query, which takes any key as it stands: a header
            has no room for spaces at its ends, quotes mean something else in it, and it is ASCII.
    """
    query = {"key": key, **terms.query()}
    return Request("POST", path_of("/logs", query), (("Content-Type", media_type),), body)


class _Log(msgspec.Struct):
    id: int


class _OneAnswer(msgspec.Struct):
    log: _Log
    acks: tuple[str, ...] = ()


class _ManyAnswer(msgspec.Struct):
    first: int
    last: int
    acks: tuple[str, ...] = ()


def appended(answer: Answer, key: str) -> Appended:
    body = decoded(answer, _OneAnswer)
    held, nodes = _counted(answer, body.acks)
    return Appended(
        id=body.log.id,
        is_pending=answer.status == 202,
        is_replayed=_is_replayed(answer),
        held=held,
        nodes=nodes,
        key=key,
    )


def appended_many(answer: Answer, key: str | None) -> AppendedMany:
    body = decoded(answer, _ManyAnswer)
    held, nodes = _counted(answer, body.acks)
    return AppendedMany(
        first=body.first,
        last=body.last,
        is_pending=answer.status == 202,
        is_replayed=_is_replayed(answer),
        held=held,
        nodes=nodes,
        key=key,
    )


def _counted(answer: Answer, acks: tuple[str, ...]) -> tuple[int, int | None]:
    held, _, nodes = answer.headers.get("log-acks", "").partition("/")
    return (
        int(held) if held.isdigit() else len(acks),
        int(nodes) if nodes.isdigit() else None,
    )


def _is_replayed(answer: Answer) -> bool:
    return answer.headers.get("idempotency-replayed") == "true"


# --- reading ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fresh:
    """How fresh a read must be; `timeout_s` is how long it may take until it is, None is 10."""

    min_id: int | None = None
    max_lag_s: float | None = None
    level: Level | None = None
    timeout_s: float | None = None

    def query(self, wait_s: float) -> dict[str, Value]:
        """Args: wait_s: how long the node may wait until it is so fresh."""
        lag = None if self.max_lag_s is None else round(1000 * self.max_lag_s)
        query: dict[str, Value] = {"min_id": self.min_id, "max_lag_ms": lag, "level": self.level}
        if any(value is not None for value in query.values()):
            query["timeout"] = round(wait_s, 3)
        return query


def page_request(where: Mapping[str, Value]) -> Request:
    return Request("GET", path_of("/logs", where), (("Accept", NDJSON),))


def decode_page(answer: Answer) -> list[Entry]:
    """Return the entries of a page; of one that was cut, those that are whole."""
    if not answer.body.endswith(b"\n") and answer.body and not answer.is_cut:
        raise NotANodeError(f"{answer.url} answered a page that does not end with a line")
    return Lines().feed(answer.body)


def committed_of(answer: Answer) -> int:
    """Return up to where the node shows the log."""
    text = answer.headers.get("log-committed", "")
    if not (text.isascii() and text.isdigit()):
        raise NotANodeError(f"{answer.url} answered without Log-Committed: is it a node?")
    return int(text)


def stream_request(first: int) -> Request:
    return Request("GET", path_of("/logs/stream", {"from": first}), (("Accept", NDJSON),))


class Lines:
    """Splits a stream of NDJSON into entries as it arrives; blank lines are signs of life."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._decoder = msgspec.json.Decoder(Entry)

    def feed(self, data: bytes) -> list[Entry]:
        """Return the entries that are whole now.

        Raises:
            NotANodeError: a line is no entry.
        """
        head, newline, tail = data.rpartition(b"\n")
        if not newline:
            self._rest.append(tail)
            return []
        whole = b"".join((*self._rest, head))
        self._rest = [tail] if tail else []
        try:
            return self._decoder.decode_lines(whole)
        except msgspec.MsgspecError as error:
            raise NotANodeError(f"a line of the stream is no entry: {error}") from error


# --- receipts, status ---------------------------------------------------------------------------


def acks_request(id: int, *, w: WriteConcern | None, wait_s: float | None) -> Request:
    return Request("GET", path_of(f"/logs/{id}/acks", {"w": w, "wait": wait_s}))


def decode_acks(answer: Answer) -> Acks:
    return decoded(answer, Acks)


def decode_status(answer: Answer) -> NodeStatus:
    return msgspec.structs.replace(decoded(answer, NodeStatus), url=answer.url)


def decoded(answer: Answer, kind: type[T]) -> T:
    """Raises: NotANodeError: the body is not what a node answers."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.MsgspecError as error:
        raise NotANodeError(f"{answer.url} does not answer as a node: {error}") from error
