"""The master's side of a link over a real connection: what is offered, and what is received."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve

from replog.replication.dial import dial
from replog.replication.link import Connection, ConnectionLostError
from tests.support.nodes import until
from tests.support.waiting import DEADLINE_S

Story = Callable[[Connection, ServerConnection], Awaitable[None]]


def _run(story: Story) -> None:
    async def run() -> None:
        served: asyncio.Queue[ServerConnection] = asyncio.Queue()
        done = asyncio.Event()

        async def handle(connection: ServerConnection) -> None:
            served.put_nowait(connection)
            await done.wait()

        async with asyncio.timeout(DEADLINE_S), serve(handle, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            connection = await dial(f"http://127.0.0.1:{port}")
            try:
                await story(connection, await served.get())
            finally:
                done.set()
                connection.abort()

    asyncio.run(run())


def test_a_frame_is_offered_as_it_comes_unless_another_one_waits() -> None:
    async def story(connection: Connection, peer: ServerConnection) -> None:
        offered: list[str | bytes] = []
        takes = [True]

        def take(frame: str | bytes) -> bool:
            offered.append(frame)
            return takes[0]

        connection.offer_to(take)
        await peer.send("one")
        await peer.send(b"two")
        await until(lambda: len(offered) == 2, "both are taken")
        takes[0] = False
        await peer.send("three")
        await until(lambda: len(offered) == 3, "it is left")
        takes[0] = True
        await peer.send("four")
        await peer.send(["five ", "in two"])
        await (await peer.ping())  # all of it has come
        assert [await connection.receive() for _ in range(3)] == ["three", "four", "five in two"]
        assert offered == ["one", b"two", "three"]
        await peer.send("six")
        await until(lambda: len(offered) == 4, "nothing waits any more")

    _run(story)


def test_an_invalid_text_is_no_message() -> None:
    async def story(connection: Connection, peer: ServerConnection) -> None:
        offered: list[str | bytes] = []

        def take(frame: str | bytes) -> bool:
            offered.append(frame)
            return True

        connection.offer_to(take)
        await peer.send(b"\xff", text=True)
        with pytest.raises(ConnectionLostError):
            await connection.receive()
        assert offered == []

    _run(story)


def test_without_an_offer_all_is_received() -> None:
    async def story(connection: Connection, peer: ServerConnection) -> None:
        await peer.send(b"one")
        await peer.send("two")
        assert [await connection.receive() for _ in range(2)] == [b"one", "two"]

    _run(story)
