"""An HTTP client that is cheap enough to share two cores with three nodes.

NETWORK. Raw asyncio protocols with ready-made HTTP/1.1 requests and just enough parsing of the
answers: one request at a time on each kept-alive connection.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import cast

NextRequest = Callable[[], tuple[bytes, str] | None]
"""Gives the bytes of a request and the label under which its answer is told; None ends it."""

Answered = Callable[[str, int, bytes, float], None]
"""Told label, status, body and latency in seconds of each answer."""


def append_request(message: str, *, query: str = "") -> bytes:
    """Return the bytes of `POST /logs` for `message`."""
    return _post({"message": message}, query)


def batch_request(messages: Sequence[str], *, query: str = "") -> bytes:
    """Return the bytes of `POST /logs` for `messages` as one batch."""
    return _post([{"message": message} for message in messages], query)


def _post(content: object, query: str) -> bytes:
    body = json.dumps(content, ensure_ascii=False).encode()
    return (
        f"POST /logs{query} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body


class Connection(asyncio.Protocol):
    """One client: sends, waits for the whole answer, sends the next.

    `ended` becomes True when there was nothing more to send, False when the connection broke.
    """

    def __init__(self, next_request: NextRequest, answered: Answered) -> None:
        self._next_request = next_request
        self._answered = answered
        self._buffer = b""
        self._label = ""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(False)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head_stop = buffer.find(b"\r\n\r\n")
        if head_stop < 0:
            self._buffer = buffer
            return
        stop = head_stop + 4 + content_length(buffer[:head_stop])
        if len(buffer) < stop:
            self._buffer = buffer
            return
        self._buffer = buffer[stop:]
        latency_s = time.perf_counter() - self._sent_at
        self._answered(self._label, int(buffer[9:12]), buffer[head_stop + 4 : stop], latency_s)
        self._send()

    def _send(self) -> None:
        following = self._next_request()
        assert self._transport is not None
        if following is None:
            self.ended.set_result(True)
            self._transport.close()
            return
        request, self._label = following
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def content_length(head: bytes) -> int:
    """Return the body's length; the answers of a node to an append always carry it."""
    lower = head.lower()
    start = lower.index(b"\r\ncontent-length:") + 17
    stop = lower.find(b"\r\n", start)
    return int(lower[start : stop if stop >= 0 else None])
