"""What is no history is refused, by the number of the line and with a reason.

PURE.
"""

from __future__ import annotations

import json

import pytest

from replog.history.judge import judge
from replog.history.reading import HistoryError
from tests.history.made import S1, M, Made

FIRST = json.dumps({"op": "nodes", "format": 1, "nodes": [M, S1]})
APPEND = {
    "op": "append", "client": 1, "invoked": 1, "returned": 2, "outcome": "ok", "messages": ["a"],
    "w": 1, "first_id": 1,
}  # fmt: skip
READ = {
    "op": "read", "client": 1, "invoked": 1, "returned": 2, "outcome": "ok", "node": M,
    "messages": [],
}  # fmt: skip
DISK = {"op": "disk", "at": 1, "snapshot": "end", "node": M, "messages": []}


def refusal(*lines: str | dict[str, object]) -> str:
    made = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    with pytest.raises(HistoryError) as raised:
        judge(line.encode() for line in made)
    return str(raised.value)


def test_what_docs_show_is_read() -> None:
    judge(line.encode() for line in (FIRST, json.dumps(APPEND), json.dumps(READ)))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "line 1: is missing; it names the nodes"),
        ([APPEND], "line 1: a history begins with"),
        (['{"op":"nodes","format":2,"nodes":["a"]}'], "line 1: the history has format 2"),
        (['{"op":"nodes","nodes":["a","a"]}'], "line 1: nodes are named once each"),
        (['{"op":"nodes","nodes":[]}'], "line 1: nodes are named once each"),
        ([FIRST, FIRST], "line 2: only the first line names the nodes"),
        ([FIRST, ""], "line 2: is empty"),
        ([FIRST, "{"], "line 2: "),
        ([FIRST, '{"x":' + "[" * 100_000], "line 2: maximum recursion"),
        ([FIRST, '{"op":"delete"}'], "line 2: Invalid value 'delete' - at `$.op`"),
        ([FIRST, APPEND | {"value": 1}], "line 2: Object contains unknown field `value`"),
        ([FIRST, APPEND | {"w": 0}], "line 2: Expected `int` >= 1 - at `$.w`"),
        ([FIRST, APPEND | {"messages": []}], "line 2: Expected `array` of length >= 1"),
        ([FIRST, APPEND | {"messages": ["a", "a"]}], "line 2: the messages of an append differ"),
        ([FIRST, APPEND | {"first_id": None}], 'line 2: an append with outcome "ok" has first_id'),
        ([FIRST, APPEND | {"returned": None}], 'line 2: an append with outcome "ok" has returned'),
        ([FIRST, APPEND | {"returned": 0}], "line 2: it returned at 0.0, and was invoked at 1.0"),
        ([FIRST, APPEND, APPEND], "line 3: 'a' was appended on line 2 too"),
        ([FIRST, READ | {"node": "x"}], "line 2: node x is not in the first line"),
        ([FIRST, READ | {"returned": None}], 'line 2: a read with outcome "ok" has returned'),
        ([FIRST, READ | {"returned": 0}], "line 2: it returned at 0.0"),
        ([FIRST, READ | {"messages": None}], "line 2: it has messages, or sha256 and last"),
        ([FIRST, READ | {"sha256": "0", "last": 0}], "line 2: it has messages, or sha256 and last"),
        (
            [FIRST, READ | {"messages": None, "sha256": "0", "last": 3, "first": 5}],
            "line 2: last is 4 or more, got 3",
        ),
        (
            [FIRST, APPEND, READ | {"messages": None, "sha256": "0", "last": 2}],
            "line 3: sha256 covers id 2, and no other line says what stands there",
        ),
        ([FIRST, DISK | {"node": "x"}], "line 2: node x is not in the first line"),
        ([FIRST, DISK | {"messages": None}], "line 2: it has messages, or sha256 and last"),
        ([FIRST, DISK, DISK], f"line 3: a second disk of {M} in snapshot 'end'"),
        (
            [FIRST, {"op": "fault", "at": 1, "what": "kill", "node": "x"}],
            "line 2: node x is not in the first line",
        ),
    ],
)
def test_the_line_is_named_with_a_reason(lines: list[str | dict[str, object]], reason: str) -> None:
    assert refusal(*lines).startswith(reason)


def test_a_message_that_is_no_strict_json_is_refused() -> None:
    assert refusal(FIRST, json.dumps(APPEND | {"messages": ["\ud800"]})).startswith("line 2: ")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(HistoryError, match="line 2: "):
        judge([FIRST.encode(), b'{"op":"append","client":"\xff"}'])


def test_retries_may_share_their_messages_and_others_may_not() -> None:
    made = Made()
    made.unknown("a", key="k")
    made.append("a", id=1, key="k")
    made.judge()
    made.unknown("a", key="another")
    with pytest.raises(HistoryError, match="line 4: 'a' was appended on line 2 too"):
        made.judge()
