"""`GET /logs/{id}/acks`: which nodes hold an entry, and the wait until enough do."""

from __future__ import annotations

import json

import pytest

from replog.core.effects import RefusalReason, Refused
from replog.http.limits import Limits
from tests.http.fake_node import TIME, URLS
from tests.http.raw import request_bytes
from tests.http.served import Served
from tests.support.waiting import wait_until

WAITING = b"GET /logs/1/acks?wait=3600 HTTP/1.1\r\nHost: x\r\n\r\n"


def append(served: Served) -> None:
    with served.connect() as connection:
        assert connection.append(b'{"message":"x","timeout":0}').status in (200, 202)


def test_a_receipt_lists_the_nodes_that_hold_the_entry(master: Served) -> None:
    append(master)
    head = master.node.head
    with master.connect() as connection:
        answer = connection.request("GET", "/logs/1/acks")
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert json.loads(answer.body) == {
            "id": 1,
            "required": 3,
            "met": True,
            "acks": [
                {
                    "url": url,
                    "node_id": url[-4:] * 8,
                    "since": TIME,
                    "last_id": 1,
                    "head": head.hash.hex(),
                }
                for url in URLS
            ],
        }


@pytest.mark.parametrize(
    ("query", "required", "is_met"),
    [
        ("", 3, False),
        ("?w=1", 1, True),
        ("?w=2", 2, True),
        ("?w=majority", 2, True),
        ("?w=all", 3, False),
        ("?w=3&wait=0", 3, False),
        ("?w=3&wait=0.01", 3, False),
        ("?w=2&wait=3600", 2, True),
    ],
)
def test_it_says_whether_the_write_concern_is_met(
    master: Served, query: str, required: int, *, is_met: bool
) -> None:
    master.node.reachable = 2
    append(master)
    with master.connect() as connection:
        value = json.loads(connection.request("GET", f"/logs/1/acks{query}").body)
        assert (value["required"], value["met"], len(value["acks"])) == (required, is_met, 2)


def test_a_wait_ends_when_the_nodes_return_and_blocks_nobody(master: Served) -> None:
    master.node.reachable = 2
    append(master)
    with master.connect() as waiting, master.connect() as other:
        waiting.send(WAITING)
        wait_until(lambda: master.node.waiting == 1, "the receipt waits")
        assert other.request("GET", "/logs/1/acks").status == 200
        master.on_loop(master.node.release)
        value = json.loads(waiting.answer().body)
        assert (value["met"], len(value["acks"])) == (True, 3)
        assert waiting.request("GET", "/livez").status == 200


def test_a_stop_answers_who_waits(master: Served) -> None:
    master.node.reachable = 2
    append(master)
    with master.connect() as waiting:
        waiting.send(WAITING)
        wait_until(lambda: master.node.waiting == 1, "the receipt waits")
        master.stop()
        assert json.loads(waiting.answer().body)["met"] is False


def test_a_client_that_hangs_up_leaves_nothing(master: Served) -> None:
    master.node.reachable = 2
    append(master)
    with master.connect() as waiting:
        waiting.send(WAITING)
        wait_until(lambda: master.node.waiting == 1, "the receipt waits")
    wait_until(lambda: master.node.abandoned == 1, "the hang-up is noticed")


def test_more_waiting_receipts_than_the_limit_are_refused() -> None:
    with Served(limits=Limits(waiting_appends_max=1)) as served:
        served.node.reachable = 2
        append(served)
        with served.connect() as waiting, served.connect() as other:
            waiting.send(WAITING)
            wait_until(lambda: served.node.waiting == 1, "the receipt waits")
            answer = other.request("GET", "/logs/1/acks")
            assert (answer.status, answer.problem()["type"]) == (503, "/problems/overloaded")
            assert other.append(b'{"message":"appends go on","w":1}').status == 200
            served.on_loop(served.node.release)
            assert waiting.answer().status == 200
            assert other.request("GET", "/logs/1/acks").status == 200


