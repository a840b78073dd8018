"""What somebody may do to a secondary who has not said yet that it is a master (P10)."""

from __future__ import annotations

import asyncio

import pytest
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId, NodeId
from replog.core.messages import Batches, Welcome
from replog.replication.dial import LINK_PATH, dial
from replog.replication.endpoint import (
    FRAMES,
    GREETING_FRAME_BYTES_MAX,
    FrameProtocol,
    serve_link,
)
from replog.replication.link import ConnectionLostError
from replog.replication.wire import Codec
from tests.replication.owner import Owner
from tests.replication.serving import serving
from tests.support.nodes import until
from tests.support.waiting import DEADLINE_S

WELCOME = Welcome(LogId("log"), NodeId("m"), Epoch(1), "http://m", ())
LONG = Batches(
    Epoch(1),
    GENESIS,
    Head(Epoch(1), EntryId(1), bytes(32)),
    EntryId(1),
    b"x" * (2 * GREETING_FRAME_BYTES_MAX),
)


def test_a_long_frame_is_taken_behind_a_welcome_alone() -> None:
    async def story() -> None:
        secondary = Owner()
        async with serving(lambda websocket: serve_link(websocket, secondary)) as port:
            stranger = await dial(f"http://127.0.0.1:{port}")
            await stranger.send(Codec().encode(LONG))
            with pytest.raises(ConnectionLostError):
                await stranger.receive()
            assert secondary.messages == []
            master, codec = await dial(f"http://127.0.0.1:{port}"), Codec()
            await master.send(codec.encode(WELCOME))
            await until(lambda: secondary.messages == [WELCOME], "it has come")
            await master.send(codec.encode(LONG))
            await until(lambda: secondary.messages == [WELCOME, LONG], "both have come")
            master.abort()

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))


def test_pings_are_answered_to_who_takes_the_answers_and_nobody_else() -> None:
    async def story() -> None:
        protocols: list[FrameProtocol] = []

        async def hold(websocket: WebSocket) -> None:
            protocols.append(websocket.scope["extensions"][FRAMES]["protocol"])
            await websocket.accept()
            await websocket.receive()

        async with serving(hold) as port, connect(f"ws://127.0.0.1:{port}{LINK_PATH}") as peer:
            await (await peer.ping())
            protocols[0].writable.clear()  # as where what was sent is not taken
            await peer.ping()
            await peer.wait_closed()
            assert peer.close_code == 1006, "dropped, without a word"
            protocols[0].writable.set()

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))
