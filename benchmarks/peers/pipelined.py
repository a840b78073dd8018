"""Asynchronous publishing to JetStream: many messages under way on one connection.

NETWORK. This is what a client library does inside, without what the library costs: requests are
ready-made, acknowledgements are counted and not parsed.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import cast

from benchmarks.peers.systems.nats import CONNECT, publish
from benchmarks.peers.systems.system import HOST

WINDOW = 1_000

_GOOD = b'"seq":'
_ANSWER = b"MSG "


class _Publisher(asyncio.Protocol):
    """Keeps `WINDOW` messages under way until `end`, then waits for the last acknowledgement."""

    def __init__(self, *, seconds: float) -> None:
        inbox = f"_INBOX.{uuid.uuid4().hex}"
        self._greeting = CONNECT + f"SUB {inbox} 1\r\n".encode()
        self._message = publish(inbox)
        self._end = time.perf_counter() + seconds
        self._rest = b""
        self._under_way = 0
        self._transport: asyncio.Transport | None = None
        self.acknowledged = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._transport.write(self._greeting)
        self._publish(WINDOW)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionResetError("JetStream hung up"))

    def data_received(self, data: bytes) -> None:
        if self.ended.done():
            return  # it was refused, which has been told
        received = self._rest + data
        stop = received.rfind(b"}\r\n") + 3
        if stop == 2:
            self._rest = received
            return
        self._rest = received[stop:]
        answers, good = received.count(_ANSWER, 0, stop), received.count(_GOOD, 0, stop)
        if answers != good:
            self.ended.set_exception(ConnectionError(f"JetStream refused: {received[:500]!r}"))
            return
        self.acknowledged += good
        self._under_way -= good
        if time.perf_counter() < self._end:
            self._publish(good)
        elif self._under_way == 0:
            self.ended.set_result(None)

    def _publish(self, count: int) -> None:
        assert self._transport is not None
        self._under_way += count
        self._transport.write(self._message * count)


async def publish_for(port: int, *, seconds: float) -> float:
    """Publish for `seconds`; return how many were acknowledged a second."""
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    transport, publisher = await loop.create_connection(
        lambda: _Publisher(seconds=seconds), HOST, port
    )
    try:
        async with asyncio.timeout(seconds + 30):
            await publisher.ended
    finally:
        transport.close()
    return publisher.acknowledged / (time.perf_counter() - start)
