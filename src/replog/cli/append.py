"""`replog append`: one entry from the command line, or one for each line of standard input.

SHELL.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from replog.cli.options import DEFAULT_URL, JsonOption, UrlOption
from replog.cli.output import (
    CommandError,
    ExitCode,
    InDoubtError,
    count,
    duration,
    fail,
    note,
    style_of,
)
from replog.cli.waiting import explained, listed, rows_of

if TYPE_CHECKING:
    from replog.cli.http_client import Appended, NodeClient

PROGRESS_INTERVAL_S = 0.2
EXPLAIN_TIMEOUT_S_MIN = 5.0


def append(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="the message, or - for a message a line of stdin")
    ],
    concern: Annotated[
        str | None,
        typer.Option(
            "-w",
            "--write-concern",
            metavar="W",
            help="nodes that must hold it before the answer: 1, 2 …, majority, all",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0, help="stop waiting then; the entry stays stored"
        ),
    ] = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Append an entry to the log and wait until enough nodes hold it.

    \b
    replog append "order 17 paid"                 waits for all nodes (or what the node says)
    replog append "order 17 paid" -w majority     waits for a majority of them
    replog append x -w all --timeout 1            exit code 4 where it is stored, not yet on all
    seq 1000 | replog append -                    a line is an entry; -- before a TEXT with dashes

    Piped, it prints the id alone. When it has waited for a second it says for which nodes.
    Where no answer came (Ctrl-C, a connection that broke off) it says what may be stored and
    how to see it: look before you append it again.
    """
    from replog.cli.http_client import NodeClient

    wanted = Wanted(parse_concern(concern), timeout, as_json=as_json)
    with NodeClient(url) as node:
        if text == "-":
            LineByLine(node, wanted).run(sys.stdin.buffer)
        else:
            _append_one(node, text, wanted)


@dataclass(frozen=True, slots=True)
class Wanted:
    concern: int | str | None
    timeout: float | None
    as_json: bool

    @property
    def may_wait_long(self) -> bool:
        """For other nodes, and beyond what the answer after a short timeout explains anyway."""
        is_soon = self.timeout is not None and self.timeout < EXPLAIN_TIMEOUT_S_MIN
        return self.concern != 1 and not is_soon


def parse_concern(text: str | None) -> int | str | None:
    if text is None or text in {"majority", "all"}:
        return text
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        fail(f'-w: got "{text}", expected 1, 2 …, majority or all', ExitCode.USAGE)
    return int(text)


def _append_one(node: NodeClient, text: str, wanted: Wanted) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        fail("TEXT is not UTF-8: a log holds text", ExitCode.USAGE)
    started = time.monotonic()
    try:
        with explained(node.url) if wanted.may_wait_long else nullcontext():
            answer = node.append(text, concern=wanted.concern, timeout=wanted.timeout)
    except KeyboardInterrupt:  # P3: it has left, and nobody takes it back
        note(f"stopped: the entry was under way and may be stored; {_how_to_see(node)}")
        raise
    except InDoubtError as error:
        raise CommandError(f"{error}; {_how_to_see(node)}", error.code) from error
    took = time.monotonic() - started
    if wanted.as_json:
        print(answer.body.decode(), flush=True)
    elif not sys.stdout.isatty():
        print(answer.id, flush=True)
    elif not answer.is_pending:
        sign = style_of(sys.stdout).green("✓")
        print(f"{sign} {answer.id}   {_nodes(answer)}   {duration(took)}")
    if answer.is_pending:
        note(_explain_pending(node, answer))
        raise typer.Exit(ExitCode.WRITE_CONCERN_NOT_MET)


def _how_to_see(node: NodeClient, *, after: int = 0) -> str:
    """Return the way to learn of an entry without an answer.

    Args:
        after: the last id that is known to stand before the entry; 0 for none.
    """
    first = f" --from {after + 1}" if after else ""
    return f"look before you append it again:\n  replog get{first} --url {node.url}"


