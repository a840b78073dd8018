"""Which calls of which thread of which node are tried: all that a run makes, up to the last.

SHELL. The numbers are those of runs without a fault, and some more: how often the event loop writes
itself, and how often a mark is noted, is a matter of time. The last number of a column must not
be reached, and its case says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from proving.harness import Counts
from proving.harnesses.syscalls.held import Thread
from proving.harnesses.syscalls.nodes import (
    EIO,
    KILL,
    NOTHING_WRITTEN,
    Column,
    place,
    run_column,
)
from proving.harnesses.syscalls.scripts import SCRIPTS

_MAIN: Mapping[str, Sequence[int]] = {
    "fdatasync": (5, 5, 4, 4, 4, 3, 6, 6),
    "fsync": (7, 7, 5, 5, 6, 5, 7, 7),
    "pwrite64": (24, 18, 24, 16, 20, 18, 26, 22),
    "rename": (5, 5, 2, 2, 3, 2, 2, 2),
    "ftruncate": (1, 1, 2, 2, 2, 2, 3, 3),
}
"""By script, in the order of `SCRIPTS`."""

_WRITER: Mapping[str, Sequence[int]] = {
    "fdatasync": (22, 22, 24, 28, 22, 26, 22, 26),
    "fsync": (10, 10, 9, 15, 14, 16, 9, 10),
    "pwrite64": (22, 22, 22, 28, 20, 28, 20, 26),
    "rename": (5, 5, 4, 4, 6, 5, 4, 4),
    "unlink": (1, 1, 1, 3, 2, 3, 1, 1),
    "ftruncate": (1, 1, 1, 3, 3, 2, 1, 1),
}


def _columns(answer: str, calls: Sequence[str]) -> list[Column]:
    threads: Sequence[tuple[Thread, Mapping[str, Sequence[int]]]]
    threads = (("main", _MAIN), ("writer", _WRITER))
    return [
        Column(script, thread, call, answer, most[call][at])
        for at, script in enumerate(SCRIPTS)
        for thread, most in threads
        for call in calls
        if call in most
    ]


CALLS = ("fdatasync", "fsync", "pwrite64", "rename", "unlink", "ftruncate")
FAILING: Sequence[Column] = (*_columns(EIO, CALLS), *_columns(NOTHING_WRITTEN, ["pwrite64"]))
KILLING: Sequence[Column] = _columns(KILL, CALLS)


def run_failing(case: int, directory: Path) -> Counts:
    return run_column(*place(FAILING, case), directory)


def run_killing(case: int, directory: Path) -> Counts:
    return run_column(*place(KILLING, case), directory)


def case_of(columns: Sequence[Column], script: str, thread: Thread, call: str, number: int) -> int:
    """Return the case that is the N-th such call."""
    before = 0
    for column in columns:
        if (column.script.of, column.thread, column.call) == (script, thread, call):
            return before + number - 1
        before += column.most
    raise LookupError((script, thread, call))
