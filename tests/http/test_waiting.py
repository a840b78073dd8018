"""Waiting appends: hang-ups, limits, and what a stop does with them."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack

import pytest
from starlette.types import Message, Scope

from replog.core.effects import RefusalReason, Refused
from replog.core.entry import EntryId
from replog.http.append_routes import AppendRoutes
from replog.http.limits import Limits
from replog.storage.batch import entry_line
from tests.http.fake_node import FakeNode
from tests.http.raw import Connection, request_bytes
from tests.http.served import Served
from tests.support.waiting import wait_until

WAITING = request_bytes("POST", "/logs", b'{"message":"waits","w":3}')


def _waiting(served: Served, count: int) -> list[Connection]:
    """Return `count` connections, each with an append that waits."""
    served.node.reachable = 2
    before = served.node.waiting
    connections = [served.connect() for _ in range(count)]
    for connection in connections:
        connection.send(WAITING)
    wait_until(lambda: served.node.waiting == before + count, "all wait")
    return connections


def test_a_client_that_hangs_up_leaves_its_entry_and_nothing_else(master: Served) -> None:
    connections = _waiting(master, 20)
    for connection in connections:
        connection.socket.close()
    wait_until(lambda: master.node.abandoned == 20, "every hang-up is noticed")
    wait_until(lambda: master.app.log_routes.appends.waiting == 0, "none is counted")
    assert master.app.log_routes.appends.bytes_in_flight == 0
    with master.connect() as connection:
        assert len(json.loads(connection.request("GET", "/logs").body)) == 20


def test_a_pipelining_client_that_hangs_up_leaves_nothing(master: Served) -> None:
    [connection] = _waiting(master, 1)
    connection.send(b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n")
    connection.socket.close()
    wait_until(lambda: master.node.abandoned == 1, "the hang-up is noticed")


def test_a_reader_that_hangs_up_while_its_read_waits_leaves_nothing(secondary: Served) -> None:
    secondary.node.holds_reads = True
    with secondary.connect() as connection:
        connection.send(b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: secondary.node.waiting == 1, "the read waits")
    wait_until(lambda: secondary.node.abandoned == 1, "the hang-up is noticed")


def test_a_read_that_waits_is_answered_by_a_stop(secondary: Served) -> None:
    secondary.node.holds_reads = True
    with secondary.connect() as connection:
        connection.send(b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: secondary.node.waiting == 1, "the read waits")
        secondary.stop()
        assert connection.answer().body == b"[]"


def test_pipelined_requests_are_answered_in_order(master: Served) -> None:
    [connection] = _waiting(master, 1)
    with connection:
        connection.send(b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.send(request_bytes("POST", "/logs", b'{"message":"second","w":1}'))
        master.on_loop(master.node.release)
        assert json.loads(connection.answer().body)["log"]["id"] == 1
        assert json.loads(connection.answer().body) == [{"id": 1, "message": "waits"}]
        assert json.loads(connection.answer().body)["log"]["id"] == 2


def test_garbage_behind_a_waiting_append_is_never_taken_for_its_answer(master: Served) -> None:
    [connection] = _waiting(master, 1)
    with connection:
        connection.send(b"garbage\r\n\r\n")
        assert connection.is_closed()
        wait_until(lambda: master.node.abandoned == 1, "the hang-up is noticed")


def test_more_waiting_appends_than_the_limit_are_refused_before_they_are_stored() -> None:
    with Served(limits=Limits(waiting_appends_max=3)) as served:
        waiting = _waiting(served, 3)
        with served.connect() as connection:
            answer = connection.append(b'{"message":"one too many","w":1}')
            assert answer.status == 503
            assert answer.headers["retry-after"] == "1"
            problem = answer.problem()
            assert (problem["type"], problem["retryable"]) == ("/problems/overloaded", True)
            assert len(served.node.lines) == 3
            assert connection.request("GET", "/logs").status == 200
            waiting.pop().socket.close()
            wait_until(lambda: served.node.abandoned == 1, "the hang-up is noticed")
            assert connection.append(b'{"message":"room again","w":1}').status == 200
        for connection in waiting:
            connection.socket.close()


def test_bodies_that_never_end_leave_room_for_those_that_are_here() -> None:
    limits = Limits(message_bytes_max=1000, request_bytes_max=210_000)
    with Served(limits=limits) as served, served.connect() as honest, ExitStack() as stack:
        appends = served.app.log_routes.appends
        half = request_bytes("POST", "/logs", b'{"message":"x"}' + b" " * 50_000)[:-15_000]
        first = stack.enter_context(served.connect())
        first.send(half)
        wait_until(lambda: appends.bytes_in_flight > 30_000, "it is counted")
        second = stack.enter_context(served.connect())
        second.send(half)
        wait_until(lambda: appends.bytes_in_flight > 65_000, "it is counted")
        late = stack.enter_context(served.connect())
        late.send(half)
        assert late.answer().problem()["type"] == "/problems/overloaded"
        assert honest.append(b'{"message":"here"}' + b" " * 20_000).status == 200
        second.send(b" " * 15_000)
        assert second.answer().status == 200, "who goes on is served"
        stack.close()
        wait_until(lambda: appends.bytes_in_flight == 0, "all is given back")
        with served.connect() as large:
            large.send(half)
            large.send(b" " * 15_000)
            assert large.answer().status == 200


def test_one_body_alone_may_have_all_the_room_there_is() -> None:
    limits = Limits(message_bytes_max=1000, request_bytes_max=71_600)
    with Served(limits=limits) as served, served.connect() as connection:
        body = b'{"message":"x"}' + b" " * 71_000
        connection.send(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 71015\r\n\r\n")
        connection.send(body[:70_000])
        appends = served.app.log_routes.appends
        wait_until(lambda: appends.bytes_in_flight == 70_000, "nearly all is here")
        connection.send(body[70_000:])
        assert connection.answer().status == 200


@pytest.mark.parametrize("is_chunked", [False, True])
def test_more_request_bytes_than_the_limit_are_refused_before_they_are_stored(
    *, is_chunked: bool
) -> None:
    limits = Limits(message_bytes_max=1000, request_bytes_max=71_600)
    assert limits.body_bytes_max <= 71_600
    with Served(limits=limits) as served, served.connect() as holder, served.connect() as other:
        padding = b" " * 60_000
        served.node.reachable = 2
        holder.send(request_bytes("POST", "/logs", b'{"message":"x","w":3}' + padding))
        wait_until(lambda: served.node.waiting == 1, "it waits")
        body = b'{"message":"y","w":1}' + padding
        if is_chunked:
            other.send(b"POST /logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            held = served.app.log_routes.appends.bytes_in_flight
            other.send(b"3e8\r\n%b\r\n" % body[:1000])
            wait_until(
                lambda: served.app.log_routes.appends.bytes_in_flight == held + 1000,
                "the first bytes are counted",
            )
            other.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body) - 1000, body[1000:]))
        else:
            other.send(request_bytes("POST", "/logs", body))
        answer = other.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.problem()["type"] == "/problems/overloaded"
        assert len(served.node.lines) == 1
        assert other.append(b'{"message":"small","w":1}').status == 200
        served.on_loop(served.node.release)
        assert holder.answer().status == 200
        assert other.append(body).status == 200


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_client_that_does_not_take_its_answer_holds_no_bytes_in_flight(
    *, is_refused: bool
) -> None:
    """The answer waits for the client: else one of them could refuse everybody's appends."""

    async def story() -> None:
        node = FakeNode()
        if is_refused:
            node.refusal = Refused(RefusalReason.STOPPING, "The node stops.")
        appends = AppendRoutes(node, Limits(), None)
        is_sending = asyncio.Event()

        async def receive() -> Message:
            return {"type": "http.request", "body": b'{"message":"x"}', "more_body": False}

        async def send(message: Message) -> None:
            del message
            is_sending.set()
            await asyncio.Event().wait()

        scope: Scope = {"type": "http", "headers": [], "query_string": b""}
        answering = asyncio.ensure_future(appends.append(scope, receive, send))
        await is_sending.wait()
        assert (appends.bytes_in_flight, appends.waiting) == (0, 0)
        answering.cancel()

    asyncio.run(story())


