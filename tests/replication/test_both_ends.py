"""Both ends of a link over a real connection: how it begins, carries, breaks, is dialled anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator

import pytest
from starlette.websockets import WebSocket
from websockets.asyncio.server import ServerConnection, serve

from replog.core.entry import Epoch
from replog.core.events import SecondaryIndex
from replog.core.messages import Heartbeat
from replog.replication import dial as dial_module
from replog.replication.dial import DialledConnection, Dialler, dial
from replog.replication.endpoint import FRAMES, FrameProtocol, ServedConnection, serve_link
from replog.replication.link import ConnectionLostError
from replog.testing import free_ports
from tests.replication.owner import Owner
from tests.replication.serving import serving
from tests.support.nodes import until
from tests.support.waiting import DEADLINE_S

BEAT = Heartbeat(Epoch(1))


def run(story: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(story, DEADLINE_S))


@pytest.mark.parametrize("steady_s", [0.0, 1000.0])
def test_what_ended_is_dialled_again(steady_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial_module, "_STEADY_S", steady_s)

    async def story() -> None:
        master, secondary = Owner(), Owner()
        async with serving(lambda websocket: serve_link(websocket, secondary)) as port:
            dialler = Dialler(SecondaryIndex(0), f"http://127.0.0.1:{port}", master)
            dialling = asyncio.ensure_future(dialler.run())
            for times in (1, 2):
                for owner in (master, secondary):
                    await until(
                        lambda: dialling.done() or len(owner.links) == times,  # noqa: B023
                        "a link",
                    )
                assert not dialling.done(), "it is dialled as long as the master runs"
                master.links[-1].send(BEAT)
                secondary.links[-1].send(BEAT)
                await until(lambda: len(master.messages) == times, "a beat")  # noqa: B023
                await until(lambda: len(secondary.messages) == times, "a beat")  # noqa: B023
                secondary.links[-1].close("enough")
                await until(lambda: len(master.told) == 2 * times, "its end")  # noqa: B023
            dialling.cancel()
            await asyncio.wait((dialling,))
        assert master.told == ["opened", "closed: closed by the other end: enough"] * 2
        assert secondary.told == ["opened", "closed: enough"] * 2

    run(story())


def test_a_node_that_is_not_there_is_dialled_for_ever() -> None:
    async def story() -> None:
        [port] = free_ports(1)
        master = Owner()
        dialler = Dialler(SecondaryIndex(0), f"http://127.0.0.1:{port}", master)
        dialling = asyncio.ensure_future(dialler.run())
        await until(lambda: len(master.told) == 3, "it was dialled thrice")
        dialling.cancel()
        await asyncio.wait((dialling,))
        assert set(master.told) == {"failed: connection refused: nothing listens there"}

    run(story())


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def not_found(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    writer.close()


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"220 mail.example ready\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (not_found, "it answers HTTP 404 to a link: is it a replog node?"),
        (nothing, "no answer within 0.2 s"),
        (no_http, "InvalidMessage: did not receive a valid HTTP response"),
    ],
)
def test_what_answers_otherwise_than_a_node_is_said(
    answer: Answer, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial_module, "CONNECT_WITHIN_S", 0.2 if answer is nothing else 30)

    async def story() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(ConnectionLostError) as raised:
                await dial(f"http://127.0.0.1:{port}")
        assert str(raised.value) == why

    run(story())


def test_a_dialled_connection_sends_at_once_where_it_can_and_says_how_it_broke() -> None:
    async def story() -> None:
        came: list[str | bytes] = []

        async def handle(peer: ServerConnection) -> None:
            came.extend([await peer.recv() for _ in range(4)])
            await peer.close(1012)

        async with serve(handle, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            connection = await dial(f"http://127.0.0.1:{port}")
            assert isinstance(connection, DialledConnection)
            assert connection.try_send("one")
            assert connection.try_send(b"two")
            connection._connection.paused = True
            assert not connection.try_send("not now")
            connection._connection.paused = False
            await connection.send("three")
            await connection.send(b"four")
            for use in (connection.receive(), connection.send("five")):
                with pytest.raises(ConnectionLostError, match="closed by the other end: it stops"):
                    await use
            assert not connection.try_send("six")
            await connection.close("it is closed already")
        assert came == ["one", b"two", "three", b"four"]

    run(story())


def test_who_else_wants_the_event_loop_has_a_turn_while_a_long_frame_is_sent() -> None:
    async def story() -> None:
        came: list[str | bytes] = []

        async def hold(websocket: WebSocket) -> None:
            await websocket.accept()
            connection = ServedConnection(websocket)
            connection.expect_batches()
            came.extend([await connection.receive() for _ in range(2)])
            await connection.close("enough")

        async with serving(hold) as port:
            connection = await dial(f"http://127.0.0.1:{port}")
            frame = bytes(range(256)) * 4096  # a MiB
            assert len(frame) > dial_module._AT_ONCE_BYTES
            assert not connection.try_send(frame)
            sending = asyncio.ensure_future(connection.send(frame))
            turns = 0
            while not sending.done():
                await asyncio.sleep(0)
                turns += 1
            assert turns > len(frame) // dial_module._FRAGMENT_BYTES
            await connection.send("behind it")
            with pytest.raises(ConnectionLostError, match="enough"):
                await connection.receive()
        assert came == [frame, "behind it"]

    run(story())


@pytest.mark.parametrize("rest_s", [0.0, 0.25])
def test_a_long_frame_rests_before_each_of_its_parts(
    rest_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        rests: list[float] = []
        sleep = asyncio.sleep

        async def note(seconds: float) -> None:
            rests.append(seconds)
            await sleep(0)

        monkeypatch.setattr(asyncio, "sleep", note)
        frame = bytes(10 * dial_module._FRAGMENT_BYTES + 1)
        parts = [bytes(part) async for part in dial_module._fragments(frame, rest_s)]
        assert b"".join(parts) == frame
        assert rests == [rest_s] * 11 == [rest_s] * len(parts)

    run(story())


def test_a_dialled_connection_that_broke_off_has_no_reason() -> None:
    async def story() -> None:
        async def handle(peer: ServerConnection) -> None:
            peer.transport.abort()

        async with serve(handle, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            connection = await dial(f"http://127.0.0.1:{port}")
            with pytest.raises(ConnectionLostError, match="the connection broke off"):
                await connection.receive()

    run(story())


def test_a_served_connection_sends_at_once_where_it_can() -> None:
    async def story() -> None:
        protocols: list[FrameProtocol] = []
        may_end = asyncio.Event()

        async def hold(websocket: WebSocket) -> None:
            protocols.append(websocket.scope["extensions"][FRAMES]["protocol"])
            await websocket.accept()
            connection = ServedConnection(websocket)
            assert connection.try_send("one")
            assert connection.try_send(b"two")
            protocols[0].writable.clear()
            assert not connection.try_send("not now")
            protocols[0].writable.set()
            await connection.close("enough")
            assert not connection.try_send("three")
            may_end.set()

        async with serving(hold) as port:
            connection = await dial(f"http://127.0.0.1:{port}")
            assert [await connection.receive() for _ in range(2)] == ["one", b"two"]
            with pytest.raises(ConnectionLostError, match="closed by the other end: enough"):
                await connection.receive()
            await may_end.wait()

    run(story())


def test_nothing_is_sent_at_once_behind_the_peers_close() -> None:
    async def story() -> None:
        refused: list[bool] = []

        async def hold(websocket: WebSocket) -> None:
            protocol: FrameProtocol = websocket.scope["extensions"][FRAMES]["protocol"]
            await websocket.accept()
            protocol.conn.send_close(1000)  # as uvicorn's pings do: it knows of no close yet
            refused.append(not protocol.try_send("one"))

        async with serving(hold) as port:
            connection = await dial(f"http://127.0.0.1:{port}")
            await until(lambda: refused == [True], "it is refused")
            connection.abort()

    run(story())


def test_what_is_no_handshake_is_refused_by_the_server() -> None:
    async def story() -> None:
        secondary = Owner()
        async with serving(lambda websocket: serve_link(websocket, secondary)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"GET /replication HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")
            writer.close()
        assert secondary.links == []

    run(story())


def test_an_invalid_text_is_left_to_the_server_to_refuse() -> None:
    async def story() -> None:
        secondary = Owner()
        async with serving(lambda websocket: serve_link(websocket, secondary)) as port:
            connection = await dial(f"http://127.0.0.1:{port}")
            assert isinstance(connection, DialledConnection)
            await until(lambda: len(secondary.links) == 1, "a link")
            await connection._connection.send(b"\xff", text=True)
            with pytest.raises(ConnectionLostError, match="closed by the other end"):
                await connection.receive()
        assert secondary.messages == []

    run(story())


class Scripted:
    """The ASGI side of a WebSocket whose server has no extension for frames."""

    def __init__(self, *events: dict[str, object]) -> None:
        self.sent: list[object] = []
        self.is_broken = False
        coming: Iterator[dict[str, object]] = iter([{"type": "websocket.connect"}, *events])

        async def receive() -> dict[str, object]:
            return next(coming)

        async def send(event: object) -> None:
            if self.is_broken:
                raise OSError("broken")
            self.sent.append(event)

        self.websocket = WebSocket({"type": "websocket"}, receive=receive, send=send)


def test_a_server_without_the_extension_is_sent_by_asgi_alone() -> None:
    async def story() -> None:
        scripted = Scripted(
            {"type": "websocket.receive", "text": "one"},
            {"type": "websocket.receive", "bytes": b"two"},
            {"type": "websocket.disconnect", "code": 1006},
        )
        await scripted.websocket.accept()
        connection = ServedConnection(scripted.websocket)
        connection.offer_to(lambda _: True)
        connection.expect_batches()  # there is nobody to tell
        assert not connection.try_send("at once")
        await connection.send("three")
        await connection.send(b"four")
        assert [await connection.receive() for _ in range(2)] == ["one", b"two"]
        with pytest.raises(ConnectionLostError, match="the connection broke off"):
            await connection.receive()
        assert scripted.sent[1:] == [
            {"type": "websocket.send", "text": "three"},
            {"type": "websocket.send", "bytes": b"four"},
        ]

    run(story())


def test_a_served_connection_that_is_gone_is_lost() -> None:
    async def story() -> None:
        scripted = Scripted({"type": "websocket.disconnect", "code": 1000, "reason": "bye"})
        await scripted.websocket.accept()
        connection = ServedConnection(scripted.websocket)
        scripted.is_broken = True
        with pytest.raises(ConnectionLostError, match="the connection broke off"):
            await connection.send("one")
        with pytest.raises(ConnectionLostError, match="closed by the other end: bye"):
            await connection.receive()
        with pytest.raises(ConnectionLostError, match="the connection is closed already"):
            await connection.close("again")
        connection.abort()

    run(story())


def test_a_peer_without_an_address_is_unknown() -> None:
    async def story() -> None:
        secondary = Owner()
        scripted = Scripted({"type": "websocket.disconnect", "code": 1012})
        await serve_link(scripted.websocket, secondary)
        assert [link.name for link in secondary.links] == ["unknown"]
        assert secondary.told == ["opened", "closed: closed by the other end: it stops"]

    run(story())
