"""What every command prints alike: exit codes, tables, notes, numbers for people.

SHELL. Data goes to stdout, notes go to stderr. Tables and signs are for terminals; piped
output is plain, one record a line, fields separated by tabs.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn, TextIO


class ExitCode(IntEnum):
    """What a script can tell from the end of a command."""

    OK = 0
    ENVIRONMENT = 1
    """A port, a disk, the configuration, or the node itself could not do it."""
    USAGE = 2
    NOT_FOUND = 3
    WRITE_CONCERN_NOT_MET = 4
    """The entry is stored, and will get there by itself."""
    NO_NODE_REACHABLE = 5
    PRECONDITION_FAILED = 6
    VERIFICATION_FAILED = 7
    INTERRUPTED = 130
    """A client command was stopped by Ctrl-C: 128 and the signal's number, as shells do."""


class CommandError(Exception):
    """Ends a command: one line on stderr, and the exit code."""

    def __init__(self, text: str, code: ExitCode) -> None:
        super().__init__(text)
        self.code = code


class InDoubtError(CommandError):
    """No answer says what became of an append: its entry may be stored (P3)."""


@dataclass(frozen=True, slots=True)
class Style:
    """Colours of one stream; every method returns its text unchanged where there are none."""

    is_coloured: bool

    def green(self, text: str) -> str:
        return self._paint("32", text)

    def yellow(self, text: str) -> str:
        return self._paint("33", text)

    def red(self, text: str) -> str:
        return self._paint("31", text)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.is_coloured else text


def style_of(stream: TextIO, environment: Mapping[str, str] = os.environ) -> Style:
    return Style(stream.isatty() and not environment.get("NO_COLOR"))


def note(text: str) -> None:
    """Say something beside the data."""
    print(text, file=sys.stderr, flush=True)


def require_reader() -> None:
    """Find out that nobody reads stdout any more, without writing to it.

    Raises:
        BrokenPipeError: it is a pipe whose other end is closed.
    """
    try:
        waiting = select.poll()
        waiting.register(sys.stdout.fileno(), 0)  # 0: errors alone, which are always told
    except (OSError, AttributeError):
        return  # no descriptor, as in tests, or a system without poll
    if any(event & select.POLLERR for _, event in waiting.poll(0)):
        raise BrokenPipeError


def fail(text: str, code: ExitCode) -> NoReturn:
    raise CommandError(text, code)


def print_table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: frozenset[str] = frozenset(),
    has_header: bool = True,
) -> None:
    """Print aligned columns to a terminal, tab-separated lines to a pipe.

    Args:
        numbers: the headers whose columns are aligned to the right.
        has_header: without one the lines are tab-separated on a terminal too.
    """
    lines = [list(header), *(list(row) for row in rows)]
    if has_header and sys.stdout.isatty():
        print("\n".join(aligned(lines, numbers)))
        return
    for line in lines if has_header else lines[1:]:
        print("\t".join(line))


def aligned(lines: Sequence[Sequence[str]], numbers: frozenset[str]) -> list[str]:
    """Return the lines of a table, the header first, with columns of one width."""
    header = lines[0]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    made = []
    for line in lines:
        cells = [
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for name, cell, width in zip(header, line, widths, strict=True)
        ]
        made.append(("  " + "  ".join(cells)).rstrip())
    return made


def own_command() -> str:
    """Return what to type for this command, in any shell that stands in this directory.

    A clone's own `.venv/bin/replog` may be on the PATH of this shell and of no other one.
    """
    called = os.path.abspath(sys.argv[0])
    if os.path.basename(called) != "replog":
        return "replog"
    here = os.getcwd() + os.sep
    if called.startswith(here):
        return called.removeprefix(here)
    return "replog" if shutil.which("replog") is not None else called


def duration(seconds: float | None) -> str:
    """Return seconds as people read them: `40 ms`, `2.1 s`, `3 min`, `-` for unknown."""
    if seconds is None:
        return "-"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"


def count(number: int, noun: str) -> str:
    """Return `1 entry`, `12 entries`: the nouns of this command line take -s or -ies."""
    if number == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {plural}"
