"""`GET /logs?from=N&wait=S`: an answer as soon as there is one.

NETWORK.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from replog.http.limits import Limits
from tests.http.raw import request_bytes
from tests.http.served import Served
from tests.http.test_follow import append, followers, node, show, store
from tests.support.waiting import wait_until

__all__ = ["node"]


def is_waiting(served: Served, count: int = 1) -> None:
    wait_until(lambda: served.on_loop(lambda: len(followers(served))) == count, f"{count} wait")


@pytest.fixture
def poll() -> bytes:
    return request_bytes("GET", "/logs?from=2&wait=300")


def test_what_is_there_is_answered_at_once(node: Served) -> None:
    append(node, "a", "b")
    with node.connect() as connection:
        answer = connection.request("GET", "/logs?from=2&wait=300")
        assert answer.body == b'[{"id":2,"message":"b"}]'


def test_the_first_entry_that_becomes_visible_is_answered(node: Served, poll: bytes) -> None:
    append(node, "a")
    with node.connect() as connection:
        connection.send(poll)
        is_waiting(node)
        append(node, "b")
        answer = connection.answer()
        assert answer.body == b'[{"id":2,"message":"b"}]'
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
        assert connection.request("GET", "/logs?from=9&wait=0").body == b"[]", "it is not usable"
    is_waiting(node, 0)


def test_one_who_waits_for_a_later_entry_is_not_answered_by_an_earlier_one(
    master: Served,
) -> None:
    with master.connect() as late, master.connect() as early:
        late.send(request_bytes("GET", "/logs?from=3&wait=300"))
        early.send(request_bytes("GET", "/logs?from=1&wait=300"))
        is_waiting(master, 2)
        append(master, "a", "b")
        assert early.answer().body.count(b'"id"') == 2
        is_waiting(master, 1)
        append(master, "c")
        assert late.answer().body == b'[{"id":3,"message":"c"}]'


def test_what_is_stored_and_not_committed_answers_nobody(node: Served, poll: bytes) -> None:
    append(node, "a")
    with node.connect() as connection:
        connection.send(poll)
        is_waiting(node)
        store(node, "b", "c")
        show(node, 1)
        is_waiting(node)
        show(node)
        assert b'"id":2' in connection.answer().body


def test_nothing_within_the_time_is_an_empty_list(node: Served) -> None:
    with node.connect() as connection:
        assert connection.request("GET", "/logs?from=1&wait=0.05").body == b"[]"
        lines = connection.request(
            "GET", "/logs?from=1&wait=0.05", headers={"Accept": "application/x-ndjson"}
        )
        assert (lines.headers["content-type"], lines.body) == ("application/x-ndjson", b"")


def test_a_limit_goes_with_it(node: Served, poll: bytes) -> None:
    with node.connect() as connection:
        connection.send(request_bytes("GET", "/logs?from=1&limit=1&wait=300"))
        is_waiting(node)
        append(node, "a", "b")
        answer = connection.answer()
        assert answer.body == b'[{"id":1,"message":"a"}]'
        assert "from=2" in answer.headers["link"]


def test_a_stop_answers_all_who_wait(poll: bytes) -> None:
    with Served() as served, ExitStack() as stack:
        connections = [stack.enter_context(served.connect()) for _ in range(20)]
        for connection in connections:
            connection.send(poll)
        is_waiting(served, 20)
        served.request_stop()
        for connection in connections:
            answer = connection.answer()
            assert (answer.status, answer.body) == (200, b"[]")


def test_one_who_hangs_up_is_forgotten(node: Served, poll: bytes) -> None:
    with node.connect() as connection:
        connection.send(poll)
        is_waiting(node)
    is_waiting(node, 0)


def test_they_count_against_the_limit_of_followers(poll: bytes) -> None:
    with Served(limits=Limits(followers_max=1)) as served, served.connect() as first:
        first.send(poll)
        is_waiting(served)
        with served.connect() as second:
            answer = second.request("GET", "/logs?from=2&wait=300")
            assert answer.problem()["type"] == "/problems/overloaded"
            for target in ("/logs?from=2", "/logs?from=2&wait=0"):
                assert second.request("GET", target).body == b"[]", "it does not wait"
            append(served, "a")
            assert b'"id":1' in second.request("GET", "/logs?from=1&wait=300").body


@pytest.mark.parametrize("wait", ["-1", "x", "301", "nan", ""])
def test_a_time_to_wait_is_seconds_up_to_300(shared: Served, wait: str) -> None:
    with shared.connect() as connection:
        answer = connection.request("GET", f"/logs?from=1&wait={wait}")
        assert (answer.status, answer.problem()["parameter"]) == (400, "wait")
