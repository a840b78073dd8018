"""`replog acks`: what it asks, prints and returns.

SHELL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from replog.cli.main import app
from tests.cli.scripted_node import Answer, ScriptedNode, scripted_node

A: dict[str, object] = {
    "url": "http://a", "node_id": "1", "since": "2026-11-22T08:00:00.000Z",
    "last_id": 9, "head": "ab" * 32,
}  # fmt: skip
B: dict[str, object] = {
    "url": "http://b",
    "node_id": None,
    "since": None,
    "last_id": None,
    "head": None,
}


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with scripted_node() as node:
        yield node


def acks(node: ScriptedNode, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["acks", *arguments, "--url", node.url])


def receipt(*nodes: dict[str, object], is_met: bool) -> Answer:
    return Answer(json.dumps({"id": 7, "required": 3, "met": is_met, "acks": list(nodes)}).encode())


def test_each_node_that_holds_it_is_a_row(node: ScriptedNode) -> None:
    node.answers = [receipt(A, B, is_met=True)]
    result = acks(node, "7")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        ["NODE", "HOLDS IT SINCE", "LAST", "HEAD"],
        ["http://a", "2026-11-22T08:00:00.000Z", "9", "abababababab"],
        ["http://b", "-", "-", "-"],
    ]
    assert node.asked == [("GET /logs/7/acks", b"")]


def test_not_on_all_nodes_is_exit_code_4_and_says_how_to_wait(node: ScriptedNode) -> None:
    node.answers = [receipt(A, is_met=False)]
    result = acks(node, "7", "-o", "raw")
    assert result.exit_code == 4
    assert result.stdout == "http://a\t2026-11-22T08:00:00.000Z\t9\tabababababab\n"
    assert result.stderr == (
        f"… 7 is on 1 of 3 nodes asked for\n  wait for it:  replog acks 7 -w all --url {node.url}\n"
    )


def test_a_concern_is_waited_for_until_it_is_met(node: ScriptedNode) -> None:
    node.answers = [receipt(A, is_met=False), receipt(A, B, is_met=True)]
    assert acks(node, "7", "-w", "majority").exit_code == 0
    assert [asked for asked, _ in node.asked] == ["GET /logs/7/acks?w=majority&wait=30.0"] * 2


def test_a_wait_has_an_end(node: ScriptedNode) -> None:
    node.answers = [receipt(A, is_met=False)]
    result = acks(node, "7", "-w", "2", "--wait", "0")
    assert (result.exit_code, result.stderr) == (4, "… 7 is on 1 of 3 nodes asked for\n")
    assert node.asked == [("GET /logs/7/acks?w=2&wait=0.0", b"")]


def test_json_is_the_answer_of_the_node(node: ScriptedNode) -> None:
    answer = receipt(A, B, is_met=True)
    node.answers = [answer]
    assert json.loads(acks(node, "7", "--json").stdout) == json.loads(answer.body)


def test_no_such_entry_is_exit_code_3(node: ScriptedNode) -> None:
    problem = {"type": "/problems/unknown-id", "title": "No such entry", "detail": "Up to 6."}
    node.answers = [Answer(json.dumps(problem).encode(), status=404)]
    result = acks(node, "7")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "replog: No such entry: Up to 6. (HTTP 404)\n"


@pytest.mark.parametrize("arguments", [["0"], ["x"], ["7", "-w", "most"], ["7", "--wait", "-1"]])
def test_what_makes_no_sense_is_usage_and_not_asked(
    node: ScriptedNode, arguments: list[str]
) -> None:
    assert acks(node, *arguments).exit_code == 2
    assert node.asked == []
