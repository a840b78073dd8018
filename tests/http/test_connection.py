"""One connection: its deadlines, its bounds, and what is not HTTP."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from itertools import pairwise

import pytest

from replog.http import server
from replog.http.limits import Deadlines
from replog.http.protocol import NodeProtocol
from tests.http.raw import request_bytes
from tests.http.served import Served
from tests.support.waiting import DEADLINE_S, wait_until

PATIENT = 3600.0


def _served(**deadlines: float) -> Served:
    all_of_them = {"headers_s": PATIENT, "body_s": PATIENT, "idle_s": PATIENT, **deadlines}
    return Served(
        deadlines=Deadlines(
            headers_s=all_of_them["headers_s"],
            body_s=all_of_them["body_s"],
            idle_s=all_of_them["idle_s"],
        ),
        sweep_interval_s=0.02,
    )


def test_headers_that_stop_arriving_are_answered_408_and_closed() -> None:
    with _served(headers_s=0.1) as served, served.connect() as connection:
        connection.send(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Le")
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert answer.problem()["type"] == "/problems/request-timeout"
        assert connection.is_closed()


def test_a_body_that_stops_arriving_is_answered_408_and_nothing_is_stored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="replog.http")
    with _served(body_s=0.1) as served, served.connect() as connection:
        connection.send(b'POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{"message":')
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert answer.problem()["retryable"] is True
        assert connection.is_closed()
        assert served.node.asked == []
        wait_until(
            lambda: served.app.log_routes.appends.bytes_in_flight == 0, "its bytes are given back"
        )
    [line] = [text for text in caplog.messages if "refused" in text]
    assert line.startswith("append refused, nothing stored: The body stopped arriving")


def test_a_body_that_drips_has_no_progress() -> None:
    with _served(body_s=0.1) as served, served.connect() as connection:
        connection.send(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        connection.socket.settimeout(0.01)
        received = b""
        while not received:
            connection.send(b" ")
            try:
                received = connection.socket.recv(1000)
            except TimeoutError:
                continue
        assert received.startswith(b"HTTP/1.1 408 ")


def test_a_body_of_which_half_came_has_one_deadline_and_not_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What came at its beginning is no progress at the end of the deadline."""
    sweeps = 0
    sweep, data_received = NodeProtocol.sweep, NodeProtocol.data_received

    def count(self: NodeProtocol) -> None:
        nonlocal sweeps
        sweeps += 1
        sweep(self)

    def count_from_here(self: NodeProtocol, data: bytes) -> None:
        nonlocal sweeps
        sweeps = 0
        data_received(self, data)

    monkeypatch.setattr(NodeProtocol, "sweep", count)
    monkeypatch.setattr(NodeProtocol, "data_received", count_from_here)
    with _served(body_s=0.2) as served, served.connect() as connection:
        half = b"x" * 10_000
        connection.send(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + half)
        assert connection.answer().status == 408
        assert sweeps <= 10 + 2  # 0.2 s of 0.02 s each, the first, and the one that ends it


def test_an_idle_connection_is_closed_without_a_word() -> None:
    with _served(idle_s=0.1) as served, served.connect() as connection:
        connection.request("GET", "/logs")
        assert connection.is_closed()


def test_a_connection_that_never_asks_has_the_time_of_headers() -> None:
    with (
        _served(headers_s=0.1) as served,
        served.connect() as asked,
        served.connect() as silent,
    ):
        assert asked.request("GET", "/logs").status == 200
        assert silent.is_closed()
        assert asked.request("GET", "/logs").status == 200


def test_nobody_who_stalls_keeps_a_connection_for_a_quarter_of_a_minute() -> None:
    """As it is without any setting: a deadline is seen at most two sweeps late."""
    deadlines = Deadlines()
    for seconds in (deadlines.headers_s, deadlines.body_s, deadlines.unread_s):
        assert seconds + 2 * NodeProtocol.sweep_interval_s < 15


def test_a_refused_body_that_never_comes_closes_its_connection() -> None:
    with _served(body_s=0.1) as served, served.connect() as connection:
        connection.send(
            b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n"
            b"Content-Type: text/plain\r\n\r\n"
        )
        assert connection.answer().status == 413
        assert connection.is_closed()


def test_a_waiting_append_has_no_deadline() -> None:
    with _served(headers_s=0.02, body_s=0.02, idle_s=0.02) as served:
        served.node.reachable = 1
        with served.connect() as waiting, served.connect() as idle:
            waiting.send(request_bytes("POST", "/logs", b'{"message":"x"}'))
            assert idle.is_closed(), "deadlines pass"
            with served.connect() as idle_again:
                assert idle_again.is_closed(), "and pass again"
            served.on_loop(served.node.release)
            assert waiting.answer().status == 200


def test_headers_without_end_are_answered_431_and_closed(master: Served) -> None:
    with master.connect() as connection:
        connection.send(b"GET /logs HTTP/1.1\r\nHost: x\r\nX: ")
        connection.send(b"x" * 70_000)
        answer = connection.answer()
        assert answer.status == 431
        assert answer.problem()["type"] == "/problems/headers-too-large"
        assert connection.is_closed()


