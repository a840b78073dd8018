"""Routes about nodes and for operators: shapes, probes, delay, pages, 404 and 405."""

from __future__ import annotations

import json
from dataclasses import fields
from html.parser import HTMLParser

import pytest

from replog.http.problems import PROBLEMS
from replog.node.views import Health
from tests.http.raw import Answer, Connection
from tests.http.served import Served

MASTER_MEMBERS = [
    "role",
    "status",
    "node_id",
    "log_id",
    "epoch",
    "last_id",
    "committed_id",
    "head",
    "quorum",
    "secondaries",
    "damage",
]
SECONDARY_MEMBERS = [
    "url",
    "node_id",
    "health",
    "link",
    "last_id",
    "lag",
    "last_contact_s",
    "delay_s",
]


def test_health_on_the_master_has_the_documented_shape(master: Served) -> None:
    with master.connect() as connection:
        answer = connection.request("GET", "/health")
        assert answer.headers["cache-control"] == "no-store"
        health = json.loads(answer.body)
    assert list(health) == MASTER_MEMBERS
    assert list(health["quorum"]) == ["required", "reachable"]
    assert [list(secondary) for secondary in health["secondaries"]] == [SECONDARY_MEMBERS] * 2
    assert health["role"] == "master"
    assert health["secondaries"][1]["last_id"] is None


def test_health_on_a_secondary_has_every_member(secondary: Served) -> None:
    with secondary.connect() as connection:
        health = json.loads(connection.request("GET", "/health").body)
    assert list(health) == [field.name for field in fields(Health)]
    assert (health["role"], health["delay_s"]) == ("secondary", 0.0)


def test_liveness_and_readiness(master: Served) -> None:
    with master.connect() as connection:
        assert connection.request("GET", "/livez").body == b'{"status":"alive"}'
        assert connection.request("GET", "/readyz").body == b'{"status":"ready","reasons":[]}'
        master.node.reasons = ("the log is damaged", "no quorum")
        answer = connection.request("GET", "/readyz")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        problem = answer.problem()
        assert problem["reasons"] == ["the log is damaged", "no quorum"]
        assert "no quorum" in str(problem["detail"])
        assert connection.request("GET", "/livez").status == 200


@pytest.mark.parametrize(
    ("sent", "seconds"), [("2.0", 2.0), ("1", 1.0), ("0", 0.0), ("-0.0", 0.0), ("3600", 3600.0)]
)
def test_a_secondarys_delay_is_changed_and_told(
    secondary: Served, sent: str, seconds: float
) -> None:
    with secondary.connect() as connection:
        answer = connection.request("PUT", "/delay", f'{{"seconds": {sent}}}'.encode())
        assert (answer.status, json.loads(answer.body)) == (200, {"seconds": seconds})
        assert secondary.node.delay_s == seconds
        assert json.loads(connection.request("GET", "/delay").body) == {"seconds": seconds}


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ("3601", "3601"),
        ("-1", "-1"),
        ("1e4", "10000.0"),
        ("9" * 100, "a number"),
        ('"1"', '"1"'),
        ("true", "a boolean"),
        ("[1]", "an array"),
    ],
)
def test_the_detail_of_a_bad_delay_names_what_was_sent(
    secondary: Served, sent: str, named: str
) -> None:
    with secondary.connect() as connection:
        answer = connection.request("PUT", "/delay", f'{{"seconds":{sent}}}'.encode())
    assert json.loads(answer.body)["detail"] == (
        f'The field "seconds" is {named}, and must be a number from 0 to 3600, as in '
        '{"seconds": 2.0}.'
    )


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"", 400, "malformed-json"),
        (b"2.0", 400, "malformed-json"),
        (b'{"seconds":1,"seconds":2}', 400, "malformed-json"),
        (b'{"seconds":NaN}', 400, "malformed-json"),
        (b"{}", 400, "bad-field"),
        (b'{"seconds":1,"unit":"s"}', 400, "bad-field"),
        (b'{"seconds":"1"}', 400, "bad-field"),
        (b'{"seconds":true}', 400, "bad-field"),
        (b'{"seconds":null}', 400, "bad-field"),
        (b'{"seconds":-1}', 400, "bad-field"),
        (b'{"seconds":3601}', 400, "bad-field"),
        (b'{"seconds":1e999}', 400, "bad-field"),
        (b'{"seconds":' + b" " * 70_000 + b"1}", 413, "too-large"),
    ],
)
def test_a_bad_delay_is_refused_and_changes_nothing(
    secondary: Served, body: bytes, status: int, name: str
) -> None:
    with secondary.connect() as connection:
        answer = connection.request("PUT", "/delay", body)
        assert_problem(answer, status, name)
        assert json.loads(connection.request("GET", "/delay").body) == {"seconds": 0.0}


