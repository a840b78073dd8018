"""`replog get` and `replog status`: what they ask, print and return.

SHELL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from replog.cli.main import app
from replog.cli.output import count, duration
from tests.cli.scripted_node import Answer, ScriptedNode, scripted_node


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with scripted_node() as node:
        yield node


def run(node: ScriptedNode, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--url", node.url])


def encode(messages: list[str]) -> list[bytes]:
    return [
        json.dumps({"id": id_, "message": m}, ensure_ascii=False, separators=(",", ":")).encode()
        for id_, m in enumerate(messages, 1)
    ]


def lines(entries: list[bytes]) -> Answer:
    return Answer(b"".join(entry + b"\n" for entry in entries))


HOSTILE = ["a", "b\nc\x1b[2J", "✓", '"},{"id":9', ""]


def test_entries_are_a_line_each_whatever_their_messages_hold(node: ScriptedNode) -> None:
    node.answers = [lines(encode(["a", "b\nc\x1b[2J", "✓"]))]
    result = run(node, "get")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "1\ta\n2\tb\\nc\\x1b[2J\n3\t✓\n"
    assert node.asked == [("GET /logs", b"")]


@pytest.mark.parametrize("flags", [["--json"], ["-o", "jsonl"], ["--json", "-o", "jsonl"]])
def test_json_keeps_every_entry_byte_for_byte(node: ScriptedNode, flags: list[str]) -> None:
    entries = encode(HOSTILE)
    node.answers = [lines(entries)]
    assert run(node, "get", *flags).stdout_bytes == b"".join(e + b"\n" for e in entries)


def test_as_one_document_entries_are_an_array(node: ScriptedNode) -> None:
    entries = encode(HOSTILE)
    node.answers = [lines(entries), lines([])]
    assert run(node, "get", "-o", "json").stdout_bytes == b"[" + b",".join(entries) + b"]\n"
    assert run(node, "get", "-o", "json").stdout == "[]\n"


def test_raw_entries_are_their_messages(node: ScriptedNode) -> None:
    node.answers = [lines(encode(HOSTILE))]
    assert run(node, "get", "-o", "raw").stdout == "".join(f"{text}\n" for text in HOSTILE)


def test_two_formats_at_once_are_usage(node: ScriptedNode) -> None:
    assert run(node, "get", "--json", "-o", "raw").exit_code == 2
    assert run(node, "get", "-o", "xml").exit_code == 2
    assert node.asked == []


@pytest.mark.parametrize(
    ("flags", "query"),
    [
        (["--from", "100", "--limit", "10"], "?from=100&limit=10"),
        (["--last", "3"], "?last=3"),
        (["--since", "2026-11-22T08:00:00+01:00"], "?since=2026-11-22T08%3A00%3A00%2B01%3A00"),
    ],
)
def test_a_part_is_asked_for_at_the_node(node: ScriptedNode, flags: list[str], query: str) -> None:
    node.answers = [lines([])]
    result = run(node, "get", *flags)
    assert (result.exit_code, result.stdout) == (0, "")
    assert node.asked == [(f"GET /logs{query}", b"")]


def test_two_beginnings_are_usage(node: ScriptedNode) -> None:
    assert run(node, "get", "--from", "1", "--last", "1").exit_code == 2
    assert node.asked == []


def test_an_answer_that_breaks_off_goes_on_behind_what_came(node: ScriptedNode) -> None:
    first, second, third = encode(["a", "b", "c"])
    node.answers = [
        Answer(first + b"\n" + second[:5], size=1000),
        Answer(second + b"\n", size=1000),
        lines([third]),
    ]
    result = run(node, "get", "--limit", "3")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "1\ta\n2\tb\n3\tc\n"
    assert [asked for asked, _ in node.asked] == [
        "GET /logs?limit=3", "GET /logs?from=2&limit=2", "GET /logs?from=3&limit=1",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["table", "json"])
def test_an_answer_that_breaks_off_for_good_prints_what_came_and_fails(
    node: ScriptedNode, form: str
) -> None:
    node.answers = [Answer(encode(["a"])[0] + b"\n", size=1000), Answer(b"", size=1000)]
    result = run(node, "get", "-o", form)
    assert result.exit_code == 5
    assert result.stdout == {"table": "1\ta\n", "json": '[{"id":1,"message":"a"}'}[form]
    assert result.stderr.startswith("replog: the answer broke off behind entry 1, and then: ")
    assert result.stderr.endswith(f"\n  replog get --from 2 --url {node.url}\n")


@pytest.mark.parametrize("body", [b"<html>\n", b"{}\n", b'{"id":"1","message":"a"}\n'])
def test_what_is_no_entry_is_refused(node: ScriptedNode, body: bytes) -> None:
    node.answers = [Answer(body)]
    result = run(node, "get")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is this a node?" in result.stderr


MASTER_HEALTH = {
    "role": "master",
    "status": "ok",
    "epoch": 3,
    "last_id": 1043,
    "committed_id": 1043,
    "quorum": {"required": 2, "reachable": 1},
    "damage": [{"first_id": 5, "segment": "1.ndjson", "offset": 99, "reason": "a hash differs"}],
}


def test_status_is_a_row_a_node_with_what_each_knows_of_itself(node: ScriptedNode) -> None:
    with scripted_node() as secondary, scripted_node() as gone:
        pass_on = {"epoch": 3, "committed_id": 1031, "role": "secondary", "last_id": 1031}
        secondary.answers = [Answer(json.dumps(pass_on).encode())]
        gone.answers = [Answer(b"{}", status=503)]
        seen = [
            {"url": secondary.url, "health": "SUSPECTED", "link": "streaming", "last_id": 1031,
             "lag": 12, "last_contact_s": 2.14},
            {"url": gone.url, "health": "UNHEALTHY", "link": "diverged", "last_id": None,
             "lag": None, "last_contact_s": None},
        ]  # fmt: skip
        node.answers = [Answer(json.dumps(MASTER_HEALTH | {"secondaries": seen}).encode())]
        result = run(node, "status")
    assert result.exit_code == 0
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        ["NODE", "ROLE", "HEALTH", "EPOCH", "LAST", "COMMITTED", "LAG", "LAST CONTACT"],
        [node.url, "master", "healthy", "3", "1043", "1043", "-", "-"],
        [secondary.url, "secondary", "suspected", "3", "1031", "1031", "12", "2.1 s"],
        [gone.url, "secondary", "diverged", "-", "-", "-", "-", "-"],
    ]
    assert result.stderr == (
        "damage: from id 5, 1.ndjson at byte 99: a hash differs\n"
        "no quorum: 1 of 2 required nodes are reachable\n"
    )


def test_a_secondary_shows_its_own_view_and_its_master(node: ScriptedNode) -> None:
    health = {
        "role": "secondary", "status": "no-master", "epoch": 2, "last_id": 4, "committed_id": 3,
        "secondaries": [],
        "master": {"url": "http://m:8000", "health": "UNHEALTHY", "last_contact_s": 0.04},
    }  # fmt: skip
    node.answers = [Answer(json.dumps(health).encode())]
    rows = [line.split("\t") for line in run(node, "status").stdout.splitlines()]
    assert rows[1:] == [
        [node.url, "secondary", "no-master", "2", "4", "3", "-", "-"],
        ["http://m:8000", "master", "unhealthy", "-", "-", "-", "-", "40 ms"],
    ]


def test_delays_are_a_last_column_where_a_secondary_has_one(node: ScriptedNode) -> None:
    row = {"health": "HEALTHY", "link": "streaming", "last_id": 1, "lag": 0, "last_contact_s": 0}
    with scripted_node() as gone:
        pass
    seen = [row | {"url": gone.url, "delay_s": delay} for delay in (2.5, 0.0, None)]
    node.answers = [Answer(json.dumps(MASTER_HEALTH | {"secondaries": seen}).encode())]
    rows = [line.split("\t") for line in run(node, "status").stdout.splitlines()]
    assert rows[0][-2:] == ["LAST CONTACT", "DELAY"]
    assert [row[8] for row in rows[1:]] == ["-", "2.5 s", "-", "-"]


def test_a_secondary_shows_its_own_delay(node: ScriptedNode) -> None:
    health = {"role": "secondary", "delay_s": 0.25, "master": {"url": "http://m:8000"}}
    node.answers = [Answer(json.dumps(health).encode())]
    rows = [line.split("\t") for line in run(node, "status").stdout.splitlines()]
    assert [row[8] for row in rows] == ["DELAY", "250 ms", "-"]


def test_without_a_delay_there_is_no_such_column(node: ScriptedNode) -> None:
    health = {"role": "secondary", "delay_s": 0.0, "master": {"url": "http://m:8000"}}
    node.answers = [Answer(json.dumps(health).encode())]
    assert "DELAY" not in run(node, "status").stdout


def test_raw_status_has_no_header(node: ScriptedNode) -> None:
    node.answers = [Answer(json.dumps({"role": "master"}).encode())]
    assert run(node, "status", "-o", "raw").stdout.startswith(f"{node.url}\tmaster\t")


def test_status_as_json_is_what_the_node_answers(node: ScriptedNode) -> None:
    node.answers = [Answer(json.dumps(MASTER_HEALTH).encode())]
    assert json.loads(run(node, "status", "--json").stdout) == MASTER_HEALTH


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.004, "4.0 ms"), (0.04, "40 ms"), (2.13, "2.1 s"), (600, "10 min")],
)
def test_durations_are_as_people_read_them(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_counts_agree_with_their_nouns() -> None:
    assert [count(1, "entry"), count(2, "entry"), count(0, "line")] == [
        "1 entry", "2 entries", "0 lines",
    ]  # fmt: skip
