"""Log lines: one a record, plain or JSON, coloured only where a person looks.

SHELL.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from replog.observability import set_up_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("replog")
    before = root.handlers[:], root.level, ours.level, logging.raiseExceptions
    yield
    root.handlers[:], level, ours_level, logging.raiseExceptions = before
    root.setLevel(level)
    ours.setLevel(ours_level)
    logging.captureWarnings(capture=False)


def logged(text: str, *, to: io.StringIO, is_json: bool = False, no_color: str = "") -> str:
    set_up_logging(
        level=logging.INFO,
        is_json=is_json,
        node="master",
        url="http://a:1",
        stream=to,
        environment={"NO_COLOR": no_color},
    )
    logging.getLogger("replog.node").warning("%s", text)
    return to.getvalue()


def test_a_plain_line_has_time_level_node_and_text() -> None:
    line = logged("link to http://b:1 is up", to=io.StringIO())
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} WARNING master  link to http://b:1 is up\n", line
    ), line


def test_only_a_terminal_without_no_color_gets_colours() -> None:
    assert "\x1b[33mWARNING\x1b[0m" in logged("x", to=Terminal())
    assert "\x1b" not in logged("x", to=Terminal(), no_color="1")
    assert "\x1b" not in logged("x", to=io.StringIO())


def test_what_a_client_sent_can_neither_break_a_line_nor_steer_the_terminal() -> None:
    line = logged("a\nb\x1b[2J\u2028", to=Terminal(), no_color="1")
    assert line.endswith("a\\nb\\x1b[2J\\u2028\n")
    assert line.count("\n") == 1


def test_json_lines_are_one_object_each_with_the_same_facts() -> None:
    line = logged('a "quote"\n', to=io.StringIO(), is_json=True)
    members = json.loads(line)
    assert line.count("\n") == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", members.pop("time"))
    assert members == {
        "level": "warning",
        "node": "master",
        "url": "http://a:1",
        "logger": "replog.node",
        "message": 'a "quote"\n',
    }


def test_the_extras_of_a_record_are_members_and_take_no_others_place() -> None:
    stream = io.StringIO()
    set_up_logging(level=logging.INFO, is_json=True, node="n", url="http://a:1", stream=stream)
    extra = {"entry_id": 7, "files": ["a", "b"], "url": "http://b:1", "odd": {1}}
    logging.getLogger("replog.node").warning("cut off", extra=extra)
    members = json.loads(stream.getvalue())
    assert members.pop("time")
    assert members == {
        "level": "warning",
        "node": "n",
        "url": "http://a:1",
        "logger": "replog.node",
        "message": "cut off",
        "entry_id": 7,
        "files": ["a", "b"],
        "odd": "{1}",
    }


@pytest.mark.parametrize("is_json", [False, True])
def test_a_defect_keeps_its_traceback(is_json: bool) -> None:
    stream = io.StringIO()
    set_up_logging(level=logging.INFO, is_json=is_json, node="n", url="u", stream=stream)
    try:
        divmod(1, 0)
    except ZeroDivisionError:
        logging.getLogger("replog.node").exception("a defect")
    assert "ZeroDivisionError: " in stream.getvalue()


def test_libraries_are_heard_from_warnings_on() -> None:
    stream = io.StringIO()
    set_up_logging(level=logging.DEBUG, is_json=False, node="n", url="u", stream=stream)
    logging.getLogger("uvicorn.error").info("startup")
    logging.getLogger("replog.node").debug("an entry")
    logging.getLogger("uvicorn.error").warning("odd")
    assert [line.rpartition("  ")[2] for line in stream.getvalue().splitlines()] == [
        "an entry",
        "odd",
    ]