def test_a_delay_of_another_type_is_415(secondary: Served) -> None:
    with secondary.connect() as connection:
        headers = {"Content-Type": "text/plain"}
        answer = connection.request("PUT", "/delay", b'{"seconds":1}', headers)
        assert_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_master_has_no_delay(master: Served, method: str) -> None:
    with master.connect() as connection:
        body = b'{"seconds":1}' if method == "PUT" else None
        assert_problem(connection.request(method, "/delay", body), 409, "not-a-secondary")
        assert master.node.delay_s == 0.0
        assert connection.request("GET", "/livez").status == 200


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/livez", "GET, HEAD"),
        ("POST", "/readyz", "GET, HEAD"),
        ("POST", "/delay", "GET, HEAD, PUT"),
        ("PATCH", "/delay", "GET, HEAD, PUT"),
        ("PUT", "/problems", "GET, HEAD"),
        ("POST", "/problems/damaged", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
        ("OPTIONS", "/openapi.json", "GET, HEAD"),
        ("POST", "/replication", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_405_with_all_that_the_path_takes(
    secondary: Served, method: str, path: str, allow: str
) -> None:
    with secondary.connect() as connection:
        answer = connection.request(method, path, b"{}")
        assert_problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == allow
        assert connection.request("GET", "/livez").status == 200


@pytest.mark.parametrize(
    "path", ["/", "/log", "/logs/", "/logs/1/2", "/Logs", "/health/", "/problems/nothing", "/%2e"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_any_other_path_is_404(shared: Served, method: str, path: str) -> None:
    with shared.connect() as connection:
        answer = connection.request(method, path, b"{}" if method == "POST" else None)
        if method == "POST" and path == "/problems/nothing":
            assert answer.status == 405
            return
        assert_problem(answer, 404, "not-found")
        assert connection.request("GET", "/livez").status == 200


@pytest.mark.parametrize(
    "path", ["/health", "/livez", "/readyz", "/docs", "/openapi.json", "/problems"]
)
def test_an_unknown_parameter_is_refused_by_name_everywhere(shared: Served, path: str) -> None:
    with shared.connect() as connection:
        answer = connection.request("GET", f"{path}?verbose=1")
        assert_problem(answer, 400, "bad-parameter")
        assert '"verbose"' in str(answer.problem()["detail"])


@pytest.mark.parametrize(
    "path", ["/health", "/livez", "/readyz", "/docs", "/openapi.json", "/problems/damaged"]
)
def test_head_is_get_without_its_body(shared: Served, path: str) -> None:
    with shared.connect() as connection:
        head = connection.request("HEAD", path)
        got = connection.request("GET", path)
        head.headers.pop("date"), got.headers.pop("date")
        assert (head.status, head.headers) == (got.status, got.headers)


@pytest.mark.parametrize("name", list(PROBLEMS))
def test_the_type_of_every_problem_is_a_page_with_cause_and_fix(shared: Served, name: str) -> None:
    kind = PROBLEMS[name]
    with shared.connect() as connection:
        answer = connection.request("GET", f"/problems/{name}")
        assert answer.status == 200
        text = " ".join(answer.body.decode().split())
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert text.startswith(f"{kind.status} {name}: {kind.title}")
        assert f"Cause: {kind.cause}" in text
        assert f"Fix: {kind.fix}" in text
        assert f"/problems/{name} " in connection.request("GET", "/problems").body.decode()


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.targets: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.targets.append(value or "")
            if name == "id":
                self.ids.add(value or "")


def test_the_docs_need_no_other_host_and_no_script(shared: Served) -> None:
    with shared.connect() as connection:
        page = connection.request("GET", "/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        links = _Links()
        links.feed(page.body.decode())
        assert links.tags.isdisjoint({"script", "link", "iframe", "img"})
        assert links.targets
        for target in links.targets:
            if target.startswith("#"):
                assert target[1:] in links.ids
            else:
                assert connection.request("GET", target).status == 200


def assert_problem(answer: Answer, status: int, name: str) -> None:
    problem = answer.problem()
    assert (answer.status, problem["status"]) == (status, status), problem
    assert problem["type"] == f"/problems/{name}"
    assert len(str(problem["detail"])) > 20


def test_an_error_of_a_route_is_a_problem(master: Served) -> None:
    def fail() -> Health:
        raise RuntimeError("planted")

    setattr(master.node, "health", fail)  # noqa: B010 - a method is not assignable to mypy
    with master.connect() as connection:
        assert_problem(connection.request("GET", "/health"), 500, "internal-error")
    with Connection(master.port) as another:
        assert another.request("GET", "/livez").status == 200
