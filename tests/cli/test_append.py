"""`replog append`: what it sends, prints and returns.

SHELL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

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
PROBLEM = json.dumps({"title": "No quorum", "status": 503, "detail": "Bring nodes back."}).encode()


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
    )


def test_pending_is_said_also_when_the_node_stops_before_it_tells_who(node: ScriptedNode) -> None:
    node.answers = [Answer(PENDING, status=202), Answer(b"{}", status=503)]
    result = append(node, "x", "--timeout", "1")
    assert result.exit_code == 4
    assert result.stderr == "… 7 is stored on 1 node. It will get there by itself.\n"


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 2), (404, 3), (405, 2), (412, 6), (413, 2), (500, 1), (503, 1), (507, 1)],
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
        f"  replog get --url {node.url}\n"
    )


def test_no_node_there_is_its_own_exit_code() -> None:
    with scripted_node() as node:
        pass
    result = append(node, "x")
    assert result.exit_code == 5
    assert result.stderr.startswith(f"replog: no node answers at {node.url}")
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


def test_a_node_may_stand_under_a_path(node: ScriptedNode) -> None:
    node.stored(1)
    assert CliRunner().invoke(app, ["append", "x", "--url", f"{node.url}/log/"]).exit_code == 0
    assert node.asked[0][0] == "POST /log/logs"


def test_each_line_of_stdin_is_an_entry_in_order_over_one_connection(node: ScriptedNode) -> None:
    node.stored(5, 6, 7, 8)
    result = append(node, "-", stdin=b"a\n\nc \xf0\x9f\x98\x80\r\nlast")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "5\n6\n7\n8\n", "")
    assert [json.loads(body)["message"] for _, body in node.asked] == ["a", "", "c 😀\r", "last"]
    assert node.connections == 1


def test_no_input_is_no_entry(node: ScriptedNode) -> None:
    result = append(node, "-", stdin="")
    assert (result.exit_code, result.stdout, node.asked) == (0, "", [])


def test_where_it_breaks_off_the_last_stored_line_is_named(node: ScriptedNode) -> None:
    node.stored(5, 6)
    node.answers.append(Answer(PROBLEM, status=503))
    result = append(node, "-", stdin="a\nb\nc\nd\n")
    assert (result.exit_code, result.stdout) == (1, "5\n6\n")
    assert result.stderr == (
        "replog: line 3: No quorum: Bring nodes back. (HTTP 503)\n  stored last: line 2, as id 6\n"
    )


def test_a_line_without_an_answer_is_in_doubt_and_named(node: ScriptedNode) -> None:
    node.stored(5, 6)
    node.answers.append(Answer(b"{", size=100))
    result = append(node, "-", stdin="a\nb\nc\nd\n")
    assert (result.exit_code, result.stdout) == (5, "5\n6\n")
    assert result.stderr.startswith(f"replog: line 3: the connection to {node.url} broke off")
    assert result.stderr.endswith(
        "\n  stored last: line 2, as id 6; line 3 was under way and may be stored: "
        f"look before you append it again:\n  replog get --from 7 --url {node.url}\n"
    )


def test_a_line_that_is_not_text_is_named_and_not_sent(node: ScriptedNode) -> None:
    node.stored(5)
    result = append(node, "-", stdin=b"a\n\xff\nc\n")
    assert result.exit_code == 2
    assert "line 2: is not UTF-8 at its byte 0: nothing was sent" in result.stderr
    assert "stored last: line 1, as id 5" in result.stderr
    assert len(node.asked) == 1


def test_pending_lines_do_not_stop_the_stream_and_are_counted_at_its_end(
    node: ScriptedNode,
) -> None:
    node.stored(6)
    node.answers.append(Answer(PENDING, status=202))
    node.stored(8)
    result = append(node, "-", "--timeout", "0", stdin="a\nb\nc\n")
    assert (result.exit_code, result.stdout) == (4, "6\n7\n8\n")
    assert "3 lines stored up to id 8; 1 of them is not yet on all nodes" in result.stderr
