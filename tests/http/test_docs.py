"""docs/http.md against the code: every route, problem, parameter and field, and the reverse."""

from __future__ import annotations

import re
from pathlib import Path

from replog.http.append_request import FIELDS
from replog.http.openapi import LOG_PATHS
from replog.http.problems import PROBLEMS
from replog.http.read_request import READ_PARAMETERS
from tests.http.fake_node import FakeNode
from tests.http.raw import request_bytes
from tests.http.served import Served

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
PROBLEM_ROW = re.compile(r"^\| (\d{3}) \| `([a-z0-9-]+)` \|(.*)$", re.MULTILINE)


def test_every_problem_is_in_the_table_with_its_status_and_the_reverse() -> None:
    listed = {name: int(status) for status, name, _ in PROBLEM_ROW.findall(TEXT)}
    assert listed == {name: kind.status for name, kind in PROBLEMS.items()}


def test_the_table_names_the_further_members_of_every_problem() -> None:
    for _, name, rest in PROBLEM_ROW.findall(TEXT):
        members = re.findall(r"`(\w+)`", rest.split(" | ")[1])
        assert tuple(members) == PROBLEMS[name].members, name


def test_the_table_says_where_a_retry_after_is_sent() -> None:
    for _, name, rest in PROBLEM_ROW.findall(TEXT):
        kind = PROBLEMS[name]
        if kind.status == 503 and name != "not-ready":
            assert ("`Retry-After`" in rest) is (kind.retry_after_s is not None), name


def test_every_route_is_described_and_the_reverse(shared: Served) -> None:
    routes = {route.path for route in shared.app.routes} | set(LOG_PATHS)
    described = set(re.findall(r"`(?:[A-Z]+ )?(/[a-z{}./]*)`", TEXT))
    assert described - {"/problems/not-the-master"} == routes


def test_every_field_and_parameter_is_described() -> None:
    for name in (*FIELDS, *READ_PARAMETERS):
        assert f"`{name}`" in TEXT


def test_every_member_of_health_is_described() -> None:
    section = TEXT.partition("## Health")[2].partition("## Probes")[0]
    health = FakeNode().health()
    for view in (health, health.secondaries[0], health.quorum):
        for name in view.__slots__:
            assert f"`{name}`" in section, name


def test_the_first_example_is_answered_as_it_stands(master: Served) -> None:
    section = TEXT.partition("## Append")[2]
    body = re.search(r"-d '(.*)'", section)
    answer = re.search(r"^    (\{\"status\".*)$", section, re.MULTILINE)
    assert body is not None
    assert answer is not None
    with master.connect() as connection:
        connection.send(request_bytes("POST", "/logs", body[1].encode()))
        assert connection.answer().body == answer[1].encode()
