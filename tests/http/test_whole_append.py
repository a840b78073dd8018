"""Appends that come as a whole under a head that came before: as any other, without a task."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace

import pytest

from replog.core.effects import RefusalReason, Refused
from replog.http import append_routes
from replog.http.append_request import AppendRequest
from replog.http.limits import Deadlines, Limits
from replog.http.whole_append import WholeAppend
from replog.node.clients import NodeFailedError
from tests.http.fake_node import FakeNode
from tests.http.raw import Answer, Connection, request_bytes
from tests.http.served import Served
from tests.support.waiting import wait_until

JSON = {"Content-Type": "application/json"}
KEY = "Idempotency-Key"
HELLO = b'{"message":"hello"}'
WHOLE = request_bytes("POST", "/logs", HELLO, JSON)


def _begun(served: Served) -> int:
    return served.on_loop(lambda: served.node.begun_appends)


def _without_date(answer: Answer) -> Answer:
    return replace(answer, headers={k: v for k, v in answer.headers.items() if k != "date"})


def _asked(connection: Connection, request: bytes = WHOLE) -> Answer:
    connection.send(request)
    return _without_date(connection.answer())


def test_the_second_of_a_kind_needs_no_task_and_is_answered_alike(master: Served) -> None:
    with master.connect() as connection:
        first = _asked(connection)
        assert _begun(master) == 0
        second = _asked(connection)
    assert _begun(master) == 1
    assert first.body == b'{"status":"success","log":{"id":1,"message":"hello"}}'
    assert second == replace(first, body=first.body.replace(b'"id":1', b'"id":2'))
    assert second.headers["log-acks"] == "3/3"


def test_another_connection_profits_too(master: Served) -> None:
    for _ in range(2):
        with master.connect() as connection:
            assert _asked(connection).status == 200
    assert _begun(master) == 1


@pytest.mark.parametrize(
    ("target", "body", "asked"),
    [
        ("/logs?w=1&timeout=2", HELLO, (1, 2.0)),
        ("/logs", b'{"message":"a\\u00e9\\n","w":"majority"}', ("majority", None)),
    ],
)
def test_terms_in_the_query_and_in_the_body_are_kept(
    master: Served, target: str, body: bytes, asked: tuple[object, object]
) -> None:
    request = request_bytes("POST", target, body, JSON)
    with master.connect() as connection:
        answers = [_asked(connection, request) for _ in range(2)]
    assert [json.loads(answer.body)["log"]["id"] for answer in answers] == [1, 2]
    assert _begun(master) == 1
    assert master.on_loop(lambda: master.node.asked) == [asked, asked]


def test_keys_are_kept_and_one_that_comes_again_is_replayed(master: Served) -> None:
    with master.connect() as connection:
        answers = [
            _asked(connection, request_bytes("POST", "/logs", HELLO, {**JSON, KEY: key}))
            for key in ('"a"', '"b"', "c d", '"b"')
        ]
    assert [json.loads(answer.body)["log"]["id"] for answer in answers] == [1, 2, 3, 2]
    assert ["idempotency-replayed" in answer.headers for answer in answers] == [
        False,
        False,
        False,
        True,
    ]
    assert _begun(master) == 3
    assert master.on_loop(lambda: master.node.keys) == {1: "a", 2: "b", 3: "c d"}


@pytest.mark.parametrize("key", ["", '"', " ", "k\x80", "\t", '"' + 300 * "k" + '"'])
def test_a_key_in_doubt_is_answered_as_ever(master: Served, key: str) -> None:
    known, asked = (
        request_bytes("POST", "/logs", HELLO, {**JSON, KEY: value}) for value in ('"k"', key)
    )
    with master.connect() as connection:
        ever = _asked(connection, asked)
    with master.connect() as connection:
        _asked(connection, known)
        begun = _begun(master)
        again = _asked(connection, asked)
    assert _begun(master) == begun
    assert again.status == ever.status
    if again.status >= 400:
        assert again == ever


def test_the_default_timeout_holds() -> None:
    with Served(default_timeout_s=0.0) as served, served.connect() as connection:
        served.node.reachable = 1
        assert [_asked(connection).status for _ in range(2)] == [202, 202]
        assert _begun(served) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"message":1}'.ljust(19),
        b'{"message":"hel\xff"}'.ljust(19),
        b'["hello"]'.ljust(19),
        b'[{"message":"a"}]'.ljust(19),
        b' {"message":"b"}'.ljust(19),
        b'{"message":"a","w":'.ljust(19),
        b'{"message":"x","x":',
    ],
)
def test_what_is_not_one_message_is_answered_as_ever(master: Served, body: bytes) -> None:
    assert len(body) == len(HELLO), "under the same head"
    request = request_bytes("POST", "/logs", body, JSON)
    with master.connect() as fresh:
        ever = _asked(fresh, request)
    with master.connect() as connection:
        _asked(connection)
        begun = _begun(master)
        again = _asked(connection, request)
    assert _begun(master) == begun
    assert again.status == ever.status
    if again.status >= 400:
        assert again == ever


UNUSUAL: list[tuple[str, dict[str, str]]] = [
    ("/logs", {**JSON, "IDEMPOTENCY-KEY": '"k"'}),
    ("/logs", {**JSON, "If-Match": '"0"'}),
    ("/logs", {**JSON, "Connection": "keep-alive, TE"}),
    ("/logs", {"Content-Type": "text/plain"}),
    ("/logs", {"Content-Type": "application/x-ndjson"}),
    ("/logs", {"Origin": "http://elsewhere"}),
    ("/logs/", JSON),
    ("http://x/logs?", {**JSON, "X": 2000 * "x"}),
]


@pytest.mark.parametrize(("target", "headers"), UNUSUAL)
def test_what_asks_for_more_goes_the_ordinary_way(
    master: Served, target: str, headers: dict[str, str]
) -> None:
    request = request_bytes("POST", target, HELLO, headers)
    with master.connect() as connection:
        statuses = {_asked(connection, request).status for _ in range(3)}
    assert len(statuses) in {1, 2}  # the condition holds once
    assert _begun(master) == 0


def test_what_comes_in_two_pieces_goes_the_ordinary_way(master: Served) -> None:
    with master.connect() as connection:
        _asked(connection)
        connection.send(WHOLE[:-4])
        wait_until(lambda: _waiting(master) == 1, "the beginning is read")
        connection.send(WHOLE[-4:])
        assert connection.answer().status == 200
    assert _begun(master) == 0


def _waiting(served: Served) -> int:
    """Return how many requests have a task."""
    return served.on_loop(lambda: sum("run_asgi" in repr(task) for task in asyncio.all_tasks()))


def test_two_in_one_piece_are_answered_in_order(master: Served) -> None:
    with master.connect() as connection:
        _asked(connection)
        connection.send(WHOLE + WHOLE)
        ids = [json.loads(connection.answer().body)["log"]["id"] for _ in range(2)]
    assert ids == [2, 3]
    assert _begun(master) == 0


def test_what_comes_behind_one_that_waits_waits_for_its_turn(master: Served) -> None:
    with master.connect() as connection:
        _asked(connection)
        master.on_loop(lambda: setattr(master.node, "reachable", 1))
        connection.send(WHOLE)
        wait_until(lambda: _begun(master) == 1, "the append waits")
        connection.send(request_bytes("GET", "/logs/1"))
        connection.send(WHOLE)
        master.on_loop(master.node.release)
        answers = [connection.answer() for _ in range(3)]
    assert [json.loads(answer.body).get("status") for answer in answers] == [
        "success",
        None,
        "success",
    ]


def test_a_hang_up_gives_the_append_up_and_its_share_of_the_limits(master: Served) -> None:
    master.on_loop(lambda: setattr(master.node, "reachable", 1))
    with master.connect() as teacher:
        assert _asked(teacher, WHOLE.replace(b'"}', b'",')).status == 400
    with master.connect() as connection:
        connection.send(WHOLE)
        wait_until(lambda: _begun(master) == 1, "the append waits")
        assert master.app.log_routes.appends.waiting == 1
        assert master.app.log_routes.appends.bytes_in_flight == len(HELLO)
    wait_until(lambda: master.on_loop(lambda: master.node.abandoned) == 1, "it is given up")
    assert master.app.log_routes.appends.waiting == 0
    assert master.app.log_routes.appends.bytes_in_flight == 0


def test_garbage_behind_one_that_waits_closes_without_an_answer(master: Served) -> None:
    with master.connect() as connection:
        _asked(connection)
        master.on_loop(lambda: setattr(master.node, "reachable", 1))
        connection.send(WHOLE)
        wait_until(lambda: _begun(master) == 1, "the append waits")
        connection.send(b"garbage\r\n\r\n")
        assert connection.is_closed()
    wait_until(lambda: master.on_loop(lambda: master.node.abandoned) == 1, "it is given up")


def test_a_stop_answers_it_and_closes(master: Served) -> None:
    with master.connect() as connection:
        _asked(connection)
        master.on_loop(lambda: setattr(master.node, "reachable", 1))
        connection.send(WHOLE)
        wait_until(lambda: _begun(master) == 1, "the append waits")
        master.request_stop()
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (202, "close")
        assert connection.is_closed()


def test_limits_are_those_of_all_appends() -> None:
    limits = Limits(waiting_appends_max=1)
    with Served(limits=limits) as served, served.connect() as connection, served.connect() as other:
        _asked(connection)
        served.on_loop(lambda: setattr(served.node, "reachable", 1))
        connection.send(WHOLE)
        wait_until(lambda: _begun(served) == 1, "the append waits")
        assert _asked(other).status == 503
        served.on_loop(served.node.release)
        assert connection.answer().status == 200
        assert _asked(other).status == 200


def test_what_the_node_refuses_is_its_problem(master: Served) -> None:
    refused = Refused(RefusalReason.NO_QUORUM, "1 of 3 nodes are reachable")
    master.on_loop(lambda: setattr(master.node, "refusal", refused))
    with master.connect() as connection:
        answers = [_asked(connection) for _ in range(2)]
    assert _begun(master) == 1
    assert answers[0] == answers[1]
    assert answers[1].problem()["detail"] == refused.detail


def test_a_node_that_fails_is_an_internal_error(master: Served) -> None:
    with master.connect() as connection:
        _asked(connection)
        error = NodeFailedError("planted by the test")
        master.on_loop(lambda: setattr(master.node, "raises", error))
        assert _asked(connection).problem()["type"] == "/problems/internal-error"
    assert _begun(master) == 1


def test_a_defect_is_an_internal_error(master: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("planted by the test")

    with master.connect() as connection:
        _asked(connection)
        monkeypatch.setattr(append_routes, "parse_append", fail)
        assert _asked(connection).problem()["type"] == "/problems/internal-error"
    assert _begun(master) == 0


def test_its_answer_begins_the_time_of_an_idle_connection() -> None:
    with Served(deadlines=Deadlines(idle_s=0.05), sweep_interval_s=0.02) as served:
        with served.connect() as connection:
            _asked(connection)
        with served.connect() as connection:
            _asked(connection)
            assert _begun(served) == 1
            assert connection.is_closed()


def test_a_secondary_refuses_it_as_ever(secondary: Served) -> None:
    with secondary.connect() as connection:
        answers = [_asked(connection) for _ in range(2)]
    assert answers[0] == answers[1]
    assert _begun(secondary) == 0


@pytest.mark.parametrize("hangs_up", [False, True])
def test_an_append_that_has_ended_holds_no_message(hangs_up: bool) -> None:
    async def story() -> None:
        node = FakeNode()
        request = AppendRequest((HELLO,), None, None)
        before = sys.getrefcount(request)
        ended: list[bool] = []
        finished = asyncio.Event()
        append = WholeAppend(
            node,
            request,
            finish=lambda *_: finished.set(),
            ended=lambda: ended.append(True),
        )
        append.begin(None)
        if hangs_up:
            append.disconnected = True
            append.set()
        else:
            await finished.wait()
        append.set()
        assert ended == [True]
        assert append.response_complete
        assert sys.getrefcount(request) == before

    asyncio.run(story())
