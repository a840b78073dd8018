"""What somebody may do to a secondary who has not said yet that it is a master (P10)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId, NodeId
from replog.core.messages import Batches, Welcome
from replog.replication.dial import LINK_PATH, dial
from replog.replication.endpoint import (
    FRAMES,
    GREETING_FRAME_BYTES_MAX,
    GREETING_PIECE_BYTES,
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


def test_pings_are_answered_to_a_master_that_takes_the_answers_and_nobody_else() -> None:
    async def story() -> None:
        async with held() as (protocols, port):
            async with connect(f"ws://127.0.0.1:{port}{LINK_PATH}") as stranger:
                await stranger.ping()
                await stranger.wait_closed()
                assert stranger.close_code == 1006, "dropped, without a word"
            async with connect(f"ws://127.0.0.1:{port}{LINK_PATH}") as peer:
                master = protocols[-1]
                master.expect_batches()
                await (await peer.ping())
                master.writable.clear()  # as where what was sent is not taken
                await peer.ping()
                await peer.wait_closed()
                assert peer.close_code == 1006, "dropped, without a word"
                master.writable.set()

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))


TINY = b"\x81\x81mask" + b"x"
"""A frame of seven bytes."""


def test_of_many_frames_that_came_at_once_a_stranger_gets_few_looked_at() -> None:
    async def story() -> None:
        async with held() as (protocols, port):
            async with connect(f"ws://127.0.0.1:{port}{LINK_PATH}"):
                [stranger] = protocols
                stranger.data_received(TINY * 30_000)
                assert stranger.transport.is_closing()
                assert stranger.queue.qsize() < GREETING_PIECE_BYTES / len(TINY) + 2
            async with connect(f"ws://127.0.0.1:{port}{LINK_PATH}"):
                master = protocols[-1]
                master.expect_batches()
                master.data_received(TINY * 30_000)
                assert not master.transport.is_closing()
                assert master.queue.qsize() >= 30_000

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))


def test_a_greeting_in_pieces_and_some_heartbeats_behind_it_are_taken() -> None:
    async def story() -> None:
        async with held() as (protocols, port), connect(f"ws://127.0.0.1:{port}{LINK_PATH}"):
            [stranger] = protocols
            size = GREETING_FRAME_BYTES_MAX
            long = b"\x82\xff" + size.to_bytes(8, "big") + b"mask" + bytes(size)
            stranger.data_received(long + TINY * 10)
            assert not stranger.transport.is_closing()
            assert stranger.queue.qsize() >= 11

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))


def test_behind_a_close_a_stranger_may_say_goodbye_and_no_more() -> None:
    async def story() -> None:
        async with held() as (protocols, port):
            for said, is_dropped in ((TINY * 10, False), (TINY * 1_000, True)):
                async with connect(f"ws://127.0.0.1:{port}{LINK_PATH}"):
                    stranger = protocols[-1]
                    stranger.close_sent = True
                    stranger.data_received(said)
                    assert stranger.transport.is_closing() is is_dropped
                    assert not stranger.queue.qsize(), "nobody is told of it"
                    stranger.transport.abort()

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))


@asynccontextmanager
async def held() -> AsyncIterator[tuple[list[FrameProtocol], int]]:
    """Accept whoever comes at the port that is yielded, and take nothing from them."""
    protocols: list[FrameProtocol] = []
    may_end = asyncio.Event()

    async def hold(websocket: WebSocket) -> None:
        protocols.append(websocket.scope["extensions"][FRAMES]["protocol"])
        await websocket.accept()
        await may_end.wait()

    async with serving(hold) as port:
        try:
            yield protocols, port
        finally:
            may_end.set()
