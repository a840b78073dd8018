"""Idempotency keys and expected ids: every spelling, what a replay is answered, what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Thread

import pytest

from replog.core.effects import RefusalReason, Refused
from replog.core.entry import EntryId
from tests.http.raw import Answer, request_bytes
from tests.http.served import Served
from tests.support.waiting import wait_until

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
TEXT = {"Content-Type": "text/plain"}
X = b'{"message":"x"}'


@dataclass(frozen=True)
class Asked:
    body: bytes
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    type: dict[str, str] = field(default_factory=lambda: JSON)

    def send(self, served: Served) -> Answer:
        headers = {**self.type, **self.headers}
        with served.connect() as connection:
            return connection.request("POST", f"/logs{self.query}", self.body, headers)


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


def if_match(value: str) -> dict[str, str]:
    return {"If-Match": value}


KEYS: list[tuple[Asked, Sequence[str | None]]] = [
    (Asked(X), ()),
    (Asked(b'{"message":"x","key":"k"}'), ("k",)),
    (Asked(b'{"message":"x","key":"\\u0000 \\u00e9"}'), ("\0 é",)),
    (Asked(b'{"message":"x","key":"%b"}' % (b"k" * 255)), ("k" * 255,)),
    (Asked(X, "?key=k"), ("k",)),
    (Asked(X, "?key=%C3%A9%20k"), ("é k",)),
    (Asked(X, headers=key("k")), ("k",)),
    (Asked(X, headers=key('"k"')), ("k",)),
    (Asked(X, headers=key('  "order \\"17\\" \\\\ paid" ')), ('order "17" \\ paid',)),
    (Asked(X, headers=key("order 17; paid, 'é'")), ("order 17; paid, 'é'",)),
    (Asked(X, headers=key('k"k')), ('k"k',)),
    (Asked(X, headers=key("k" * 255)), ("k" * 255,)),
    (Asked(b'{"message":"x","key":"k"}', "?key=k", key('"k"')), ("k",)),
    (Asked(b"text", headers=key("k"), type=TEXT), ("k",)),
    (Asked(b"text", "?key=k", type=TEXT), ("k",)),
    (Asked(b"[%b,%b,%b]" % (X, X, X), headers=key("k")), ("k", None, "k")),
    (Asked(X + b"\n" + X, headers=key("k"), type=LINES), ("k", "k")),
    (Asked(b"[%b]" % X, "?key=k"), ("k",)),
    (Asked(b'[{"message":"a","key":"k"},{"message":"b"}]'), ("k", None)),
]


@pytest.mark.parametrize(("asked", "keys"), KEYS, ids=str)
def test_a_key_has_three_places_and_a_batch_may_have_one(
    master: Served, asked: Asked, keys: Sequence[str | None]
) -> None:
    assert asked.send(master).status == 200
    assert master.node.conditions == [(tuple(keys), None)]


EXPECTED: list[tuple[Asked, int]] = [
    (Asked(b'{"message":"x","expect":0}'), 0),
    (Asked(X, "?expect=0"), 0),
    (Asked(X, headers=if_match("0")), 0),
    (Asked(X, headers=if_match('"0"')), 0),
    (Asked(b'{"message":"x","expect":0}', "?expect=0", if_match(' "0" ')), 0),
    (Asked(b"text", headers=if_match("0"), type=TEXT), 0),
    (Asked(b"[%b,%b]" % (X, X), "?expect=0"), 0),
    (Asked(X + b"\n" + X, headers=if_match('"0"'), type=LINES), 0),
]


@pytest.mark.parametrize(("asked", "expect"), EXPECTED, ids=str)
def test_an_expected_id_has_three_places(master: Served, asked: Asked, expect: int) -> None:
    assert asked.send(master).status == 200
    assert master.node.conditions == [((), expect)]
    refused = asked.send(master)
    assert refused.status == 412
    assert refused.problem()["type"] == "/problems/precondition-failed"
    assert refused.problem()["last_id"] == len(master.node.lines)


@pytest.mark.parametrize("value", [7, 10**15 - 1])
def test_an_expected_id_that_is_not_the_last_is_412_with_the_last(
    master: Served, value: int
) -> None:
    for asked in (
        Asked(b'{"message":"x","expect":%d}' % value),
        Asked(X, f"?expect={value}"),
        Asked(X, headers=if_match(f'"{value}"')),
    ):
        answer = asked.send(master)
        assert (answer.status, answer.problem()["last_id"]) == (412, 0)
        assert answer.problem()["retryable"] is False
    assert master.node.lines == []


def test_the_same_append_again_is_answered_as_before_and_says_so(master: Served) -> None:
    for asked, count in (
        (Asked(b'{"message":"x","key":"one"}'), 1),
        (Asked(b"[%b,%b]" % (X, X), headers=key("batch")), 2),
        (Asked(b'{"message":"a","key":"k1"}\n{"message":"b","key":"k2"}', type=LINES), 2),
        (Asked(b"text", headers=key("text"), type=TEXT), 1),
    ):
        before = len(master.node.lines)
        first = asked.send(master)
        assert "idempotency-replayed" not in first.headers
        again = asked.send(master)
        assert again.headers["idempotency-replayed"] == "true"
        assert (again.status, again.body) == (first.status, first.body) == (200, first.body)
        assert len(master.node.lines) == before + count


def test_a_replay_that_waits_for_more_nodes_is_202_and_says_so(master: Served) -> None:
    master.node.reachable = 1
    once = Asked(b'{"message":"x","key":"k","w":1}').send(master)
    assert once.status == 200
    again = Asked(b'{"message":"x","key":"k","w":3,"timeout":0}').send(master)
    assert (again.status, again.headers["idempotency-replayed"]) == (202, "true")
    assert json.loads(again.body)["log"] == {"id": 1, "message": "x"}
    batch = Asked(b"[%b,%b]" % (X, X), "?timeout=0&w=3", key("b"))
    assert batch.send(master).status == 202
    assert batch.send(master).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    "other",
    [
        Asked(b'{"message":"y","key":"k"}'),
        Asked(b'[{"message":"x"},{"message":"x"}]', headers=key("k")),
        Asked(b'[{"message":"y"},{"message":"x","key":"k"}]'),
        Asked(b"y", "?key=k", type=TEXT),
    ],
    ids=str,
)
def test_a_key_for_something_else_is_422_with_the_id_that_has_it(
    master: Served, other: Asked
) -> None:
    assert Asked(b'{"message":"before"}').send(master).status == 200
    assert Asked(b'{"message":"x","key":"k"}').send(master).status == 200
    answer = other.send(master)
    assert (answer.status, answer.problem()["id"]) == (422, 2)
    assert answer.problem()["type"] == "/problems/idempotency-key-reused"
    assert len(master.node.lines) == 2


def test_a_refusal_without_ids_has_no_such_members(master: Served) -> None:
    for reason in (RefusalReason.PRECONDITION_FAILED, RefusalReason.KEY_REUSED):
        master.node.refusal = Refused(reason, "what happened, and what to do")
        problem = Asked(X).send(master).problem()
        assert {"id", "last_id"}.isdisjoint(problem)
    master.node.refusal = Refused(RefusalReason.PRECONDITION_FAILED, "moved", last_id=EntryId(7))
    assert Asked(X).send(master).problem()["last_id"] == 7


# --- what is no key, and what is no id ------------------------------------------------------

BAD_KEYS: list[tuple[Asked, str, str]] = [
    (Asked(b'{"message":"x","key":""}'), "bad-field", "is empty"),
    (Asked(b'{"message":"x","key":null}'), "bad-field", "is null"),
    (Asked(b'{"message":"x","key":7}'), "bad-field", "is a number"),
    (Asked(b'{"message":"x","key":["k"]}'), "bad-field", "is an array"),
    (Asked(b'{"message":"x","key":"\\ud800"}'), "bad-field", "lone surrogate"),
    (Asked(b'{"message":"x","key":"%b"}' % (b"k" * 256)), "bad-field", "256 bytes"),
    (Asked(b'{"message":"x","key":"%s"}' % ("é" * 128).encode()), "bad-field", "256 bytes"),
    (Asked(b'{"message":"x","Key":"k"}'), "bad-field", '"Key" is unknown'),
    (Asked(X, "?key="), "bad-parameter", "is empty"),
    (Asked(X, "?key=" + "k" * 256), "bad-parameter", "256 bytes"),
    (Asked(X, "?key=k&key=k"), "bad-parameter", "given twice"),
    (Asked(X, "?key=%FF"), "bad-parameter", "not UTF-8"),
    (Asked(b'{"message":"x","key":"k"}', "?key=l"), "bad-parameter", "body says key"),
    (Asked(X, headers=key("")), "bad-header", "is empty"),
    (Asked(X, headers=key('""')), "bad-header", "is empty"),
    (Asked(X, headers=key('"k')), "bad-header", "begins with a quote"),
    (Asked(X, headers=key('"k" ; x=1')), "bad-header", "begins with a quote"),
    (Asked(X, headers=key('"k"k"')), "bad-header", "begins with a quote"),
    (Asked(X, headers=key('"k\\k"')), "bad-header", "begins with a quote"),
    (Asked(X, headers=key('"')), "bad-header", "begins with a quote"),
    (Asked(X, headers=key("k\tk")), "bad-header", "cannot be printed"),
    (Asked(X, headers=key("k\u202ek")), "bad-header", "cannot be printed"),
    (Asked(X, headers=key("k" * 256)), "bad-header", "256 bytes"),
    (Asked(X, headers=key("k") | {"idempotency-key": "k"}), "bad-header", "given twice"),
    (Asked(X, "?key=l", key("k")), "bad-header", 'is "k", and "key" is "l"'),
    (Asked(b'{"message":"x","key":"l"}', headers=key("k")), "bad-header", 'is "k", and "key"'),
    (Asked(b"[%b]" % X, "?key=l", key("k")), "bad-header", 'is "k", and "key"'),
    (Asked(b'[{"message":"x","key":"l"}]', headers=key("k")), "bad-field", "whole batch too"),
]

BAD_EXPECTED: list[tuple[Asked, str, str]] = [
    (Asked(b'{"message":"x","expect":%b}' % value), "bad-field", '"expect" is')
    for value in (b"-1", b"1.0", b'"1"', b"true", b"null", b"[1]", b"1e0", b"1" + b"0" * 15)
]
BAD_EXPECTED += [
    (Asked(X, f"?expect={value}"), "bad-parameter", "expect is")
    for value in ("-1", "1.0", "", "x", "01", "%2B1", "1" + "0" * 15)
]
BAD_EXPECTED += [
    (Asked(X, headers=if_match(value)), "bad-header", "must be the id")
    for value in (
        "",
        "*",
        'W/"1"',
        '"1',
        '1"',
        '"1", "2"',
        "1, 2",
        "-1",
        '"x"',
        "01",
        "1" + "0" * 15,
    )
]
BAD_EXPECTED += [
    (Asked(X, headers=if_match("1") | {"if-match": "1"}), "bad-header", "given twice"),
    (Asked(X, "?expect=1", if_match("2")), "bad-header", 'is 2, and "expect" is 1'),
    (Asked(b'{"message":"x","expect":1}', "?expect=2"), "bad-parameter", "body says expect 1"),
    (Asked(b'{"message":"x","expect":1}', headers=if_match("2")), "bad-header", "is 2, and"),
    (Asked(b"[%b]" % X, "?expect=1", if_match("2")), "bad-header", "is 2, and"),
]


@pytest.mark.parametrize(("asked", "name", "says"), BAD_KEYS + BAD_EXPECTED, ids=str)
def test_every_wrong_spelling_is_refused_by_name(
    shared: Served, asked: Asked, name: str, says: str
) -> None:
    before = list(shared.node.lines)
    answer = asked.send(shared)
    problem = answer.problem()
    assert (answer.status, problem["type"]) == (400, f"/problems/{name}"), problem
    assert says in str(problem["detail"])
    if name == "bad-header":
        assert problem["header"] in ("Idempotency-Key", "If-Match")
    if name == "bad-field":
        assert problem["field"] in ("key", "expect", "Key")
    assert shared.node.lines == before
    assert Asked(X).send(shared).status == 200


def test_a_header_that_is_not_utf8_is_refused(shared: Served) -> None:
    head = request_bytes("POST", "/logs", X).replace(
        b"Host: x", b"Host: x\r\nIdempotency-Key: \xff"
    )
    with shared.connect() as connection:
        connection.send(head)
        answer = connection.answer()
        assert (answer.status, answer.problem()["header"]) == (400, "Idempotency-Key")
        assert "not UTF-8" in str(answer.problem()["detail"])


def test_of_many_writers_that_expect_the_same_id_one_wins_each_time(master: Served) -> None:
    """Compare-and-append: who is refused reads on and tries again with the id it was told."""
    winners: list[int] = []

    def write(number: int) -> None:
        last = 0
        with master.connect() as connection:
            while True:
                body = b'{"message":"%d","expect":%d}' % (number, last)
                answer = connection.append(body)
                if answer.status == 200:
                    winners.append(json.loads(answer.body)["log"]["id"])
                    return
                assert answer.status == 412
                told = answer.problem()["last_id"]
                assert isinstance(told, int)
                assert told != last
                last = told

    writers = [Thread(target=write, args=(number,)) for number in range(50)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(winners) == list(range(1, 51))
    written = [json.loads(line)["message"] for line in master.node.lines]
    assert sorted(written, key=int) == [str(number) for number in range(50)]


def test_a_key_in_flight_gets_the_answer_of_the_first(master: Served) -> None:
    master.node.reachable = 2
    body = b'{"message":"x","key":"k","w":3}'
    with master.connect() as first, master.connect() as second:
        first.send(request_bytes("POST", "/logs", body))
        wait_until(lambda: master.node.waiting == 1, "the first waits")
        second.send(request_bytes("POST", "/logs", body))
        wait_until(lambda: master.node.waiting == 2, "the second waits")
        master.on_loop(master.node.release)
        assert first.answer().body == second.answer().body
        assert len(master.node.lines) == 1