def test_a_stop_answers_waiting_appends_202_and_breaks_streams_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Served() as served:
        waiting = _waiting(served, 20)
        stalled = served.connect()
        served.node.lines += [entry_line(EntryId(21), b'"%b"' % (b"x" * 20_000_000))] * 3
        served.node.chunk_entries = 21
        stalled.send(b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n")
        idle = served.connect()
        idle.request("GET", "/livez")
        wait_until(lambda: served.node.chunks_read == 1, "the stream stands")
        served.stop()
        for connection in waiting:
            answer = connection.answer()
            assert answer.status == 202
            assert json.loads(answer.body)["status"] == "pending"
            connection.socket.close()
        assert not stalled.read_to_end().endswith(b"]\r\n0\r\n\r\n")
        stalled.socket.close()
        assert idle.is_closed()
        idle.socket.close()
    assert not any(record.exc_info for record in caplog.records)


def test_a_stop_waits_for_no_grace_where_nothing_runs() -> None:
    """With an hour of grace only an end by itself comes before the deadline of the test."""
    with Served(grace_s=3600.0) as served, served.connect() as connection:
        connection.request("GET", "/logs")
        waiting = _waiting(served, 5)
        served.stop()
        for other in waiting:
            assert other.answer().status == 202
            other.socket.close()


def test_an_append_that_waits_long_is_answered_on_a_connection_that_lives_on(
    master: Served,
) -> None:
    [connection] = _waiting(master, 1)
    with connection:
        wait_until(lambda: _is_watched(master), "its client is watched")
        master.on_loop(master.node.release)
        assert connection.answer().status == 200
        assert connection.request("GET", "/logs").status == 200
        assert master.node.abandoned == 0


def _is_watched(served: Served) -> bool:

    return served.on_loop(
        lambda: any("_watch" in str(task.get_coro()) for task in asyncio.all_tasks())
    )
