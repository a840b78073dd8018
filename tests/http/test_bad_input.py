"""Bad appends: each is a problem that says what to do; log, connection and node live on."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

import pytest

from replog.http.limits import Limits
from replog.node.views import Role
from tests.http.raw import Answer, request_bytes
from tests.http.served import Served

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Bad:
    body: bytes
    status: int
    name: str
    says: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=lambda: JSON)


def _bad_fields() -> list[Bad]:
    return [
        Bad(body, 400, "bad-field", says)
        for body, says in [
            (b"{}", '"message" is missing'),
            (b'{"w":1}', '"message" is missing'),
            (b'{"mesage":"x"}', '"mesage" is unknown'),
            (b'{"message":"x","wc":1}', '"wc" is unknown'),
            (b'{"message":"x","W":1}', '"W" is unknown'),
            (b'{"message":"x","\\ud800":1}', "is unknown"),
            (b'{"message":"x","' + b"k" * 500 + b'":1}', "is unknown"),
            (b'{"message":null}', '"message" is null'),
            (b'{"message":5}', '"message" is a number'),
            (b'{"message":true}', '"message" is a boolean'),
            (b'{"message":["x"]}', '"message" is an array'),
            (b'{"message":{"a":"b"}}', '"message" is an object'),
            (b'{"message":"x","timeout":-1}', '"timeout"'),
            (b'{"message":"x","timeout":"1"}', '"timeout" is "1"'),
            (b'{"message":"x","timeout":true}', '"timeout" is a boolean'),
            (b'{"message":"x","timeout":null}', '"timeout" is null'),
            (b'{"message":"x","timeout":1e999}', '"timeout"'),
        ]
    ]


def _malformed() -> list[Bad]:
    return [
        Bad(body, 400, "malformed-json", says)
        for body, says in [
            (b"", "is empty"),
            (b" \n ", "not JSON"),
            (b"hello", "not JSON"),
            (b'{"message":"x"', "not JSON"),
            (b'{"message":"x"} x', "not JSON"),
            (b'{"message":"x",}', "not JSON"),
            (b"{'message':'x'}", "not JSON"),
            (b'\'{"message":"x"}\'', "single quote"),
            (b'{"message":"a\nb"}', "not JSON"),
            (b'{"message":"a\x00b"}', "not JSON"),
            (b'{"message":"\\x41"}', "not JSON"),
            (b'\xef\xbb\xbf{"message":"x"}', "byte order mark"),
            (b'{"message":"\xff"}', "byte 0xff at offset 12"),
            (b'{"message":"\xed\xa0\x80"}', "not UTF-8"),
            (b'{"message":"\xc0\x80"}', "not UTF-8"),
            ('{"message":"x"}'.encode("utf-16"), "not UTF-8"),
            (b'{"message":"\\ud800"}', "lone surrogate"),
            (b'{"message":"\\udc00\\ud800"}', "lone surrogate"),
            (b'{"message":"x","w":NaN}', "NaN"),
            (b'{"message":"x","timeout":Infinity}', "Infinity"),
            (b'{"message":"x","timeout":-Infinity}', "-Infinity"),
            (b'{"message":"x","w":' + b"1" * 5000 + b"}", "5000 digits"),
            (b'{"message":"a","message":"b"}', '"message" is given twice'),
            (b'{"message":"a","message":"a"}', '"message" is given twice'),
            (b'{"message":"a","mess\\u0061ge":"b"}', '"message" is given twice'),
            (b'{"message":"x","w":1,"w":1}', '"w" is given twice'),
            (b"[]", "an array"),
            (b'["message","x"]', "an array"),
            (b'"message"', "a string"),
            (b"5", "a number"),
            (b"null", "null"),
            (b"true", "a boolean"),
            (b"[" * 100_000, "an array stands there"),
            (b'{"message":' + b"[" * 60_000, "nested too deeply"),
        ]
    ]


def _bad_concerns() -> list[Bad]:
    values = ["0", "-1", "2.0", '"2"', "true", "false", "null", '"ALL"', '"quorum"', '""', "[1]"]
    values += ["{}", "1e0", '"majority "', "4", "9" * 30, '"\\ud800"']
    bad = [
        Bad(b'{"message":"x","%b":%b}' % (name, value.encode()), 400, "bad-write-concern", "")
        for value in values
        for name in (b"w", b"write_concern", b"writeConcern")
    ]
    queries = ["w=0", "w=-1", "w=2.0", "w=", "w", "w=%222%22", "w=ALL", "w=+2", "w=02", "w=4"]
    queries += ["w=two", "w=%D9%A2", "write_concern=x", "writeConcern=0", "w=" + "9" * 400]
    bad += [
        Bad(b'{"message":"x"}', 400, "bad-write-concern", "", query=f"?{query}")
        for query in queries
    ]
    bad += [
        Bad(b'{"message":"x","w":1,"write_concern":1}', 400, "bad-write-concern", "w and as"),
        Bad(b'{"message":"x","w":1,"writeConcern":2}', 400, "bad-write-concern", "w and as"),
        Bad(b'{"message":"x"}', 400, "bad-write-concern", "as", query="?w=1&write_concern=1"),
        Bad(b'{"message":"x","w":1}', 400, "bad-write-concern", "as", query="?writeConcern=1"),
        Bad(b'{"message":"x","w":1}', 400, "bad-write-concern", "query w 2", query="?w=2"),
        Bad(b'{"message":"x","w":3}', 400, "bad-write-concern", "query w all", query="?w=all"),
    ]
    return bad


def _bad_parameters() -> list[Bad]:
    body = b'{"message":"x"}'
    queries = {
        "?q=1": '"q" is unknown',
        "?W=1": '"W" is unknown',
        "?from=1": '"from" is unknown',
        "?message=x": '"message" is unknown',
        "?=1": "is unknown",
        "?w=1&w=1": '"w" is given twice',
        "?timeout=1&timeout=1": '"timeout" is given twice',
        "?timeout=": "timeout",
        "?timeout=-1": "timeout",
        "?timeout=nan": "timeout",
        "?timeout=inf": "timeout",
        "?timeout=1e999": "timeout",
        "?timeout=1_0": "timeout",
        "?timeout=+1": "timeout",
        "?timeout=%FF": "not UTF-8",
    }
    bad = [Bad(body, 400, "bad-parameter", says, query=query) for query, says in queries.items()]
    both = b'{"message":"x","timeout":1}'
    return [*bad, Bad(both, 400, "bad-parameter", "timeout 1", query="?timeout=2")]


def _bad_types() -> list[Bad]:
    body = b'{"message":"x"}'
    form = "application/x-www-form-urlencoded"
    headers: list[dict[str, str]] = [
        {"Content-Type": "text/html"},
        {"Content-Type": "application/xml"},
        {"Content-Type": "text/plain; charset=latin-1"},
        {"Content-Type": "application/x-ndjson; charset=utf-16"},
        {"Content-Type": "text/plain; format=flowed; charset=iso-8859-1"},
        {"Content-Type": "text/plain; charset=utf-8; Charset=latin-1"},
        {"Content-Type": "text/plain", "Origin": "http://evil.example"},
        {"Content-Type": "text/plain;charset=UTF-8", "Sec-Fetch-Site": "same-site"},
        {"Content-Type": ""},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": form, "Origin": "http://evil.example"},
        {"Content-Type": form, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ]
    return [
        Bad(body, 415, "unsupported-media-type", "Content-Type: application/json", headers=h)
        for h in headers
    ]


BAD = [*_malformed(), *_bad_fields(), *_bad_concerns(), *_bad_parameters(), *_bad_types()]


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
