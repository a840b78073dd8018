"""`replog append`: what it sends, prints and returns.

SHELL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from replog.cli import append_call
from replog.cli.main import app
from tests.cli.scripted_node import Answer, ScriptedNode, scripted_node

PENDING = b'{"status":"pending","log":{"id":7,"message":"m"},"required":3,"acks":["http://a"]}'
HEALTH = json.dumps(
    {
        "role": "master",
        "secondaries": [
            {"url": "http://b", "health": "SUSPECTED", "lag": 12},
            {"url": "http://c", "health": "HEALTHY", "lag": 1},
        ],
    }
).encode()
PROBLEM = json.dumps(
    {"type": "/problems/no-quorum", "title": "No quorum", "detail": "Bring nodes back."}
).encode()


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with scripted_node() as node:
        yield node


def append(node: ScriptedNode, *arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["append", *arguments, "--url", node.url], input=stdin)


def test_an_entry_is_sent_as_it_was_typed_and_its_id_printed(node: ScriptedNode) -> None:
    node.stored(1042)
    result = append(node, 'order "17" ✓')
    assert (result.exit_code, result.stdout, result.stderr) == (0, "1042\n", "")
    assert node.asked == [("POST /logs", '{"message":"order \\"17\\" ✓"}'.encode())]


@pytest.mark.parametrize(("text", "sent"), [("2", 2), ("majority", "majority"), ("all", "all")])
def test_write_concern_and_timeout_go_with_it(
    node: ScriptedNode, text: str, sent: int | str
) -> None:
    node.stored(1)
    assert append(node, "x", "-w", text, "--timeout", "1.5").exit_code == 0
    assert json.loads(node.asked[0][1]) == {"message": "x", "w": sent, "timeout": 1.5}


@pytest.mark.parametrize("text", ["0", "most", "-1", "2.0", ""])
def test_a_wrong_write_concern_is_usage_and_nothing_is_sent(node: ScriptedNode, text: str) -> None:
    result = append(node, "x", f"-w{text}")
    assert result.exit_code == 2
    assert node.asked == []


def test_json_prints_the_answer_of_the_node(node: ScriptedNode) -> None:
    node.stored(1)
    stdout = append(node, "x", "--json").stdout
    assert stdout == '{"status":"success","log":{"id":1,"message":"m"}}\n'


def test_stored_but_not_on_enough_nodes_names_those_that_are_behind(node: ScriptedNode) -> None:
    node.answers = [Answer(PENDING, status=202), Answer(HEALTH)]
    result = append(node, "x", "-w", "all", "--timeout", "1")
    assert (result.exit_code, result.stdout) == (4, "7\n")
    assert result.stderr == (
        "… 7 is stored on 1 of 3 nodes, not yet on http://b (suspected, 12 entries behind), "
        "http://c (healthy, 1 entry behind). It will get there by itself.\n"
        f"  wait for it:  replog acks 7 -w all --url {node.url}\n"
    )


def test_pending_is_said_also_when_the_node_stops_before_it_tells_who(node: ScriptedNode) -> None:
    node.answers = [Answer(PENDING, status=202), Answer(b"{}", status=503)]
    result = append(node, "x", "--timeout", "1")
    assert result.exit_code == 4
    assert result.stderr == (
        "… 7 is stored on 1 node. It will get there by itself.\n"
        f"  wait for it:  replog acks 7 -w 3 --url {node.url}\n"
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 2), (404, 3), (405, 2), (412, 6), (413, 2), (503, 1), (507, 1)],
)
def test_a_refusal_is_told_in_the_words_of_the_node(
    node: ScriptedNode, status: int, code: int
) -> None:
    node.answers = [Answer(PROBLEM, status=status)]
    result = append(node, "x")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == f"replog: No quorum: Bring nodes back. (HTTP {status})\n"


def test_a_connection_that_breaks_leaves_the_outcome_open_and_says_so(node: ScriptedNode) -> None:
    node.answers = [Answer(b"{", size=100)]
    result = append(node, "x")
    assert result.exit_code == 5
    assert "broke off" in result.stderr
    assert result.stderr.endswith(
        "the entry may be stored or not; look before you append it again:\n"
        f"  replog get --last 10 --url {node.url}\n"
    )


LOST = Answer(b"{", size=100)
LOOK = (
    "the entry may be stored or not; look before you append it again:\n"
    "  replog get --last 10 --url "
)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(PROBLEM, status=500), "No quorum: Bring nodes back. (HTTP 500)"),
        (Answer(b"<html>", status=502), "answered 502, and not as a node does: is this a node?"),
        (Answer(b"<html>"), "answered 200, and not as a node does: is this a node?"),
        (Answer(b"{}"), "answered 200, and not as a node does: is this a node?"),
    ],
)
def test_an_answer_that_leaves_the_outcome_open_is_quoted_and_that_is_said(
    node: ScriptedNode, answer: Answer, said: str
) -> None:
    node.answers = [answer]
    result = append(node, "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith(f"{said}; {LOOK}{node.url}\n")


def test_no_node_there_is_its_own_exit_code() -> None:
    with scripted_node() as node:
        pass
    result = append(node, "x")
    assert result.exit_code == 5
    refused = "(connection refused: nothing listens there)"
    assert result.stderr.startswith(f"replog: no node answers at {node.url} {refused}; is it")
    assert result.stderr.count("\n") == 1


def test_something_else_that_answers_is_no_node(node: ScriptedNode) -> None:
    node.answers = [Answer(b"<html>")]
    result = append(node, "x")
    assert result.exit_code == 1
    assert "is this a node?" in result.stderr


@pytest.mark.parametrize("command", [["append", "x"], ["append", "-"], ["get"], ["status"]])
@pytest.mark.parametrize(
    "url",
    ["http://[::", "ftp://a", "127.0.0.1:8000", "localhost:8000", "http://", "http://a:b",
     "http://a:0", "http://a/?from=1", "http://a b", ""],
)  # fmt: skip
def test_a_url_that_is_none_is_usage_and_one_line_shows_one(command: list[str], url: str) -> None:
    result = CliRunner().invoke(app, [*command, "--url", url], input="a line\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f'replog: --url: got "{url}", which is no URL of a node: '
        "one looks like http://127.0.0.1:8000\n"
    )


@pytest.mark.parametrize(
    ("url", "shown"), [("http://a\x01b", "http://a\\x01b"), ("http://a\u200b", "http://a\\u200b")]
)
def test_what_cannot_be_printed_in_a_url_is_usage_and_shown_as_an_escape(
    url: str, shown: str
) -> None:
    result = CliRunner().invoke(app, ["append", "x", "--url", url])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f'replog: --url: got "{shown}", which is no URL of a node: ')


def test_a_node_may_stand_under_a_path(node: ScriptedNode) -> None:
    node.stored(1)
    assert CliRunner().invoke(app, ["append", "x", "--url", f"{node.url}/log/"]).exit_code == 0
    assert node.asked[0][0] == "POST /log/logs"


def test_a_key_and_an_expectation_go_with_it(node: ScriptedNode) -> None:
    node.stored(8)
    assert append(node, "x", "--key", "käse", "--expect", "0").exit_code == 0
    assert json.loads(node.asked[0][1]) == {"message": "x", "key": "käse", "expect": 0}


def test_with_a_key_an_answer_that_got_lost_is_asked_for_again(node: ScriptedNode) -> None:
    node.answers = [Answer(b"{", size=100)]
    node.stored(8)
    result = append(node, "x", "--key", "k")
    assert (result.exit_code, result.stdout) == (0, "8\n")
    assert result.stderr.endswith("; sending again, with the same key: it is stored once\n")
    assert node.asked[0] == node.asked[1]


def test_with_a_key_what_stays_in_doubt_may_be_appended_again(
    node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(append_call, "RETRY_FOR_S", 0.0)
    node.answers = [Answer(b"{", size=100)]
    result = append(node, "x", "--key", "k")
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr.endswith(
        f'append it again with --key "k" --url {node.url}: it is stored once\n'
    )


def test_a_node_that_always_meets_a_defect_is_quoted_at_last(
    node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(append_call, "RETRY_FOR_S", 0.01)
    node.answers = [Answer(PROBLEM, status=500)] * 100
    result = append(node, "x", "--key", "k")
    assert len(node.asked) > 1
    assert (result.exit_code, result.stdout) == (1, "")
    again, said = result.stderr.splitlines()
    assert again.endswith("; sending again, with the same key: it is stored once")
    assert said == (
        "replog: No quorum: Bring nodes back. (HTTP 500); the entry may be stored or not; "
        f'append it again with --key "k" --url {node.url}: it is stored once'
    )


@pytest.mark.parametrize(
    ("name", "status", "code", "is_proof"),
    [
        ("too-large", 413, 2, False),
        ("not-the-master", 405, 2, False),
        ("precondition-failed", 412, 6, True),
        ("idempotency-key-reused", 422, 2, True),
    ],
)
def test_a_refusal_after_a_lost_answer_ends_the_doubt_only_where_the_key_was_looked_for(
    node: ScriptedNode, name: str, status: int, code: int, *, is_proof: bool
) -> None:
    refusal = json.dumps({"type": f"/problems/{name}", "title": "No", "detail": "Do this."})
    node.answers = [LOST, Answer(refusal.encode(), status=status)]
    result = append(node, "x", "--key", "k")
    assert (result.exit_code, result.stdout) == (code, "")
    assert f"No: Do this. (HTTP {status})" in result.stderr
    assert ("may be stored" in result.stderr) is not is_proof


@pytest.mark.parametrize("key", ["", "x" * 256, "ä" * 128])
def test_a_key_of_a_size_that_no_node_takes_is_usage(node: ScriptedNode, key: str) -> None:
    result = append(node, "x", "--key", key)
    assert (result.exit_code, node.asked) == (2, [])
    assert "expected 1 to 255" in result.stderr
