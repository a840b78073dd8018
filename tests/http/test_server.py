"""Listening: free ports, taken ports, hosts that are none; and the link's WebSocket."""

from __future__ import annotations

import asyncio
import signal
import socket

import pytest
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from replog.core.errors import ConfigurationError
from replog.http.app import create_app
from replog.http.server import listen, port_of, serve
from replog.replication.wire import FRAME_BYTES_MAX
from tests.http.fake_node import FakeNode
from tests.http.served import Served
from tests.support.waiting import DEADLINE_S, wait_until


def test_port_0_is_any_free_port_and_clients_may_come_before_the_server() -> None:
    listeners = listen("127.0.0.1", 0)
    try:
        with socket.create_connection(("127.0.0.1", port_of(listeners))):
            pass
    finally:
        for listener in listeners:
            listener.close()


def test_every_address_of_a_host_gets_the_same_port() -> None:
    listeners = listen("localhost", 0)
    try:
        assert {listener.getsockname()[1] for listener in listeners} == {port_of(listeners)}
    finally:
        for listener in listeners:
            listener.close()


def test_a_taken_port_is_one_line_that_says_what_to_do() -> None:
    [listener] = listen("127.0.0.1", 0)
    with listener, pytest.raises(ConfigurationError) as raised:
        listen("127.0.0.1", port_of([listener]))
    text = str(raised.value)
    assert "taken by another process" in text
    assert "--port" in text
    assert "\n" not in text


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "x" * 300, "a..b"])
def test_a_host_that_is_not_this_machine_is_one_line(host: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        listen(host, 0)
    assert host in str(raised.value)
    assert "\n" not in str(raised.value)


def test_accepted_connections_send_at_once_and_notice_a_vanished_host() -> None:
    [listener] = listen("127.0.0.1", 0)
    listener.settimeout(10)
    with listener, socket.create_connection(("127.0.0.1", port_of([listener]))):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_a_port_is_free_again_after_the_stop() -> None:
    with Served() as served, served.connect() as connection:
        connection.request("GET", "/logs")
        port = served.port
    for listener in listen("127.0.0.1", port):
        listener.close()


def test_the_replication_path_hands_a_websocket_with_the_largest_frames_to_the_node(
    secondary: Served,
) -> None:
    frame = bytes(FRAME_BYTES_MAX)
    url = f"ws://127.0.0.1:{secondary.port}/replication"
    with connect(url, max_size=None, compression="deflate") as link:
        assert link.protocol.extensions == []
        link.send(frame)
        assert link.recv() == frame
        assert secondary.node.links == 1
    wait_until(lambda: secondary.node.links == 0, "the link's end is told")


def test_a_stop_ends_links(secondary: Served) -> None:
    with connect(f"ws://127.0.0.1:{secondary.port}/replication") as link:
        wait_until(lambda: secondary.node.links == 1, "the link stands")
        secondary.stop()
        assert secondary.node.links == 0
        assert link.socket is not None


def test_a_stop_is_clean_while_a_link_is_closing(secondary: Served) -> None:
    """The client has said goodbye and does not read what was sent to it before."""
    with socket.create_connection(("127.0.0.1", secondary.port)) as client:
        client.settimeout(DEADLINE_S)
        client.sendall(
            b"GET /replication HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert client.recv(65536).startswith(b"HTTP/1.1 101")
        client.sendall(Frame(Opcode.BINARY, bytes(FRAME_BYTES_MAX)).serialize(mask=True))
        assert client.recv(1), "the same comes back, more than the buffers between them hold"
        client.sendall(Frame(Opcode.CLOSE, b"").serialize(mask=True))
        wait_until(lambda: secondary.node.links == 0, "the link's end is told")
        secondary.stop()
    assert secondary.failure is None


def test_a_websocket_elsewhere_is_refused(secondary: Served) -> None:
    with pytest.raises(Exception, match="403"):
        connect(f"ws://127.0.0.1:{secondary.port}/logs")
    with secondary.connect() as connection:
        assert connection.request("GET", "/logs").status == 200


def test_a_plain_request_to_the_replication_path_says_what_it_is(secondary: Served) -> None:
    with secondary.connect() as connection:
        answer = connection.request("GET", "/replication")
        assert answer.status == 426
        assert answer.problem()["type"] == "/problems/upgrade-required"
        assert connection.request("GET", "/logs").status == 200


def test_signals_stay_the_callers_in_the_main_thread() -> None:
    seen: list[object] = []

    async def run() -> None:
        node = FakeNode()
        stop = asyncio.Event()

        def note(port: int) -> None:
            del port
            seen.extend(signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT))
            stop.set()

        await serve(create_app(node), node, port=0, stop=stop, on_listening=note)
        seen.append(node.stopping.is_set())

    with asyncio.Runner() as runner:
        runner.run(run())
    assert seen == [signal.SIG_DFL, seen[1], True]
    assert "uvicorn" not in repr(seen[1])
