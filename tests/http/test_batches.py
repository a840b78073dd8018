"""Several messages in one request, and plain text: stored whole or not at all."""

from __future__ import annotations

import json

import pytest

from replog.http.limits import Limits
from tests.http.raw import Answer, Connection, request_bytes
from tests.http.served import Served
from tests.support.waiting import wait_until

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
TEXT = {"Content-Type": "text/plain"}
TWO = b'[{"message":"one"},{"message":"two"}]'


def lines_of(served: Served) -> list[str]:
    return [json.loads(line)["message"] for line in served.node.lines]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (TWO, JSON),
        (TWO, {}),
        (TWO, {"Content-Type": "application/x-www-form-urlencoded"}),
        (b' \r\n\t[ {"message" : "one"} ,\n{"message":"two"} ]\n', JSON),
        (b'{"message":"one"}\n{"message":"two"}', LINES),
        (b'{"message":"one"}\n{"message":"two"}\n', LINES),
        (b'{"message":"one"}\r\n {"message":"two"} \r\n\r\n', LINES),
        (b'{"message":"one"}\n{"message":"two"}', {"Content-Type": "application/jsonl"}),
        (b'{"message":"one"}\n{"message":"two"}', {"Content-Type": "application/ndjson"}),
        (
            b'{"message":"one"}\n{"message":"two"}',
            {
                "Content-Type": "Application/X-NDJSON; charset=utf-8",
                "Origin": "http://docs.example",
            },
        ),
    ],
)
def test_an_array_and_lines_are_appended_together(
    master: Served, body: bytes, headers: dict[str, str]
) -> None:
    with master.connect() as connection:
        connection.append(b'{"message":"before"}')
        answer = connection.request("POST", "/logs", body, headers)
        assert answer.status == 200
        assert answer.headers["log-acks"] == "3/3"
        assert answer.headers["content-type"] == "application/json"
        assert answer.body == b'{"status":"success","first":2,"last":3,"count":2}'
        assert lines_of(master) == ["before", "one", "two"]
    assert len(master.node.asked) == 2, "one append of the node each"


def test_a_batch_of_one_is_answered_as_a_batch(master: Served) -> None:
    with master.connect() as connection:
        answer = connection.append(b'[{"message":"one"}]')
        assert answer.body == b'{"status":"success","first":1,"last":1,"count":1}'


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", (None, None)),
        ("?w=2", (2, None)),
        ("?write_concern=majority&timeout=1.5", ("majority", 1.5)),
        ("?writeConcern=all&timeout=0", ("all", 0.0)),
    ],
)
@pytest.mark.parametrize(("body", "headers"), [(TWO, JSON), (b"text", TEXT)])
def test_terms_stand_in_the_query(
    master: Served, query: str, asked: object, body: bytes, headers: dict[str, str]
) -> None:
    with master.connect() as connection:
        assert connection.request("POST", f"/logs{query}", body, headers).status == 200
    assert master.node.asked == [asked]


def test_a_batch_that_waits_too_long_is_answered_202(master: Served) -> None:
    master.node.reachable = 2
    with master.connect() as connection:
        answer = connection.append(TWO, "/logs?w=3&timeout=0")
        assert answer.status == 202
        assert answer.body == (
            b'{"status":"pending","first":1,"last":2,"count":2,"required":3,'
            b'"acks":["http://127.0.0.1:8000","http://127.0.0.1:8001"]}'
        )
        assert lines_of(master) == ["one", "two"]


@pytest.mark.parametrize(
    "text", ["order 17 paid", '{"message": "x"}', "a\nb\n", "é😀\u2028", "\0\ufeff", "[]", " "]
)
@pytest.mark.parametrize("type_", ["text/plain", "text/plain; charset=utf-8", "Text/Plain"])
def test_plain_text_is_one_message_as_it_stands(master: Served, text: str, type_: str) -> None:
    with master.connect() as connection:
        answer = connection.request("POST", "/logs", text.encode(), {"Content-Type": type_})
        assert answer.status == 200
        assert json.loads(answer.body) == {"status": "success", "log": {"id": 1, "message": text}}
        assert lines_of(master) == [text]


