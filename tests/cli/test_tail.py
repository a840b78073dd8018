"""`replog tail`: what it asks, prints and says, over nodes that come and go.

SHELL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from replog.cli.main import app
from tests.cli.scripted_node import Answer, ScriptedNode, scripted_node

HEALTH = json.dumps({"role": "master", "status": "ok", "log_id": "log"}).encode()


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with scripted_node() as node:
        node.health = [Answer(HEALTH)] * 100
        yield node


def tail(node: ScriptedNode, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["tail", *arguments, "--url", node.url])


def stream(*ids: int, cut: bytes = b"") -> Answer:
    lines = "\n".join(f'{{"id":{id_},"message":"m{id_}"}}' for id_ in ids) + "\n\n"
    return Answer(lines.encode() + cut)


def followed(node: ScriptedNode) -> list[str]:
    return [asked for asked, _ in node.asked if asked != "GET /health"]


@pytest.mark.parametrize(
    ("place", "first"), [("start", 1), ("1", 1), ("7", 7)], ids=["start", "one", "an id"]
)
def test_it_begins_where_it_is_told(node: ScriptedNode, place: str, first: int) -> None:
    node.answers = [stream(first)]
    result = tail(node, "--from", place, "--limit", "1")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{first}\tm{first}\n", "")
    assert followed(node) == [f"GET /logs/stream?from={first}"]


@pytest.mark.parametrize(
    ("flags", "committed", "first"),
    [([], 100, 91), ([], 3, 1), (["--from", "-3"], 9, 7), (["--from", "now"], 9, 10)],
)
def test_it_begins_so_many_before_the_end(
    node: ScriptedNode, flags: list[str], committed: int, first: int
) -> None:
    node.answers = [Answer(b"", committed=committed), stream(first)]
    assert tail(node, *flags, "--limit", "1").stdout == f"{first}\tm{first}\n"
    assert followed(node)[1:] == [f"GET /logs/stream?from={first}"]


@pytest.mark.parametrize("place", ["", "0", "-0", "end", "1.5", "+3", "--5"])
def test_a_place_that_is_none_is_usage(node: ScriptedNode, place: str) -> None:
    result = tail(node, f"--from={place}")
    assert (result.exit_code, node.asked) == (2, [])
    assert "expected start, now, an id, or -10" in result.stderr


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("jsonl", '{"id":1,"message":"m1"}\n{"id":2,"message":"m2"}\n'),
        ("json", '[{"id":1,"message":"m1"},{"id":2,"message":"m2"}]\n'),
        ("raw", "m1\nm2\n"),
    ],
)
def test_formats_are_those_of_get(node: ScriptedNode, form: str, shown: str) -> None:
    node.answers = [stream(1, 2)]
    assert tail(node, "--from", "1", "--limit", "2", "-o", form).stdout == shown


def test_after_streams_that_end_it_goes_on_and_says_so_once_for_each_loss(
    node: ScriptedNode,
) -> None:
    stopping = {"type": "/problems/stopping", "detail": "Stopping.", "retryable": True}
    node.answers = [
        stream(1, 2, cut=b'{"id":3,"mess'),
        Answer(json.dumps(stopping).encode(), status=503),
        Answer(json.dumps(stopping).encode(), status=503),
        stream(3),
        stream(4, 5, 6),
    ]
    result = tail(node, "--from", "1", "--limit", "5")
    assert (result.exit_code, result.stdout) == (0, "".join(f"{i}\tm{i}\n" for i in range(1, 6)))
    assert followed(node) == [f"GET /logs/stream?from={first}" for first in (1, 3, 3, 3, 4)]
    lost = f"… the connection to {node.url} ended; reconnecting, and going on behind entry"
    assert result.stderr == f"{lost} 2\n{lost} 3\n"


def test_a_node_that_was_never_there_is_not_waited_for() -> None:
    with scripted_node() as gone:
        pass
    result = tail(gone, "--from", "1")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "no node answers" in result.stderr


def test_another_log_behind_the_address_ends_it(node: ScriptedNode) -> None:
    other = json.dumps({"role": "master", "status": "ok", "log_id": "other"}).encode()
    node.health = [Answer(HEALTH), Answer(other)]
    node.answers = [stream(1)]
    result = tail(node, "--from", "1")
    assert (result.exit_code, result.stdout) == (1, "1\tm1\n")
    assert "holds the log other" in result.stderr