def test_head_is_get_without_its_body(master: Served) -> None:
    append(master)
    with master.connect() as connection:
        head = connection.request("HEAD", "/logs/1/acks")
        got = connection.request("GET", "/logs/1/acks")
        head.headers.pop("date"), got.headers.pop("date")
        assert (head.status, head.headers) == (got.status, got.headers)
        assert connection.request("HEAD", "/logs/2/acks").status == 404


@pytest.mark.parametrize(
    ("target", "status", "name"),
    [
        ("/logs/2/acks", 404, "unknown-id"),
        ("/logs/999999999999999/acks", 404, "unknown-id"),
        ("/logs/0/acks", 400, "bad-parameter"),
        ("/logs/-1/acks", 400, "bad-parameter"),
        ("/logs/01/acks", 400, "bad-parameter"),
        ("/logs/1.0/acks", 400, "bad-parameter"),
        ("/logs/x/acks", 400, "bad-parameter"),
        ("/logs/%D9%A2/acks", 400, "bad-parameter"),
        ("/logs/%20/acks", 400, "bad-parameter"),
        ("/logs/1000000000000000/acks", 400, "bad-parameter"),
        ("/logs/1/acks?w=4", 400, "bad-write-concern"),
        ("/logs/1/acks?w=0", 400, "bad-write-concern"),
        ("/logs/1/acks?w=", 400, "bad-write-concern"),
        ("/logs/1/acks?w=ALL", 400, "bad-write-concern"),
        ("/logs/1/acks?w=1&w=1", 400, "bad-parameter"),
        ("/logs/1/acks?write_concern=1", 400, "bad-parameter"),
        ("/logs/1/acks?timeout=1", 400, "bad-parameter"),
        ("/logs/1/acks?wait=", 400, "bad-parameter"),
        ("/logs/1/acks?wait=-1", 400, "bad-parameter"),
        ("/logs/1/acks?wait=x", 400, "bad-parameter"),
        ("/logs/1/acks?wait=nan", 400, "bad-parameter"),
        ("/logs/1/acks?wait=3600.1", 400, "bad-parameter"),
        ("/logs/1/acks?wait=%FF", 400, "bad-parameter"),
        ("/logs/1/acks/", 404, "not-found"),
        ("/logs/1/ack", 404, "not-found"),
        ("/logs//acks", 404, "not-found"),
    ],
)
def test_every_wrong_spelling_is_refused(
    shared: Served, target: str, status: int, name: str
) -> None:
    if not shared.node.lines:
        append(shared)
    with shared.connect() as connection:
        answer = connection.request("GET", target)
        problem = answer.problem()
        assert (answer.status, problem["type"]) == (status, f"/problems/{name}"), problem
        if name == "unknown-id":
            assert problem["committed"] == 1
        assert connection.request("GET", "/logs/1/acks").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_405_with_allow(shared: Served, method: str) -> None:
    with shared.connect() as connection:
        answer = connection.request(method, "/logs/1/acks", b"{}")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert answer.problem()["type"] == "/problems/method-not-allowed"


@pytest.mark.parametrize("master_url", [None, "http://10.0.0.1:8000"])
def test_a_secondary_sends_to_its_master(secondary: Served, master_url: str | None) -> None:
    secondary.node.master_url = master_url
    with secondary.connect() as connection:
        answer = connection.request("GET", "/logs/1/acks")
        problem = answer.problem()
        assert (answer.status, problem["type"]) == (421, "/problems/ask-the-master")
        assert problem["master"] == master_url
        assert connection.request("GET", "/livez").status == 200


@pytest.mark.parametrize("reason", [RefusalReason.STOPPING, RefusalReason.DAMAGED])
def test_a_refusal_of_the_node_becomes_its_problem(master: Served, reason: RefusalReason) -> None:
    master.node.refusal = Refused(reason, "what happened, and what to do")
    with master.connect() as connection:
        answer = connection.request("GET", "/logs/1/acks")
        assert answer.problem()["type"] == f"/problems/{reason.value}"


def test_a_request_with_a_body_is_answered_and_its_body_thrown_away(master: Served) -> None:
    append(master)
    with master.connect() as connection:
        connection.send(request_bytes("GET", "/logs/1/acks", b"x" * 1000))
        assert connection.answer().status == 200
        assert connection.request("GET", "/livez").status == 200
