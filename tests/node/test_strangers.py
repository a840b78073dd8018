"""Who opens a WebSocket at /replication and is no node: given little room and time (P10)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from replog.core import joining
from replog.core.entry import GENESIS, ticks
from replog.replication import endpoint
from replog.replication.dial import LINK_PATH, dial
from replog.replication.endpoint import GREETING_FRAME_BYTES_MAX
from tests.support.fake_master import FakeMaster, batch
from tests.support.nodes import Nodes
from tests.support.waiting import DEADLINE_S


class Stranger:
    """A WebSocket whose bytes are its maker's, over one TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> Stranger:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}{LINK_PATH}"))
        protocol.send_request(protocol.connect())
        writer.write(b"".join(protocol.data_to_send()))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return cls(reader, writer)

    async def ping_for_ever(self) -> None:
        """Send pings and take no answer; raises ConnectionError once that is over."""
        ping = b"\x89\xfdmask" + bytes(125)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                self.writer.write(ping * 1000)
                await self.writer.drain()

    async def is_dropped(self) -> None:
        """Return once the node has dropped the connection, whatever it sent before."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                while await self.reader.read(1 << 16):
                    pass
            except ConnectionResetError:
                pass
        self.writer.close()


def test_a_frame_longer_than_any_greeting_is_not_taken_before_a_welcome(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            stranger = await Stranger.connect(nodes.port("s1"))
            size = GREETING_FRAME_BYTES_MAX + 1
            stranger.writer.write(b"\x82\xff" + size.to_bytes(8, "big") + b"mask")
            await stranger.is_dropped()

    asyncio.run(story())


def test_a_frame_in_many_pieces_is_not_taken_either(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            stranger = await Stranger.connect(nodes.port("s1"))
            stranger.writer.write(b"\x02\xfe\x40\x00mask" + bytes(0x4000))
            for _ in range(4):
                stranger.writer.write(b"\x00\xfe\x40\x00mask" + bytes(0x4000))
            await stranger.is_dropped()

    asyncio.run(story())


def test_behind_a_welcome_frames_may_be_long(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            async with await FakeMaster.connect(nodes.url("s1")) as master:
                await master.welcome()
                await master.stream()
                large = batch(GENESIS, "x" * (4 * GREETING_FRAME_BYTES_MAX))
                await master.send(large)
                await master.acknowledged(large.head)

    asyncio.run(story())


def test_who_says_nothing_is_closed_and_dropped_though_it_does_not_close_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "GREETING_WITHIN", ticks(0.2))
    monkeypatch.setattr(endpoint, "DROP_AFTER_S", 0.1)

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            stranger = await Stranger.connect(nodes.port("s1"))
            stranger.writer.write(b"\x82\xfe\x01\x00mask")  # and the frame never comes
            await stranger.is_dropped()

    asyncio.run(story())


def test_who_asks_again_and_again_and_takes_no_answer_is_dropped(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            stranger = await Stranger.connect(nodes.port("s1"))
            with pytest.raises(ConnectionError):
                await stranger.ping_for_ever()
            connection = await dial(nodes.url("s1"))
            connection.abort()

    asyncio.run(story())
