"""`replog append -`: how standard input becomes batches, and what is said when it breaks off.

SHELL.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from replog.cli import append_call, append_lines, progress
from replog.cli.append_lines import BAR_WIDTH, BATCH_BYTES_MAX, BATCH_LINES_MAX, Input, bar
from replog.cli.main import app
from replog.cli.node import AskedNode
from replog.cli.options import Format
from tests.cli.scripted_node import Answer, ScriptedNode, scripted_node
from tests.support.waiting import wait_until

PENDING = b'{"status":"pending","first":7,"last":8,"count":2,"required":3,"acks":["http://a"]}'


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedNode]:
    monkeypatch.setattr(append_call, "RETRY_FOR_S", 0.0)
    with scripted_node() as node:
        yield node


def append(node: ScriptedNode, *arguments: str, stdin: str | bytes) -> Result:
    return CliRunner().invoke(app, ["append", "-", *arguments, "--url", node.url], input=stdin)


def messages(body: bytes) -> list[str]:
    return [json.loads(line)["message"] for line in body.splitlines()]


def many(size: int) -> str:
    return "".join(f"{number}\n" for number in range(size))


def test_lines_are_entries_in_order_and_what_is_there_is_one_batch(node: ScriptedNode) -> None:
    node.stored_batch(5, 8)
    result = append(node, stdin=b"a\n\nc \xf0\x9f\x98\x80\r\nlast")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "5\n6\n7\n8\n", "")
    assert [(asked, messages(body)) for asked, body in node.asked] == [
        ("POST /logs", ["a", "", "c 😀\r", "last"])
    ]


def test_many_lines_are_batches_with_a_key_each_over_one_connection(node: ScriptedNode) -> None:
    node.stored_batch(1, 1000)
    node.stored_batch(1001, 2000)
    node.stored_batch(2001, 2001)
    result = append(node, "-w", "2", "--timeout", "9", stdin=many(2001))
    assert result.exit_code == 0
    assert result.stdout == "".join(f"{id_}\n" for id_ in range(1, 2002))
    sent = [message for _, body in node.asked for message in messages(body)]
    assert sent == list(map(str, range(2001)))
    assert {asked for asked, _ in node.asked} == {"POST /logs?w=2&timeout=9.0"}
    assert None not in node.keys
    assert (len(set(node.keys)), node.connections) == (3, 1)


def test_an_expectation_holds_for_the_first_batch_and_between_all(node: ScriptedNode) -> None:
    node.stored_batch(43, 1042)
    node.stored_batch(1043, 1043)
    append(node, "--expect", "42", stdin=many(1001))
    assert [asked for asked, _ in node.asked] == [
        "POST /logs?expect=42", "POST /logs?expect=1042",
    ]  # fmt: skip


def test_json_prints_the_answer_to_each_batch(node: ScriptedNode) -> None:
    node.stored_batch(1, 2)
    line = append(node, "--json", stdin="a\nb\n").stdout
    assert json.loads(line) == {"status": "success", "first": 1, "last": 2, "count": 2}


@pytest.mark.parametrize("flags", [["-o", "json"], ["--key", "k"]])
def test_what_makes_no_sense_for_many_lines_is_usage(node: ScriptedNode, flags: list[str]) -> None:
    result = append(node, *flags, stdin="a\n")
    assert (result.exit_code, node.asked) == (2, [])


def test_no_input_is_no_entry(node: ScriptedNode) -> None:
    result = append(node, stdin="")
    assert (result.exit_code, result.stdout, node.asked) == (0, "", [])


def problem(status: int = 503, **members: object) -> Answer:
    body = {"type": "/problems/p", "title": "No", "detail": "Do this.", "status": status}
    return Answer(json.dumps(body | members).encode(), status=status)


def test_where_it_breaks_off_the_last_stored_line_is_named(node: ScriptedNode) -> None:
    node.stored_batch(5, 1004)
    node.answers.append(problem())
    result = append(node, stdin=many(1003))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "1004"
    assert result.stderr == (
        "replog: lines 1001 to 1003: No: Do this. (HTTP 503)\n"
        "  stored last: line 1000, as id 1004\n"
    )


def test_a_line_that_the_node_refuses_is_named(node: ScriptedNode) -> None:
    node.answers = [problem(413, line=2)]
    result = append(node, stdin="a\nb\nc\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "replog: line 2: No: Do this. (HTTP 413)\n  no line was stored before it\n"
    )


def test_lines_without_an_answer_are_in_doubt_and_named(node: ScriptedNode) -> None:
    node.stored_batch(5, 1004)
    node.answers.append(Answer(b"{", size=100))
    result = append(node, stdin=many(1003))
    assert result.exit_code == 5
    assert result.stderr.startswith(
        f"replog: lines 1001 to 1003: the connection to {node.url} broke off"
    )
    assert result.stderr.endswith(
        "\n  stored last: line 1000, as id 1004; lines 1001 to 1003 were under way and may be "
        f"stored: look before you append it again:\n  replog get --from 1005 --url {node.url}\n"
    )


def test_lines_that_met_a_defect_of_the_node_are_in_doubt_too(node: ScriptedNode) -> None:
    node.answers = [problem(500)]
    result = append(node, stdin="a\nb\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "replog: lines 1 to 2: No: Do this. (HTTP 500); the lines may be stored or not\n"
        "  no line was stored before it; lines 1 to 2 were under way and may be stored: look "
        f"before you append it again:\n  replog get --last 10 --url {node.url}\n"
    )


def test_a_batch_whose_answer_got_lost_is_sent_again_with_its_key_and_that_is_said(
    node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(append_call, "RETRY_FOR_S", 60.0)
    node.answers = [Answer(b"{", size=100), problem(retryable=True)]
    node.stored_batch(5, 6)
    result = append(node, stdin="a\nb\n")
    assert (result.exit_code, result.stdout) == (0, "5\n6\n")
    assert node.asked == [node.asked[0]] * 3
    assert len(set(node.keys)) == 1
    assert result.stderr.startswith("… lines 1 to 2: ")
    assert result.stderr.endswith("; sending again, with the same key: it is stored once\n")
    assert result.stderr.count("\n") == 1


def test_a_node_that_was_never_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(append_call, "RETRY_FOR_S", 3600.0)
    with scripted_node() as gone:
        pass
    result = append(gone, stdin="a\n")
    assert result.exit_code == 5
    assert "no node answers" in result.stderr


def test_a_line_that_is_not_text_is_named_and_those_before_it_are_stored(
    node: ScriptedNode,
) -> None:
    node.stored_batch(5, 5)
    result = append(node, stdin=b"a\n\xff\nc\n")
    assert (result.exit_code, result.stdout) == (2, "5\n")
    assert "line 2: is not UTF-8 at its byte 0: nothing was sent" in result.stderr
    assert "stored last: line 1, as id 5" in result.stderr
    assert [messages(body) for _, body in node.asked] == [["a"]]


def test_pending_lines_do_not_stop_the_stream_and_are_counted_at_its_end(
    node: ScriptedNode,
) -> None:
    node.answers.append(Answer(PENDING, status=202))
    result = append(node, "--timeout", "0", stdin="a\nb\n")
    assert (result.exit_code, result.stdout) == (4, "7\n8\n")
    assert "2 lines stored up to id 8; 2 of them are not yet on all nodes" in result.stderr


# --- the input ----------------------------------------------------------------------------------


@given(lines=st.lists(st.binary().map(lambda line: line.replace(b"\n", b"")), max_size=50))
def test_every_line_of_an_input_comes_once_and_in_order(lines: list[bytes]) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    batches = list(Input(io.BytesIO(whole)).batches())
    assert [line for batch in batches for line in batch] == lines


def test_a_batch_is_bounded_by_lines_and_by_bytes() -> None:
    sizes = [len(batch) for batch in Input(io.BytesIO(b"x\n" * 2500)).batches()]
    assert sizes == [BATCH_LINES_MAX, BATCH_LINES_MAX, 500]
    large = b"x" * (BATCH_BYTES_MAX // 2) + b"\n"
    assert [len(batch) for batch in Input(io.BytesIO(large * 5)).batches()] == [2, 2, 1]


def test_lines_that_are_there_are_not_held_back_for_more() -> None:
    ours, theirs = os.pipe()
    got: list[list[bytes]] = []

    def have_come(count: int) -> bool:
        return len(got) == count

    with os.fdopen(ours, "rb") as reader:
        taking = threading.Thread(target=lambda: got.extend(Input(reader).batches()))
        with os.fdopen(theirs, "wb", buffering=0) as writer:
            taking.start()
            for number, typed in enumerate((b"a\n", b"b\nc\n", b"d\n"), 1):
                writer.write(typed)
                wait_until(partial(have_come, number), f"batch {number} came")
        taking.join()
    assert got == [[b"a"], [b"b", b"c"], [b"d"]]


def test_a_file_has_a_bar_and_a_pipe_has_none(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"x\n" * 10_000)
    with path.open("rb") as file:
        given_file = Input(file)
        assert bar(given_file) == f"{' ' * BAR_WIDTH}   0%   "
        list(given_file.batches())
        assert bar(given_file) == f"{'━' * BAR_WIDTH} 100%   "
    assert bar(Input(io.BytesIO(b"x"))) == ""


def test_on_a_terminal_a_line_says_how_far_it_is(
    node: ScriptedNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    path = tmp_path / "lines"
    path.write_bytes(b"x\n" * 3)
    node.stored_batch(15, 17)
    wanted = append_call.AppendWanted(None, None)
    with path.open("rb") as file, AskedNode(node.url) as asked:
        append_lines._Appending(asked, wanted, Format.RAW).run(Input(file))
    shown = terminal.getvalue()
    assert shown.startswith(f"\r  {'━' * BAR_WIDTH} 100%   3 lines   id 17   ")
    assert shown.endswith("/s\x1b[K\r\x1b[K")
