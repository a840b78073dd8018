"""`POST /logs`: the seed's bytes, write concern, timeout, and what a node answers."""

from __future__ import annotations

import json

import pytest

from replog.core.effects import RefusalReason, Refused
from replog.http.problems import PROBLEMS
from replog.node.clients import NodeFailedError
from tests.http.served import Served
from tests.support.waiting import wait_until

SEED_BODY = b'{"message": "This is a test log entry."}'


def test_the_seeds_append_is_answered_byte_for_byte(master: Served) -> None:
    with master.connect() as connection:
        answer = connection.append(SEED_BODY)
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["log-acks"] == "3/3"
        assert "server" not in answer.headers
        assert answer.body == (
            b'{"status":"success","log":{"id":1,"message":"This is a test log entry."}}'
        )
        assert connection.request("GET", "/logs").body == (
            b'[{"id":1,"message":"This is a test log entry."}]'
        )


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (rb'"\"\\\/\b\f\n\r\t"', rb'"\"\\/\b\f\n\r\t"'),
        (rb'"\u0000\u001f"', rb'"\u0000\u001f"'),
        ('"é 😀 \u2028 \u0085"'.encode(), '"é 😀 \u2028 \u0085"'.encode()),
        (rb'"\ud83d\ude00 \u00e9"', '"😀 é"'.encode()),
        (b'""', b'""'),
        (rb'"a\u0022,\u0022message\u0022:\u0022b"', rb'"a\",\"message\":\"b"'),
    ],
)
def test_any_character_is_stored_in_its_canonical_form(
    master: Served, sent: bytes, stored: bytes
) -> None:
    with master.connect() as connection:
        answer = connection.append(b'{"message":' + sent + b"}")
        assert answer.body == b'{"status":"success","log":{"id":1,"message":' + stored + b"}}"
    assert master.node.lines == [b'{"id":1,"message":' + stored + b"}\n"]


@pytest.mark.parametrize(
    ("body", "query", "concern"),
    [
        ('{"message":"x"}', "", None),
        ('{"message":"x","w":1}', "", 1),
        ('{"message":"x","w":"majority"}', "", "majority"),
        ('{"w":"all","message":"x"}', "", "all"),
        ('{"message":"x","write_concern":2}', "", 2),
        ('{"message":"x","writeConcern":3}', "", 3),
        ('{"message":"x"}', "?w=2", 2),
        ('{"message":"x"}', "?write_concern=majority", "majority"),
        ('{"message":"x"}', "?writeConcern=all", "all"),
        ('{"message":"x","w":2}', "?w=2", 2),
        ('{"message":"x","w":"all"}', "?w=a%6Cl", "all"),
    ],
)
def test_the_write_concern_has_three_spellings_and_two_places(
    master: Served, body: str, query: str, concern: object
) -> None:
    with master.connect() as connection:
        assert connection.append(body.encode(), f"/logs{query}").status == 200
    assert master.node.asked == [(concern, None)]


@pytest.mark.parametrize(
    ("body", "query", "timeout_s"),
    [
        ('{"message":"x","timeout":1.5}', "", 1.5),
        ('{"message":"x","timeout":2}', "", 2.0),
        ('{"message":"x"}', "?timeout=0.25", 0.25),
        ('{"message":"x"}', "?timeout=1e1", 10.0),
        ('{"message":"x","timeout":1}', "?timeout=1.0", 1.0),
        ('{"message":"x","timeout":' + "9" * 400 + "}", "", 1e9),
    ],
)
def test_the_timeout_is_given_in_the_body_or_the_query(
    master: Served, body: str, query: str, timeout_s: float
) -> None:
    with master.connect() as connection:
        assert connection.append(body.encode(), f"/logs{query}").status == 200
    assert master.node.asked == [(None, timeout_s)]


@pytest.mark.parametrize("timeout", ["0", "0.01", "-0.0"])
def test_a_timeout_that_passes_is_answered_202_with_the_nodes_that_have_it(
    master: Served, timeout: str
) -> None:
    master.node.reachable = 2
    with master.connect() as connection:
        answer = connection.append(b'{"message":"x","w":3,"timeout":%b}' % timeout.encode())
        assert answer.status == 202
        assert answer.body == (
            b'{"status":"pending","log":{"id":1,"message":"x"},"required":3,'
            b'"acks":["http://127.0.0.1:8000","http://127.0.0.1:8001"]}'
        )
        assert connection.request("GET", "/logs").body == b'[{"id":1,"message":"x"}]'