def test_a_trailer_is_no_header(master: Served) -> None:
    with master.connect() as connection:
        connection.send(
            b"POST /logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'f\r\n{"message":"x"}\r\n0\r\nContent-Type: text/plain\r\n\r\n'
        )
        assert connection.answer().status == 200


def test_trailers_without_end_are_cut_off(master: Served) -> None:
    with master.connect() as connection:
        connection.send(b"POST /logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(b"0\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.send_again_and_again(b"Trailer: x\r\n" * 1000)


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client
        b"GET /logs\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: x\r\n\r\n",  # would make a tunnel of what follows
        b"CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n" + request_bytes("GET", "/logs"),
        b"GET http://a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_not_http_is_answered_as_a_problem_and_closed(
    master: Served, garbage: bytes
) -> None:
    with master.connect() as connection:
        connection.send(garbage)
        answer = connection.answer()
        assert answer.status == 400
        assert answer.problem()["type"] == "/problems/bad-request"
        assert connection.is_closed()
    with master.connect() as another:
        assert another.append(b'{"message":"x"}').status == 200
        assert len(master.node.lines) == 1


@pytest.mark.parametrize(
    ("target", "status"),
    [("http://x/logs", 200), ("http://x/logs?from=1", 200), ("http://x", 404), ("http://x?y", 404)],
)
def test_a_whole_url_is_taken_for_its_path(master: Served, target: str, status: int) -> None:
    """RFC 9112, section 3.2.2; a path that is empty is `/`, which is none of the node's."""
    with master.connect() as connection:
        for _ in range(2):
            assert connection.request("GET", target).status == status


def test_http_1_0_is_answered_and_closed(master: Served) -> None:
    with master.connect() as connection:
        connection.send(b"GET /logs HTTP/1.0\r\n\r\n")
        assert connection.answer().body == b"[]"
        assert connection.is_closed()


def _pipelined(rest: bytes) -> bytes:
    """Return an append of 80 KB with `rest` behind it, for one read of the node."""
    return request_bytes("POST", "/logs", b'{"message":"%b"}' % (b"x" * 80_000)) + rest


def test_a_body_does_not_count_as_headers_of_the_request_behind_it(master: Served) -> None:
    request = request_bytes("POST", "/logs", b'{"message":"y"}')
    for split in (20, request.index(b"\r\n\r\n") + 5):  # in the next head, in the next body
        with master.connect() as connection:
            connection.send(_pipelined(request[:split]))
            assert connection.answer().status == 200
            connection.send(request[split:])
            assert connection.answer().status == 200


def test_headers_behind_a_body_have_their_bound(master: Served) -> None:
    with master.connect() as connection:
        connection.send(_pipelined(b"GET /logs HTTP/1.1\r\nX: "))
        assert connection.answer().status == 200
        connection.send(b"x" * 70_000)
        assert connection.answer().status == 431


def test_the_loop_rests_between_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand idle connections must not hold up an append for as long as they take.

    A loop that only gives way keeps the interpreter from the thread that syncs.
    """
    swept_at: list[float] = []
    sweep = NodeProtocol.sweep

    def note(self: NodeProtocol) -> None:
        swept_at.append(time.monotonic())
        sweep(self)

    monkeypatch.setattr(server, "SWEEP_AT_ONCE_S", 0.0)
    monkeypatch.setattr(server, "SWEEP_REST_S", 0.01)
    monkeypatch.setattr(NodeProtocol, "sweep", note)
    with _served(headers_s=0.1) as served, ExitStack() as stack:
        idle = [stack.enter_context(served.connect()) for _ in range(7)]
        assert all(connection.is_closed() for connection in idle)
    assert len(swept_at) > 7
    assert min(later - sooner for sooner, later in pairwise(swept_at)) > 0.005


def test_the_loop_rests_between_those_that_a_sweep_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """To let go of a connection takes the loop longer than to find out that it is time."""
    closed_at: list[float] = []
    sweep = NodeProtocol.sweep

    def note(self: NodeProtocol) -> None:
        sweep(self)
        if self.transport.is_closing():
            closed_at.append(time.monotonic())

    monkeypatch.setattr(server, "SWEEP_AT_ONCE_S", PATIENT)
    monkeypatch.setattr(server, "SWEEP_REST_S", 0.01)
    monkeypatch.setattr(server, "CLOSED_AT_ONCE", 2)
    monkeypatch.setattr(NodeProtocol, "sweep", note)
    with _served(headers_s=0.1) as served, ExitStack() as stack:
        idle = [stack.enter_context(served.connect()) for _ in range(7)]
        assert all(connection.is_closed() for connection in idle)
    assert len(closed_at) == 7
    assert (
        min(third - first for first, third in zip(closed_at, closed_at[2:], strict=False)) > 0.005
    )


def test_a_stop_does_not_wait_for_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    swept = threading.Event()
    monkeypatch.setattr(server, "SWEEP_AT_ONCE_S", 0.0)
    monkeypatch.setattr(server, "SWEEP_REST_S", PATIENT)
    monkeypatch.setattr(NodeProtocol, "sweep", lambda _: swept.set())
    with _served() as served, served.connect():
        assert swept.wait(DEADLINE_S)
        served.stop()
