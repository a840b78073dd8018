"""An answer in one write: taken only where head and body agree and the connection lives on."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from replog.http.answer import break_off
from replog.http.cycle import UNCOPIED_BYTES
from replog.http.server import serve
from tests.http.fake_node import FakeNode
from tests.http.raw import Connection
from tests.support.waiting import DEADLINE_S

Headers = list[tuple[bytes, bytes]]


@contextmanager
def _answering(headers: Headers, body: bytes = b"body") -> Iterator[Connection]:
    """Serve an application that gives this answer to everything."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with _serving(app) as connection:
        yield connection


@contextmanager
def _serving(app: ASGIApp) -> Iterator[Connection]:
    ready = threading.Event()
    stop: list[Callable[[], object]] = []
    ports: list[int] = []

    async def run() -> None:
        event = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(event.set))

        def note(port: int) -> None:
            ports.append(port)
            ready.set()

        await serve(app, FakeNode(), port=0, stop=event, on_listening=note)

    thread = threading.Thread(target=lambda: uvloop.run(run()))
    thread.start()
    assert ready.wait(DEADLINE_S)
    try:
        with Connection(ports[0]) as connection:
            yield connection
    finally:
        stop[0]()
        thread.join(DEADLINE_S)


def test_an_ordinary_answer_comes_whole_and_the_connection_lives_on() -> None:
    with _answering([(b"content-length", b"4"), (b"x", b"y")]) as connection:
        for _ in range(2):
            answer = connection.request("GET", "/")
            assert (answer.body, answer.headers["x"]) == (b"body", "y")
            assert "date" in answer.headers


def test_an_answer_that_closes_the_connection_does() -> None:
    with _answering([(b"content-length", b"4"), (b"connection", b"close")]) as connection:
        assert connection.request("GET", "/").body == b"body"
        assert connection.is_closed()


def test_an_answer_without_a_length_is_chunked() -> None:
    with _answering([]) as connection:
        answer = connection.request("GET", "/")
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.body == b"body"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_chunks_of_any_length_come_as_they_were_sent(method: str) -> None:
    sizes = (1, UNCOPIED_BYTES - 1, UNCOPIED_BYTES, 5 * UNCOPIED_BYTES)
    bodies = [bytes([number]) * size for number, size in enumerate(sizes)]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for body in (*bodies, bodies[-1]):
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": bodies[-1]})

    with _serving(app) as connection:
        for _ in range(2):
            answer = connection.request(method, "/")
            wanted = b"".join((*bodies, bodies[-1], bodies[-1]))
            assert answer.body == (wanted if method == "GET" else b"")


def test_stuck_clients_share_what_they_do_not_take() -> None:
    body = bytes(16 * 1024 * 1024)
    held: list[int] = []
    is_sent = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        before = sys.getrefcount(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        held.append(sys.getrefcount(body) - before)
        is_sent.set()
        await receive()
        await receive()

    with _serving(app) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert is_sent.wait(DEADLINE_S)
    assert held == [1], "the transport holds the very bytes"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"3")],
        [(b"content-length", b"5")],
        [(b"content-length", b"4"), (b"x", b"y\r\nz: injected")],
    ],
)
def test_an_answer_whose_head_is_wrong_never_arrives_whole(headers: Headers) -> None:
    with _answering(headers) as connection:
        try:
            answer = connection.request("GET", "/")
        except EOFError:
            return  # broken off
        assert answer.status == 500
        assert "z" not in answer.headers


@pytest.mark.parametrize("is_dropped", [True, False])
def test_what_a_stuck_client_did_not_take_is_dropped_where_that_is_asked_for(
    is_dropped: bool,
) -> None:
    """Without it the rest waits for the client, as it should where that is only a little late."""
    size = 16 * 1024 * 1024

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(size), "more_body": True})
        if is_dropped:
            await break_off(scope, send)

    with _serving(app) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.socket.recv(1)
        assert (len(connection.read_to_end()) < size) is is_dropped


def test_a_server_that_cannot_drop_is_not_asked_to() -> None:
    async def send(message: object) -> None:
        raise AssertionError(message)

    asyncio.run(break_off({"extensions": {}}, send))
    asyncio.run(break_off({}, send))