def refused_of(
    served: Served, body: bytes, headers: dict[str, str], name: str, query: str = ""
) -> dict[str, object]:
    """Append `body`, which must be refused (400) and leave log and connection as they are."""
    before = list(served.node.lines)
    with served.connect() as connection:
        answer = connection.request("POST", f"/logs{query}", body, headers)
        problem = answer.problem()
        assert (answer.status, problem["type"]) == (400, f"/problems/{name}"), problem
        assert served.node.lines == before
        assert connection.append(b'{"message":"next"}').status == 200
    return problem


@pytest.mark.parametrize(
    ("body", "says"),
    [(b"", "is empty"), (b"a\xff", "byte 0xff at offset 1"), ("ä".encode("latin-1"), "not UTF-8")],
)
def test_what_is_no_text_is_refused(shared: Served, body: bytes, says: str) -> None:
    problem = refused_of(shared, body, TEXT, "malformed-text")
    assert says in str(problem["detail"])


@pytest.mark.parametrize("query", ["?w=0", "?w=9"])
@pytest.mark.parametrize(("body", "headers"), [(TWO, JSON), (b"text", TEXT)])
def test_a_bad_write_concern_refuses_all(
    shared: Served, query: str, body: bytes, headers: dict[str, str]
) -> None:
    refused_of(shared, body, headers, "bad-write-concern", query)


@pytest.mark.parametrize("query", ["?timeout=x", "?from=1", "?message=x", "?expect=-1", "?key="])
@pytest.mark.parametrize(("body", "headers"), [(TWO, JSON), (b"text", TEXT)])
def test_a_bad_parameter_refuses_all(
    shared: Served, query: str, body: bytes, headers: dict[str, str]
) -> None:
    refused_of(shared, body, headers, "bad-parameter", query)


@pytest.mark.parametrize("headers", [JSON, LINES])
def test_a_bad_line_refuses_all_and_is_named(shared: Served, headers: dict[str, str]) -> None:
    entries = [b'{"message":"a"}', b'{"message":"b"}', b'{"message":"c","w":1}']
    body = b"\n".join(entries) if headers == LINES else b"[%b]" % b",".join(entries)
    problem = refused_of(shared, body, headers, "bad-field")
    assert (problem["line"], problem["field"]) == (3, "w")


def test_a_batch_at_a_secondary_is_refused(secondary: Served) -> None:
    with secondary.connect() as connection:
        assert connection.append(TWO).status == 405
        assert connection.request("GET", "/logs").body == b"[]"


# --- limits --------------------------------------------------------------------------------


def test_a_batch_of_ten_thousand_entries_goes_through_and_one_more_does_not(
    master: Served,
) -> None:
    entries = [b'{"message":"%d"}' % number for number in range(10_000)]
    with master.connect() as connection:
        answer = connection.append(b"[%b]" % b",".join(entries))
        assert answer.body == b'{"status":"success","first":1,"last":10000,"count":10000}'
        more = [*entries, b'{"message":"one too many"}']
        answer = connection.request("POST", "/logs", b"\n".join(more), LINES)
        assert (answer.status, answer.problem()["limit"]) == (413, 10_000)
        assert len(master.node.lines) == 10_000
        assert connection.append(b'{"message":"next"}').status == 200


SMALL = Limits(message_bytes_max=1000, batch_bytes_max=80_000)