def _nodes(answer: Appended) -> str:
    if answer.nodes is None:
        return f"on {count(answer.acks_count, 'node')}"
    return f"on {answer.acks_count} of {count(answer.nodes, 'node')}"


def _explain_pending(node: NodeClient, answer: Appended) -> str:
    """Say who does not hold the entry yet, and in which state they are."""
    sign = style_of(sys.stderr).yellow("…")
    try:
        rows = rows_of(node.health())
    except CommandError:
        rows = []
    held = answer.acks_count
    missing = [row for row in rows if row.get("url") not in answer.acks]
    nodes = f"{held} of {1 + len(rows)} nodes" if rows else count(held, "node")
    where = f", not yet on {listed(missing)}" if missing else ""
    return f"{sign} {answer.id} is stored on {nodes}{where}. It will get there by itself."


class LineByLine:
    """Appends the lines of a stream in their order, one request after the other.

    One connection and no pipelining: the next line goes out when the last one is answered,
    so the entries stand in the log as the lines stand in the file, and where it breaks off
    exactly one line can be in doubt.
    """

    def __init__(self, node: NodeClient, wanted: Wanted) -> None:
        self._node = node
        self._wanted = wanted
        self._started = self._shown = time.monotonic()
        self._lines = 0
        self._pending = 0
        self._first_id = self._last_id = 0
        self._is_under_way = False

    def run(self, stream: BinaryIO) -> None:
        try:
            for line in stream:
                self._append(line)
        except KeyboardInterrupt:
            self._end_progress()
            note(f"stopped: {self._stored_so_far()}")
            raise
        except CommandError as error:
            self._is_under_way = isinstance(error, InDoubtError)
            self._end_progress()
            raise CommandError(
                f"line {self._lines + 1}: {error}\n  {self._stored_so_far()}", error.code
            ) from error
        self._end_progress()
        self._summary()

    def _append(self, line: bytes) -> None:
        try:
            text = line.removesuffix(b"\n").decode()
        except UnicodeDecodeError as error:
            fail(f"is not UTF-8 at its byte {error.start}: nothing was sent", ExitCode.USAGE)
        self._is_under_way = True
        answer = self._node.append(text, concern=self._wanted.concern, timeout=self._wanted.timeout)
        self._is_under_way = False
        self._lines += 1
        self._pending += answer.is_pending
        self._first_id = self._first_id or answer.id
        self._last_id = answer.id
        if self._wanted.as_json:
            print(answer.body.decode(), flush=True)
        elif not sys.stdout.isatty():
            print(answer.id, flush=True)
        self._progress()

    def _progress(self) -> None:
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown >= PROGRESS_INTERVAL_S:
            self._shown = now
            rate = self._lines / (now - self._started)
            text = f"\r  {count(self._lines, 'line')}   id {self._last_id}   {rate:,.0f}/s\x1b[K"
            print(text, end="", file=sys.stderr, flush=True)

    def _end_progress(self) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _stored_so_far(self) -> str:
        known = "no line was stored before it"
        if self._lines:
            known = f"stored last: line {self._lines}, as id {self._last_id}"
        if not self._is_under_way:
            return known
        doubt = f"line {self._lines + 1} was under way and may be stored"
        return f"{known}; {doubt}: {_how_to_see(self._node, after=self._last_id)}"

    def _summary(self) -> None:
        took = duration(time.monotonic() - self._started)
        if self._pending:
            sign = style_of(sys.stderr).yellow("…")
            verb = "is" if self._pending == 1 else "are"
            note(
                f"{sign} {count(self._lines, 'line')} stored up to id {self._last_id}; "
                f"{self._pending} of them {verb} not yet on all nodes asked for. "
                "They will get there by themselves."
            )
            raise typer.Exit(ExitCode.WRITE_CONCERN_NOT_MET)
        if sys.stdout.isatty() and not self._wanted.as_json and self._lines:
            sign = style_of(sys.stdout).green("✓")
            print(
                f"{sign} {self._first_id}…{self._last_id}   {count(self._lines, 'line')}   {took}"
            )