def test_a_configured_timeout_is_for_appends_that_give_none() -> None:
    with Served(default_timeout_s=0.0) as served, served.connect() as connection:
        served.node.reachable = 2
        assert connection.append(b'{"message":"x"}').status == 202
        assert connection.append(b'{"message":"x","timeout":0.01}').status == 202
        assert served.node.asked == [(None, 0.0), (None, 0.01)]


def test_a_waiting_append_is_answered_when_the_nodes_return_and_blocks_nobody(
    master: Served,
) -> None:
    master.node.reachable = 2
    with master.connect() as waiting, master.connect() as other:
        waiting.send(_append_bytes(b'{"message":"three","w":3}'))
        wait_until(lambda: master.node.waiting == 1, "the append waits")
        assert other.append(b'{"message":"one","w":1}').status == 200
        master.on_loop(master.node.release)
        answer = waiting.answer()
        assert answer.status == 200
        assert json.loads(answer.body)["log"] == {"id": 1, "message": "three"}


@pytest.mark.parametrize(
    ("body", "entries"),
    [(SEED_BODY, "entry 7 was"), (b'[{"message":"a"},{"message":"b"}]', "entries 7 to 8 were")],
)
def test_what_a_failing_disk_may_have_stored_is_called_neither_stored_nor_refused(
    master: Served, body: bytes, entries: str
) -> None:
    master.node.is_disk_broken = True
    with master.connect() as connection:
        answer = connection.append(body)
        assert answer.status == 500
        problem = answer.problem()
        assert (problem["type"], problem["id"]) == ("/problems/outcome-unknown", 7)
        assert f"while {entries} being stored" in str(problem["detail"])


@pytest.mark.parametrize("reason", list(RefusalReason))
def test_every_refusal_of_the_node_becomes_its_problem(
    master: Served, reason: RefusalReason
) -> None:
    master.node.refusal = Refused(reason, "what happened, and what to do")
    with master.connect() as connection:
        answer = connection.append(SEED_BODY)
        kind = PROBLEMS[reason.value]
        assert answer.status == kind.status
        assert answer.status in (400, 404, 412, 413, 422, 503, 507)
        problem = answer.problem()
        assert problem["type"] == f"/problems/{reason.value}"
        assert problem["detail"] == "what happened, and what to do"
        assert problem["retryable"] is kind.is_retryable
        assert ("retry-after" in answer.headers) is (kind.retry_after_s is not None)
        assert connection.request("GET", "/logs").body == b"[]"


def test_a_write_concern_beyond_the_nodes_says_how_many_there_are(master: Served) -> None:
    with master.connect() as connection:
        answer = connection.append(b'{"message":"x","w":4}')
        assert answer.status == 400
        assert "3 nodes" in str(answer.problem()["detail"])
        assert connection.request("GET", "/logs").body == b"[]"


@pytest.mark.parametrize("master_url", [None, "http://10.0.0.1:8000"])
def test_a_secondary_refuses_appends_and_names_the_master(
    secondary: Served, master_url: str | None
) -> None:
    secondary.node.master_url = master_url
    with secondary.connect() as connection:
        answer = connection.append(SEED_BODY)
        assert answer.status == 405
        assert answer.headers["allow"] == "GET, HEAD"
        problem = answer.problem()
        assert problem["type"] == "/problems/not-the-master"
        assert problem["master"] == master_url
        assert master_url is None or master_url in str(problem["detail"])
        assert connection.request("GET", "/logs").body == b"[]"


def test_an_error_of_the_node_is_a_problem_that_does_not_say_failed(
    master: Served, caplog: pytest.LogCaptureFixture
) -> None:
    master.node.raises = RuntimeError("planted")
    with master.connect() as connection:
        answer = connection.append(SEED_BODY)
        assert answer.status == 500
        assert "may be stored" in str(answer.problem()["detail"])
    wait_until(
        lambda: any("planted" in str(record.exc_info) for record in caplog.records),
        "the traceback is logged",
    )


def test_after_a_defect_whoever_waits_is_told_so_and_the_log_is_not_filled_with_tracebacks(
    master: Served, caplog: pytest.LogCaptureFixture
) -> None:
    master.node.raises = NodeFailedError("planted")
    with master.connect() as connection:
        answer = connection.append(SEED_BODY)
        assert answer.status == 500
        assert "may be stored" in str(answer.problem()["detail"])
        assert connection.request("GET", "/livez").status == 200, "the connection lives on"
    assert not any(record.exc_info for record in caplog.records)


def _append_bytes(body: bytes) -> bytes:
    return b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
