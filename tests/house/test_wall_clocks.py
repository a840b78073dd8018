"""Nothing is decided by wall clocks: who looks at one writes a time down, and does no more.

DISK. The list only shrinks, or its reason is argued in a review.
"""

from __future__ import annotations

import ast
from pathlib import Path

from tests.house.source import dotted_name, source_modules, tree_of

WALL_CLOCKS = {
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "strftime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "utils": {"formatdate", "localtime"},  # of email
    "uuid": {"uuid1"},
}
"""Functions, by what stands before their dot."""
TIMES_OF_FILES = {"st_mtime", "st_ctime", "st_atime", "st_mtime_ns", "getmtime", "getctime"}

MAY_LOOK = {
    "replog.node.writer": "`time` of a batch's trailer: never before the batch before it, whatever "
    "the clock says, and nobody decides by it",
    "replog.node.receipts": "since when a node holds an entry, for people: made of ticks",
    "replog.observability": "the time of a line of the node's own log",
    "replog.cli.top": "the time in the head of the screen",
}


def looks(path: Path) -> list[str]:
    """Return the places where a module reads a wall clock."""
    found: list[str] = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute):
            before = ast.unparse(node.value).rpartition(".")[2]
            is_clock = node.attr in WALL_CLOCKS.get(before, ())
            if is_clock or node.attr in TIMES_OF_FILES or node.attr == "CLOCK_REALTIME":
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            names = {alias.name for alias in node.names} & WALL_CLOCKS["time"]
            found += [f"line {node.lineno}: from time import {name}" for name in sorted(names)]
    return found


def test_a_module_that_reads_a_wall_clock_only_writes_the_time_down() -> None:
    found = {dotted_name(path): places for path in source_modules() if (places := looks(path))}
    decides = {name: places for name, places in found.items() if name not in MAY_LOOK}
    assert decides == {}, "use the loop's or the monotonic clock, or ticks (R11)"
    assert MAY_LOOK.keys() <= found.keys(), "take what reads none any more off the list"


def test_a_look_at_a_wall_clock_is_seen(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "import time, datetime, os\n"
        "from time import time_ns\n"
        "deadline = time.time() + 5\n"
        "now = datetime.datetime.now(datetime.UTC)\n"
        "age = now - os.stat('x').st_mtime\n"
        "fine = time.monotonic() + os.times().elapsed\n"
    )
    assert [place.partition(":")[0] for place in sorted(looks(module))] == [
        "line 2", "line 3", "line 4", "line 5",
    ]  # fmt: skip
