"""The secondary's side of a link: what is read ahead of it, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from replog.replication.dial import LINK_PATH
from replog.replication.endpoint import FRAMES, FrameProtocol
from tests.replication.serving import serving
from tests.support.nodes import until


@dataclass
class Taker:
    """An application that takes nothing until it is told to end."""

    protocols: list[FrameProtocol] = field(default_factory=list)
    may_close: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, websocket: WebSocket) -> None:
        self.protocols.append(websocket.scope["extensions"][FRAMES]["protocol"])
        await websocket.accept()
        self.protocols[-1].expect_batches()
        await self.may_close.wait()
        await websocket.close()

    @property
    def waiting(self) -> int:
        return self.protocols[0].queue.qsize()

    @property
    def is_reading(self) -> bool:
        return not self.protocols[0].read_paused


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Taker, ClientConnection]]:
    taker = Taker()
    async with serving(taker.serve) as port:
        url = f"ws://127.0.0.1:{port}{LINK_PATH}"
        async with connect(url, compression=None, ping_interval=None, proxy=None) as client:
            await until(lambda: len(taker.protocols) == 1, "the link is open")
            try:
                yield taker, client
            finally:
                taker.may_close.set()


async def send_until_closed(client: ClientConnection) -> None:
    """More than one read of the server takes, so that the answer to its close comes behind."""
    with suppress(ConnectionClosed):
        for _ in range(100):
            await client.send(bytes(64 * 1024))


def test_some_small_frames_are_read_ahead_and_no_more() -> None:
    async def story() -> None:
        async with linked() as (taker, client):
            for _ in range(15):
                await client.send(b"x")
            await until(lambda: taker.waiting == 15, "they are here")
            assert taker.is_reading
            await client.send(b"x")
            await until(lambda: not taker.is_reading, "that is enough")

    asyncio.run(story())


def test_behind_a_long_frame_nothing_is_read_ahead() -> None:
    async def story() -> None:
        async with linked() as (taker, client):
            await client.send(bytes(1024 * 1024))
            await until(lambda: taker.waiting == 1, "it is here")
            assert not taker.is_reading

    asyncio.run(story())


def test_a_close_is_answered_at_once_though_frames_were_never_taken() -> None:
    """Reading stops for a full queue; behind the close it must not: the answer comes last."""

    async def story() -> None:
        async with linked() as (taker, client):
            for _ in range(16):
                await client.send(b"x")
            await until(lambda: not taker.is_reading, "enough waits")
            sending = asyncio.ensure_future(send_until_closed(client))
            taker.may_close.set()
            await asyncio.wait_for(client.wait_closed(), 5)
            await sending

    asyncio.run(story())


def test_a_frame_is_offered_as_it_comes_unless_another_one_waits() -> None:
    async def story() -> None:
        async with linked() as (taker, client):
            [protocol] = taker.protocols
            offered: list[str | bytes] = []
            takes = [True]

            def take(frame: str | bytes) -> bool:
                offered.append(frame)
                return takes[0]

            protocol.take = take
            await client.send("one")
            await client.send(b"two")
            await until(lambda: len(offered) == 2, "both are taken")
            assert taker.waiting == 0
            takes[0] = False
            await client.send("three")
            await until(lambda: taker.waiting == 1, "it is left")
            takes[0] = True
            await client.send(["four ", "in two"])
            await until(lambda: taker.waiting == 2, "it waits its turn")
            assert offered == ["one", b"two", "three"]
            left = [protocol.queue.get_nowait() for _ in range(2)]
            assert [event.get("text") for event in left] == ["three", "four in two"]
            await client.send([b"five ", b"in two"])
            await until(lambda: len(offered) == 4, "it is taken as a whole")
            assert offered[-1] == b"five in two"

    asyncio.run(story())
