"""`replog top`: the nodes, their lag and how fast they grow, live.

SHELL.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from replog.cli.options import (
    DEFAULT_URL,
    Format,
    JsonOption,
    OutputOption,
    UrlOption,
    chosen,
)
from replog.cli.output import CommandError, aligned, note, print_table
from replog.cli.status import NUMBERS, Members, remarks, table

if TYPE_CHECKING:
    from replog.cli.node import AskedNode

RATE = "ENTRIES/S"
URL_COLUMN, LAST_COLUMN = 0, 4


def top(
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.1, help="between two looks")
    ] = 1.0,
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the nodes, how far behind they are and how fast they grow, until Ctrl-C.

    \b
    replog top                                    every second
    replog top --interval 5                       every five
    replog top | cat                              not on a terminal: one look, after an interval
    replog top --json                             what GET /health answers, an object a look
    """
    form = chosen(output, as_json=as_json)
    from replog.cli.node import AskedNode

    with AskedNode(url) as node:
        watch = _Watch(node)
        if form.is_json:
            _print_json(watch, interval, is_endless=form is Format.JSONL and sys.stdout.isatty())
        elif form is Format.TABLE and sys.stdout.isatty():
            _live(watch, interval)
        else:
            _print_once(watch, interval, form)


class _Watch:
    """Looks at a cluster again and again, and knows what it saw before.

    Attributes:
        health: what the asked node said last.
    """

    def __init__(self, node: AskedNode) -> None:
        self._node = node
        self._seen: dict[str, tuple[float, int]] = {}
        self.health: Members = {}

    def look(self) -> tuple[tuple[str, ...], list[list[str]]]:
        """Return the table of `replog status` with a rate in each row.

        Raises:
            CommandError: the node does not answer.
        """
        self.health = self._node.health()
        header, rows = table(self._node.url, self.health)
        now = time.monotonic()
        return (*header, RATE), [[*row, self._rate(row, now)] for row in rows]

    def _rate(self, row: list[str], now: float) -> str:
        url, last = row[URL_COLUMN], row[LAST_COLUMN]
        if not last.isdigit():
            self._seen.pop(url, None)
            return "-"
        before = self._seen.get(url)
        self._seen[url] = now, int(last)
        if before is None or now <= before[0]:
            return "-"
        return f"{max(0.0, (int(last) - before[1]) / (now - before[0])):,.0f}"


def _print_once(watch: _Watch, interval: float, form: Format) -> None:
    watch.look()
    time.sleep(interval)
    header, rows = watch.look()
    print_table(header, rows, numbers=NUMBERS | {RATE}, has_header=form is not Format.RAW)
    for line in remarks(watch.health):
        note(line)


def _print_json(watch: _Watch, interval: float, *, is_endless: bool) -> None:
    while True:
        watch.look()
        print(json.dumps(watch.health, ensure_ascii=False), flush=True)
        if not is_endless:
            return
        time.sleep(interval)


def _live(watch: _Watch, interval: float) -> None:
    """Show it again and again; a node that is away is shown as such, and looked for."""
    lines = _screen(watch)  # a node that is not there at all is an error, as everywhere
    with _other_screen():
        while True:
            size = shutil.get_terminal_size()
            shown = [line[: size.columns - 1] for line in lines][: size.lines - 1]
            sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in shown) + "\x1b[J")
            sys.stdout.flush()
            time.sleep(interval)
            try:
                lines = _screen(watch)
            except CommandError as error:
                lines = [f"  {error}"]


def _screen(watch: _Watch) -> list[str]:
    header, rows = watch.look()
    clock = time.strftime("%H:%M:%S")
    return [
        f"  replog top   {clock}   Ctrl-C ends it",
        "",
        *aligned([header, *rows], NUMBERS | {RATE}),
        "",
        *(f"  {line}" for line in remarks(watch.health)),
    ]


@contextmanager
def _other_screen() -> Iterator[None]:
    """Use the screen that full-screen programs use, so that the shell's stays as it was."""
    sys.stdout.write("\x1b[?1049h\x1b[?25l")
    try:
        yield
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