def _body(size: int, *, is_lines: bool) -> bytes:
    """Return a good batch of exactly `size` bytes."""
    entries = [b'{"message":"%b"}' % (b"x" * 900)] * (size // 1000)
    body = b"\n".join(entries) if is_lines else b"[%b]" % b",".join(entries)
    return body + b" " * (size - len(body))


def _send(
    connection: Connection, body: bytes, headers: dict[str, str], *, is_chunked: bool
) -> Answer:
    if not is_chunked:
        return connection.request("POST", "/logs", body, headers)
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = f"POST /logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{''.join(lines)}\r\n"
    connection.send(head.encode())
    for start in range(0, len(body), 30_000):
        piece = body[start : start + 30_000]
        connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    connection.send(b"0\r\n\r\n")
    return connection.answer()


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("headers", [JSON, LINES])
@pytest.mark.parametrize("size_max", [60_000, 80_000])
def test_the_limit_of_a_body_is_exact(
    headers: dict[str, str], size_max: int, *, is_chunked: bool
) -> None:
    is_lines = headers == LINES
    limits = Limits(message_bytes_max=1000, batch_bytes_max=size_max)
    assert 60_000 < limits.body_bytes_max < 80_000
    with Served(limits=limits) as served, served.connect() as connection:
        body = _body(size_max, is_lines=is_lines)
        assert _send(connection, body, headers, is_chunked=is_chunked).status == 200
        stored = len(served.node.lines)
        answer = _send(connection, body + b" ", headers, is_chunked=is_chunked)
        assert (answer.status, answer.problem()["limit"]) == (413, size_max)
        assert len(served.node.lines) == stored
        assert connection.append(TWO).status == 200


def test_an_object_and_a_text_have_their_own_limits() -> None:
    with Served(limits=SMALL) as served, served.connect() as connection:
        spaces = b" " * SMALL.body_bytes_max
        answer = connection.append(b'{"message":"x"}' + spaces)
        assert (answer.status, answer.problem()["limit"]) == (413, SMALL.body_bytes_max)
        assert connection.request("POST", "/logs", b"x" * 1000, TEXT).status == 200
        answer = connection.request("POST", "/logs", b"x" * 1001, TEXT)
        assert (answer.status, answer.problem()["limit"]) == (413, 1000)
        long = b'{"message":"%b"}' % (b"x" * 1001)
        answer = connection.append(b"[%b,%b]" % (b'{"message":"x"}', long))
        problem = answer.problem()
        assert (answer.status, problem["limit"], problem["line"]) == (413, 1000, 2)
        assert len(served.node.lines) == 1


def test_batches_count_among_the_bytes_in_flight_and_the_waiting_appends() -> None:
    limits = Limits(message_bytes_max=1000, request_bytes_max=80_000, waiting_appends_max=2)
    with Served(limits=limits) as served, served.connect() as holder, served.connect() as other:
        served.node.reachable = 2
        body = _body(60_000, is_lines=False)
        holder.send(request_bytes("POST", "/logs?w=3", body))
        wait_until(lambda: served.node.waiting == 1, "it waits")
        assert served.app.log_routes.appends.bytes_in_flight == 60_000
        answer = other.append(body)
        assert (answer.status, answer.problem()["type"]) == (503, "/problems/overloaded")
        with served.connect() as second:
            second.send(request_bytes("POST", "/logs?w=3", TWO))
            wait_until(lambda: served.node.waiting == 2, "it waits too")
            answer = other.append(TWO, "/logs?w=1")
            assert (answer.status, answer.problem()["type"]) == (503, "/problems/overloaded")
            stored = len(served.node.lines)
            assert stored == 62
            served.on_loop(served.node.release)
            assert second.answer().status == holder.answer().status == 200
        assert other.append(TWO).status == 200


def test_bytes_in_flight_bound_a_batch_too() -> None:
    limits = Limits(message_bytes_max=1000, request_bytes_max=80_000)
    with Served(limits=limits) as served, served.connect() as connection:
        answer = connection.append(_body(80_001, is_lines=False))
        assert (answer.status, answer.problem()["limit"]) == (413, 80_000)
        assert served.node.lines == []
