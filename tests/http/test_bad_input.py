"""Bad appends: each is a problem that says what to do; log, connection and node live on."""

from __future__ import annotations

import socket

import pytest

from replog.http.limits import Limits
from replog.node.views import Role
from tests.http.bad_appends import BAD, Bad
from tests.http.raw import Answer, request_bytes
from tests.http.served import Served


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.name} {bad.query} {bad.body[:40]!r}")
def test_a_bad_append_says_what_to_do_and_leaves_log_and_connection_alone(
    shared: Served, bad: Bad
) -> None:
    entries = list(shared.node.lines)
    with shared.connect() as connection:
        answer = connection.request("POST", f"/logs{bad.query}", bad.body, bad.headers)
        _assert_problem(answer, bad.status, bad.name)
        assert bad.says in str(answer.problem()["detail"])
        assert shared.node.lines == entries
        after = connection.append(b'{"message":"next"}')
        assert after.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": 'Application/JSON;charset="UTF-8"'},
        {"Content-Type": "application/json; charset=utf-8; profile=x"},
        {"Content-Type": "application/json; profile=x; charset=utf8;"},
        {"Content-Type": "application/json", "Origin": "http://docs.example"},
        {"Content-Encoding": "identity"},
    ],
)
def test_json_is_taken_with_its_type_and_as_curl_sends_it(
    master: Served, headers: dict[str, str]
) -> None:
    with master.connect() as connection:
        assert connection.request("POST", "/logs", b'{"message":"x"}', headers).status == 200


@pytest.mark.parametrize("unit", ["a", "é", "😀", "\\u0000", "\\ud83d\\ude00", '\\"'])
def test_the_limit_counts_decoded_bytes_and_is_exact(unit: str) -> None:
    size = len(unit.encode()) if not unit.startswith("\\") else {6: 1, 12: 4, 2: 1}[len(unit)]
    with Served(limits=Limits(message_bytes_max=40)) as served, served.connect() as connection:
        exact = unit * (40 // size)
        assert connection.append(f'{{"message":"{exact}"}}'.encode()).status == 200
        answer = connection.append(f'{{"message":"{exact}a"}}'.encode())
        _assert_problem(answer, 413, "too-large")
        assert answer.problem()["limit"] == 40
        assert connection.append(b'{"message":"a"}').status == 200
        assert len(served.node.lines) == 2


def test_a_message_of_exactly_a_mebibyte_goes_through(master: Served) -> None:
    message = b"x" * (1 << 20)
    with master.connect() as connection:
        answer = connection.append(b'{"message":"%b"}' % message)
        assert answer.status == 200
        assert message in answer.body
        assert connection.append(b'{"message":"%bx"}' % message).status == 413
        assert connection.request("GET", "/logs?limit=0").body == b"[]"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_beyond_any_message_is_thrown_away_and_its_connection_lives_on(
    master: Served, *, is_chunked: bool
) -> None:
    body = b'{"message":"%b"}' % (b"x" * (8 << 20))
    with master.connect() as connection:
        if is_chunked:
            connection.send(b"POST /logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(body), 1 << 20):
                piece = body[start : start + (1 << 20)]
                connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            connection.send(b"0\r\n\r\n")
        else:
            connection.send(request_bytes("POST", "/logs", body))
        answer = connection.answer()
        _assert_problem(answer, 413, "too-large")
        assert "The body is larger" in str(answer.problem()["detail"])
        assert connection.request("GET", "/logs").body == b"[]"


def test_a_body_too_large_to_throw_away_is_answered_and_its_connection_closed(
    master: Served,
) -> None:
    with master.connect() as connection:
        connection.send(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n")
        connection.send(b"x" * 1_000_000)
        answer = connection.answer()
        _assert_problem(answer, 413, "too-large")
        assert answer.headers["connection"] == "close"
        connection.send(b"x" * 1_000_000)  # a client that had not looked yet
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.socket.recv(1) == b"", "closed in order, not reset"
    with master.connect() as another:
        assert another.request("GET", "/logs").body == b"[]"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/delay", 413),
        ("POST", "/health", 405),
        ("POST", "/nowhere", 404),
        ("PUT", "/logs/1", 405),
    ],
)
def test_every_refusal_of_such_a_body_closes_its_connection(
    secondary: Served, method: str, path: str, status: int
) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": "30000000"}
    with secondary.connect() as connection:
        answer = connection.request(method, path, None, headers)
        assert (answer.status, answer.headers.get("connection")) == (status, "close")
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.is_closed()


def test_an_endless_chunked_body_is_cut_off(master: Served) -> None:
    with master.connect() as connection:
        connection.send(b"POST /logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n%b\r\n" % (b"x" * (1 << 20))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.send_again_and_again(piece)
    assert master.node.lines == []


def test_a_large_body_is_not_asked_for_when_it_will_be_refused(master: Served) -> None:
    with master.connect() as connection:
        connection.send(
            b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 17000000\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        _assert_problem(connection.answer(), 413, "too-large")


def test_a_body_that_is_wanted_is_asked_for(master: Served) -> None:
    with master.connect() as connection:
        connection.send(
            b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.answer().status == 100
        connection.send(b'{"message":"x"}')
        assert connection.answer().status == 200


def test_a_body_in_many_pieces_is_put_together(master: Served) -> None:
    with master.connect() as connection:
        connection.send(b"POST /logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in b'{"message":"in pieces"}':
            connection.send(b"1\r\n%c\r\n" % byte)
        connection.send(b"0\r\nTrailer: dropped\r\n\r\n")
        assert connection.answer().status == 200
        assert connection.request("GET", "/logs").body == b'[{"id":1,"message":"in pieces"}]'


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("role", list(Role))
def test_other_methods_at_the_log_are_405_with_allow(method: str, role: Role) -> None:
    with Served(role) as served, served.connect() as connection:
        answer = connection.request(method, "/logs", b"{}")
        _assert_problem(answer, 405, "method-not-allowed")
        allow = "GET, HEAD, POST" if role is Role.MASTER else "GET, HEAD"
        assert answer.headers["allow"] == allow
        assert connection.request("GET", "/logs").body == b"[]"


def _assert_problem(answer: Answer, status: int, name: str) -> None:
    problem = answer.problem()
    assert (answer.status, problem["status"]) == (status, status), problem
    assert problem["type"] == f"/problems/{name}"
    assert problem["title"]
    assert isinstance(problem["retryable"], bool)
    assert len(str(problem["detail"])) > 20
    assert answer.headers["cache-control"] == "no-store"
