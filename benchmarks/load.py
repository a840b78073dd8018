"""Load: many clients with one request at a time each, and one that reads everything.

NETWORK. What a protocol looks like is an `Exchange`'s matter: every system is driven by the same
loop, so that what the load costs is the same for all.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

_LENGTH = b"\r\ncontent-length:"
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Exchange(Protocol):
    """One client's side of a protocol in which each request gets one answer."""

    def greeting(self) -> bytes:
        """Return what is said once, before the first request; what it is answered is noise."""

    def next_request(self) -> bytes:
        """Return the bytes of the next request."""

    def end_of_answer(self, received: bytes) -> int:
        """Return where the answer ends, noise before it included; 0 while it is not whole."""

    def is_good(self, answer: bytes) -> bool:
        """Return whether a whole answer says that what was asked is done."""


class HttpExchange:
    """HTTP/1.1 on a kept-alive connection; good is 200. Bodies are JSON: no line end is in them."""

    def __init__(self, next_request: Callable[[], bytes]) -> None:
        self.next_request = next_request

    def greeting(self) -> bytes:
        return b""

    def end_of_answer(self, received: bytes) -> int:
        head_stop = received.find(b"\r\n\r\n")
        if head_stop < 0:
            return 0
        head = received[:head_stop].lower()
        start = head.find(_LENGTH)
        if start < 0:  # in chunks, which a large page of a node comes in
            stop = received.find(_LAST_CHUNK, head_stop + 2) + len(_LAST_CHUNK)
            return stop if stop >= len(_LAST_CHUNK) else 0
        line_stop = head.find(b"\r\n", start + len(_LENGTH))
        length = int(head[start + len(_LENGTH) : line_stop if line_stop >= 0 else None])
        stop = head_stop + 4 + length
        return stop if stop <= len(received) else 0

    def is_good(self, answer: bytes) -> bool:
        return answer[9:12] == b"200"


@dataclass(slots=True)
class Round:
    """What one round of requests came to."""

    elapsed_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    failures: int = 0
    """Answers that are not good, and connections that broke."""
    first_failure: bytes = b""

    @property
    def per_second(self) -> float:
        return len(self.latencies_s) / self.elapsed_s

    def percentile_ms(self, percent: float) -> float:
        ranked = sorted(self.latencies_s)
        return 1000 * ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]


class _Client(asyncio.Protocol):
    """From `begin` on sends, waits for the whole answer, sends the next, until its end has passed.

    `ended` becomes True when there was nothing more to send, False when the connection broke.
    """

    def __init__(self, exchange: Exchange, result: Round) -> None:
        self._exchange = exchange
        self._result = result
        self._end = 0.0
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        greeting = self._exchange.greeting()
        if greeting:
            self._transport.write(greeting)

    def begin(self, *, end: float) -> None:
        self._end = end
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if not self.ended.done():
            self._result.first_failure = self._result.first_failure or self._received
            self.ended.set_result(False)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        stop = self._exchange.end_of_answer(received)
        if not stop:
            self._received = received
            return
        answer, self._received = received[:stop], received[stop:]
        if self._exchange.is_good(answer):
            self._result.latencies_s.append(time.perf_counter() - self._sent_at)
        else:
            self._result.failures += 1
            self._result.first_failure = self._result.first_failure or answer
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        if self._transport.is_closing():
            return  # the connection broke, which has been told
        if self._sent_at >= self._end:
            self.ended.set_result(True)
            self._transport.close()
            return
        self._transport.write(self._exchange.next_request())


async def closed_loop(
    host: str, port: int, *, clients: int, seconds: float, exchange: Callable[[], Exchange]
) -> Round:
    """Let `clients` connections make requests for `seconds`; each finishes its last one.

    The clock starts when all are connected, so that each makes at least one request.
    """
    loop = asyncio.get_running_loop()
    result = Round()
    opened = await asyncio.gather(
        *(
            loop.create_connection(lambda: _Client(exchange(), result), host, port)
            for _ in range(clients)
        )
    )
    start = time.perf_counter()
    for _, client in opened:
        client.begin(end=start + seconds)
    finished = await asyncio.gather(*(client.ended for _, client in opened))
    result.elapsed_s = time.perf_counter() - start
    result.failures += finished.count(False)
    return result


async def append_for(
    host: str, port: int, *, clients: int, seconds: float, request: bytes
) -> Round:
    """Let `clients` connections repeat `request` for `seconds`; each finishes its last one."""
    return await closed_loop(
        host,
        port,
        clients=clients,
        seconds=seconds,
        exchange=lambda: HttpExchange(lambda: request),
    )


@dataclass(frozen=True, slots=True)
class Read:
    """One `GET`, read to its end and thrown away."""

    elapsed_s: float
    first_byte_s: float
    size: int

    @property
    def megabytes_per_second(self) -> float:
        return self.size / 1e6 / self.elapsed_s


def read_all(host: str, port: int, path: str = "/logs") -> Read:
    """Read a whole JSON array, by default the log, over one connection."""
    buffer = bytearray(1 << 20)
    start = time.perf_counter()
    with socket.create_connection((host, port), timeout=60) as connection:
        request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        connection.sendall(request.encode())
        size, first, last, first_byte_s = 0, b"", b"", 0.0
        while received := connection.recv_into(buffer):
            first_byte_s = first_byte_s or time.perf_counter() - start
            first = first or bytes(buffer[: min(received, 12)])
            last = (last + bytes(buffer[max(0, received - 16) : received]))[-16:]
            size += received
    elapsed_s = time.perf_counter() - start
    if first != b"HTTP/1.1 200" or not last.endswith((b"]", b"]\r\n0\r\n\r\n")):
        raise SystemExit(f"GET {path} on port {port} broke off after {size} bytes: {first!r}")
    return Read(elapsed_s, first_byte_s, size)
