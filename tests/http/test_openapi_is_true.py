"""Every operation of the OpenAPI document against what a node really answers.

Each problem that an operation describes is provoked, and each answer must be described: its
status, its content type, its problem type, every member. So nothing is missing, nor invented.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from replog.core.effects import Refused
from replog.core.facts import LinkPhase
from replog.core.health import Health as PeerHealth
from replog.core.progress import LinkState
from replog.http.app import create_app
from replog.http.limits import Deadlines, Limits
from replog.http.openapi import openapi_document
from replog.http.schemas import MASTER_STATUSES, SECONDARY_STATUSES
from replog.node.views import Health, Role
from tests.http.fake_node import FakeNode
from tests.http.provoke_appends import REASONS, ask_for_appends
from tests.http.provoke_follows import ask_for_follows, is_endless
from tests.http.provoke_reads import ask_for_reads, is_read
from tests.http.raw import Answer, request_bytes
from tests.http.schema_check import Schema, faults
from tests.http.served import Served

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
GOOD_BODIES = {"/logs": b'{"message":"x"}', "/delay": b'{"seconds":0}'}
JSON = {"Content-Type": "application/json"}
PROBLEM_TYPE = "application/problem+json"
TEXTS = ("text/plain", "application/x-ndjson", "text/event-stream")

Members = dict[str, object]


def _members(value: object) -> Members:
    assert isinstance(value, dict), value
    return value


DOCUMENT = openapi_document(create_app(FakeNode()).fastapi)
COMPONENTS = _members(DOCUMENT["components"])
SCHEMAS: dict[str, Schema] = {
    name: _members(schema) for name, schema in _members(COMPONENTS["schemas"]).items()
}
PATHS = {path: _members(item) for path, item in _members(DOCUMENT["paths"]).items()}
OPERATIONS = [(method.upper(), path) for path, item in PATHS.items() for method in item]


def target_of(path: str) -> str:
    """Return a path with its parameters filled in."""
    return path.replace("{name}", "damaged").replace("{id}", "1")


@dataclass
class Observed:
    """One operation, and the answers to it that were held against its description."""

    method: str
    path: str
    statuses: set[int] = field(default_factory=set)
    types: set[str] = field(default_factory=set)

    @property
    def target(self) -> str:
        return target_of(self.path)

    @property
    def described(self) -> Members:
        operation = _members(PATHS[self.path][self.method.lower()])
        return _members(operation["responses"])

    def note(self, answer: Answer, why: str) -> None:
        described = self.described.get(str(answer.status))
        assert described is not None, f"{self.method} {self.path}, {why}: {answer}"
        self.statuses.add(answer.status)
        response = _members(described)
        _assert_headers(answer, response, why)
        if self.method == "HEAD" or answer.status == 304:
            assert "content" not in response
            return
        assert_described(answer, response, why)
        if answer.headers["content-type"] == PROBLEM_TYPE:
            self.types.add(str(answer.problem()["type"]))

    def described_types(self) -> set[str]:
        types: set[str] = set()
        for response in self.described.values():
            schema = _problem_schema(_members(response))
            if schema is not None:
                types |= _types_of(schema)
        return types


def assert_described(answer: Answer, response: Members, why: str) -> None:
    """Hold type and body of `answer` against the description of a response."""
    content = _members(response["content"])
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in content, (why, answer)
    schema = _members(_members(content[media_type])["schema"])
    value = answer.body.decode() if media_type in TEXTS else json.loads(answer.body)
    assert faults(value, schema, SCHEMAS) == [], (why, answer)


def _assert_headers(answer: Answer, response: Members, why: str) -> None:
    of_http = {"content-type", "content-length", "transfer-encoding", "connection", "date"}
    of_pages = {"cache-control", "content-security-policy"}
    names = {name.lower() for name in _members(response.get("headers", {}))}
    assert answer.headers.keys() - of_http - of_pages - names == set(), (why, answer)


def _problem_schema(response: Members) -> Schema | None:
    content = _members(response.get("content", {}))
    if PROBLEM_TYPE not in content:
        return None
    return _members(_members(content[PROBLEM_TYPE])["schema"])


def _types_of(schema: Schema) -> set[str]:
    parts = schema["allOf"]
    assert isinstance(parts, list)
    types = parts[1]["properties"]["type"]["enum"]
    assert isinstance(types, list)
    return set(types)


# --- what is asked -------------------------------------------------------------------------


def _good_body(seen: Observed) -> bytes | None:
    return GOOD_BODIES[seen.path] if seen.method in ("POST", "PUT") else None


def _ask(served: Served, seen: Observed, why: str, query: str = "") -> None:
    _ask_with(served, seen, why, _good_body(seen), JSON, query=query)


def _ask_with(
    served: Served,
    seen: Observed,
    why: str,
    body: bytes | None,
    headers: dict[str, str],
    *,
    query: str = "",
) -> None:
    with served.connect() as connection:
        connection.send(request_bytes(seen.method, seen.target + query, body, headers))
        endless = is_endless(seen.method, seen.path)
        seen.note(connection.answer(is_head=seen.method == "HEAD", is_endless=endless), why)


def _ask_well_and_with_bad_parameters(served: Served, seen: Observed) -> None:
    _ask(served, seen, "nothing is wrong")
    queries = ["?verbose=1", "?%22=1", "?x=%ff", "?" + "k" * 500 + "=1"]
    parameters = _members(PATHS[seen.path][seen.method.lower()]).get("parameters", [])
    assert isinstance(parameters, list)
    for parameter in parameters:
        if parameter["in"] == "query":
            name = parameter["name"]
            queries += [f"?{name}=1&{name}=1", f"?{name}=", f"?{name}=x", f"?{name}=-1"]
    for query in queries:
        _ask(served, seen, f"the query {query[:20]}", query)


def _ask_with_bad_bodies(served: Served, seen: Observed) -> None:
    if _good_body(seen) is None:
        return
    good = GOOD_BODIES[seen.path]
    name = good.split(b'"')[1]
    bodies = [b"", b"{}", b"[]", b"\xff", b'{"nope":1}', good[:-1] + b',"nope":1}', b"x" * 90_000]
    bodies += [b'{"%b":%b}' % (name, value) for value in (b"null", b"[]", b"NaN", b"true")]
    bodies += [good[:-1] + b',"%b":%b}' % (name, good.partition(b":")[2][:-1])]
    if seen.path == "/logs":
        bodies += [good[:-1] + more for more in (b',"timeout":-1}', b',"w":0}', b',"w":9}')]
        bodies += [b'{"message":"%b"}' % (b"x" * 2000), b'{"message":"\\ud800"}']
    for body in bodies:
        _ask_with(served, seen, f"the body {body[:40]!r}", body, JSON)
    types = ["text/plain", "application/json; charset=latin-1", "multipart/form-data"]
    for headers in [
        *({"Content-Type": one} for one in types),
        {"Origin": "http://elsewhere"},
        {**JSON, "Content-Encoding": "gzip"},
    ]:
        _ask_with(served, seen, f"the headers {headers}", good, headers)


def _ask_a_node_in_trouble(served: Served, seen: Observed) -> None:
    node = served.node
    for reason in REASONS.get(seen.path, ()):
        node.refusal = Refused(reason, "planted by the test")
        _ask(served, seen, f"refused: {reason}")
    node.refusal = None
    node.reasons = ("no quorum",)
    _ask(served, seen, "the node is not ready")
    node.lines = [b'{"id":1,"message":"a"}\n', b'{"id":2,"message":"b"}\n']
    node.has_master = False
    if seen.path == "/logs" and seen.method != "POST":
        _ask(served, seen, "there is more", "?limit=1")
    node.damaged_id = 1
    _ask(served, seen, "the log is damaged")
    node.damaged_id = None
    if seen.path == "/logs":
        node.reachable = 1
        _ask(served, seen, "it waits", "?timeout=0" if seen.method == "POST" else "")
    served.on_loop(node.stopping.set)
    _ask(served, seen, "the node stops")


def _ask_what_cannot_be_read(served: Served, seen: Observed) -> None:
    line = f"{seen.method} {seen.target} HTTP/1.1\r\nHost: x\r\n".encode()
    for why, rest in [
        ("a length that is none", b"Content-Length: x\r\n\r\n"),
        ("headers that end nowhere", b"X: " + b"x" * 70_000),
        ("headers that stop arriving", b"X: "),
    ]:
        with served.connect() as connection:
            connection.send(line + rest)
            seen.note(connection.answer(is_head=seen.method == "HEAD"), why)


def _ask_a_defective_node(served: Served, seen: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object, **named: object) -> None:
        raise RuntimeError("planted by the test")

    with monkeypatch.context() as patch:
        for name in (
            "app.parse_query",
            "read_routes.parse_wish",
            "append_routes.parse_append",
            "acks_routes.parse_query",
            "follow_routes.parse_query",
        ):
            patch.setattr(f"replog.http.{name}", fail)
        _ask(served, seen, "the node is defective")


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_described_and_every_described_one_is_answered(
    method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Observed(method, path)
    limits = Limits(message_bytes_max=1000)
    deadlines = Deadlines(headers_s=0.2)
    for role in Role:
        with Served(role, limits=limits, deadlines=deadlines, sweep_interval_s=0.05) as served:
            _ask_well_and_with_bad_parameters(served, seen)
            _ask_with_bad_bodies(served, seen)
            _ask_what_cannot_be_read(served, seen)
            _ask_a_defective_node(served, seen, monkeypatch)
            if is_read(seen.method, seen.path):
                ask_for_reads(served, seen)
            ask_for_appends(served, seen)
            ask_for_follows(served, seen)
            _ask_a_node_in_trouble(served, seen)
    if "{name}" in path:
        with Served() as served, served.connect() as connection:
            seen.note(connection.request(method, "/problems/nothing"), "no such problem")
    assert {str(status) for status in seen.statuses} == seen.described.keys()
    assert seen.types == seen.described_types()


@pytest.mark.parametrize("path", list(PATHS))
def test_a_method_that_is_none_and_a_path_that_is_none_are_described(path: str) -> None:
    described = _members(COMPONENTS["responses"])
    for role in Role:
        with Served(role) as served, served.connect() as connection:
            target = target_of(path)
            taken = {"HEAD", *(method.upper() for method in PATHS[path])}
            for method in METHODS:
                if method not in taken:
                    answer = connection.request(method, target, b"{}")
                    response = _members(described["MethodNotAllowed"])
                    assert_described(answer, response, method)
                    _assert_headers(answer, response, method)
            answer = connection.request("GET", "/nothing")
            assert_described(answer, _members(described["NotFound"]), "no such path")
            answer = connection.request("GET", "/replication")
            assert_described(answer, _members(described["UpgradeRequired"]), "no WebSocket")


# --- health --------------------------------------------------------------------------------


def _healths() -> Iterator[tuple[Role, Health]]:
    master = FakeNode().health()
    one = master.secondaries[0]
    for status in MASTER_STATUSES:
        yield Role.MASTER, replace(master, status=status, log_id=None)
    for state in LinkState:
        yield Role.MASTER, replace(master, secondaries=(replace(one, link=state.value),))
    secondary = FakeNode(Role.SECONDARY).health()
    assert secondary.master is not None
    for status in SECONDARY_STATUSES:
        yield Role.SECONDARY, replace(secondary, status=status)
    for phase in LinkPhase:
        told = replace(secondary.master, link=phase.value, url=None, last_contact_s=None)
        yield Role.SECONDARY, replace(secondary, master=told)
    for health in PeerHealth:
        word = health.value.upper()
        yield Role.MASTER, replace(master, secondaries=(replace(one, health=word),))
        yield Role.SECONDARY, replace(secondary, master=replace(secondary.master, health=word))


def _health_faults(served: Served, health: Health) -> list[str]:
    def told() -> Health:
        return health

    setattr(served.node, "health", told)  # noqa: B010 - a method is not assignable to mypy
    with served.connect() as connection:
        value = json.loads(connection.request("GET", "/health").body)
    response = _members(Observed("GET", "/health").described["200"])
    schema = _members(_members(_members(response["content"])["application/json"])["schema"])
    return faults(value, schema, SCHEMAS)


def test_health_of_either_role_is_as_described_with_every_word(
    master: Served, secondary: Served
) -> None:
    nodes = {Role.MASTER: master, Role.SECONDARY: secondary}
    for role, health in _healths():
        assert _health_faults(nodes[role], health) == [], health


def test_the_check_notices_what_is_not_described(master: Served) -> None:
    health = FakeNode().health()
    one = health.secondaries[0]
    for wrong in (
        replace(health, status="fine"),
        replace(health, head="short"),
        replace(health, secondaries=(replace(one, link="up"),)),
        replace(health, secondaries=(replace(one, health="healthy"),)),
    ):
        assert _health_faults(master, wrong) != []
    problem = {"type": "/problems/bad-field", "title": "", "status": 400, "detail": ""}
    schema = SCHEMAS["Problem"]
    assert faults({**problem, "retryable": False}, schema, SCHEMAS) == []
    assert faults(problem, schema, SCHEMAS) == ["$.retryable is missing"]
    assert faults({**problem, "retryable": False, "hint": 1}, schema, SCHEMAS) == [
        "$.hint is not described"
    ]


def test_what_curl_sends_by_itself_is_described_and_taken(master: Served) -> None:
    body = _members(_members(PATHS["/logs"]["post"])["requestBody"])
    for media_type in _members(body["content"]):
        with master.connect() as connection:
            headers = {"Content-Type": media_type}
            assert connection.request("POST", "/logs", b'{"message":"x"}', headers).status == 200
    with master.connect() as connection:
        connection.send(request_bytes("POST", "/logs", b'{"message":"x"}'))
        assert connection.answer().status == 200


def test_the_page_shows_every_member_and_says_what_each_answer_is(shared: Served) -> None:
    with shared.connect() as connection:
        page = connection.request("GET", "/docs").body.decode()
    assert "Successful Response" not in page
    for name, schema in SCHEMAS.items():
        section = page.partition(f'<h2 id="{name}">')[2].partition("<h2")[0]
        assert section, name
        for member in _members(schema.get("properties", {})):
            assert f"<code>{member}</code>" in section, (name, member)
    health = page.partition('id="get-health"')[2].partition("<h2")[0]
    assert 'href="#HealthOfMaster"' in health
    assert 'href="#HealthOfSecondary"' in health
