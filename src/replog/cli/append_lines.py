"""`replog append -`: the lines of standard input, batch by batch, in their order.

SHELL.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

import typer

from replog.cli.append_call import Appended, AppendWanted, BatchAppender, how_to_see
from replog.cli.node import AskedNode, RefusedByNodeError
from replog.cli.options import Format
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
from replog.cli.progress import ProgressLine

BATCH_LINES_MAX = 1000
BATCH_BYTES_MAX = 1 << 20
LINE_BYTES_MAX = 16 << 20
"""More than a node takes in any configuration worth having: input without line ends."""

BAR_WIDTH = 24

Batch: TypeAlias = list[bytes]


def append_lines(node: AskedNode, wanted: AppendWanted, form: Format) -> None:
    """Append the lines of this process's standard input."""
    _Appending(node, wanted, form).run(Input(sys.stdin.buffer))


class Input:
    """A stream of lines, cut into batches of what is there: it never waits to fill one."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._rest = b""
        self._is_over = False
        self.read_bytes = 0
        try:
            self._descriptor: int | None = stream.fileno()
        except OSError:
            self._descriptor = None

    @property
    def size(self) -> int | None:
        """Of a file; None where nobody knows how much there will be."""
        if self._descriptor is None:
            return None
        status = os.fstat(self._descriptor)
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def batches(self) -> Iterator[Batch]:
        """Yield lines without their line ends; the last one needs none."""
        lines: Batch = []
        size = 0
        for line in self._lines():
            if line is not None:
                lines.append(line)
                size += len(line)
                if len(lines) < BATCH_LINES_MAX and size < BATCH_BYTES_MAX:
                    continue
            if lines:
                yield lines
            lines, size = [], 0
        if lines:
            yield lines

    def _lines(self) -> Iterator[bytes | None]:
        """Yield lines; None before it would have to wait for the next one."""
        while not self._is_over:
            if not self._is_more_there():
                yield None
            whole = self._read()
            if whole is not None:
                yield from whole.split(b"\n")
        if self._rest:
            yield self._rest

    def _read(self) -> bytes | None:
        """Return what came of whole lines, without the last line end; None: no line ended."""
        data = self._stream.read1(BATCH_BYTES_MAX)  # type: ignore[attr-defined]  # of buffers
        assert isinstance(data, bytes)
        self._is_over = not data
        self.read_bytes += len(data)
        head, newline, tail = data.rpartition(b"\n")
        if not newline:
            self._rest += tail
            if len(self._rest) > LINE_BYTES_MAX:
                fail(f"is longer than {LINE_BYTES_MAX:,} bytes: nothing was sent", ExitCode.USAGE)
            return None
        whole, self._rest = self._rest + head, tail
        return whole

    def _is_more_there(self) -> bool:
        if self._descriptor is None:
            return True
        return bool(select.select([self._descriptor], [], [], 0)[0])


class _Appending:
    """Appends batches in their order, one request after the other.

    No pipelining: the next batch goes out when the last one is answered, so the entries stand
    in the log as the lines stand in the file, and where it breaks off exactly one batch can be
    in doubt.
    """

    def __init__(self, node: AskedNode, wanted: AppendWanted, form: Format) -> None:
        self._node = node
        self._form = form
        self._batches = BatchAppender(node, wanted, self._lost)
        self._progress = ProgressLine()
        self._started = time.monotonic()
        self._lines = 0
        self._pending = 0
        self._first_id = self._last_id = 0
        self._under_way = 0

    def run(self, given: Input) -> None:
        try:
            for batch in given.batches():
                self._append(batch)
                self._progress.show(lambda: self._so_far(given))
        except KeyboardInterrupt:
            self._progress.end()
            note(f"stopped: {self._stored_so_far()}")
            raise
        except CommandError as error:
            if not isinstance(error, InDoubtError):
                where = _span(*self._refused_lines(error))
                self._under_way = 0
            else:
                where = _span(self._lines + 1, self._under_way)
            self._progress.end()
            text = f"{where}: {error}\n  {self._stored_so_far()}"
            raise CommandError(text, error.code) from error
        self._progress.end()
        self._summary()

    def _append(self, batch: Batch) -> None:
        messages: list[str] = []
        error: UnicodeDecodeError | None = None
        for line in batch:
            try:
                messages.append(line.decode())
            except UnicodeDecodeError as found:
                error = found
                break
        if messages:
            self._under_way = len(messages)
            answer = self._batches.append(messages)
            self._under_way = 0
            self._note(answer)
        if error is not None:
            fail(f"is not UTF-8 at its byte {error.start}: nothing was sent", ExitCode.USAGE)

    def _note(self, answer: Appended) -> None:
        size = answer.last - answer.first + 1
        self._lines += size
        self._pending += size if answer.is_pending else 0
        self._first_id = self._first_id or answer.first
        self._last_id = answer.last
        if self._form.is_json:
            print(answer.body.decode(), flush=True)
        elif self._form is Format.RAW or not sys.stdout.isatty():
            print("\n".join(map(str, range(answer.first, answer.last + 1))), flush=True)

    def _so_far(self, given: Input) -> str:
        rate = self._lines / (time.monotonic() - self._started)
        return f"{bar(given)}{count(self._lines, 'line')}   id {self._last_id}   {rate:,.0f}/s"

    def _lost(self, reason: str) -> None:
        self._progress.end()
        sign = style_of(sys.stderr).yellow("…")
        where = _span(self._lines + 1, self._under_way)
        note(f"{sign} {where}: {reason}; sending again, with the same key: it is stored once")

    def _refused_lines(self, error: CommandError) -> tuple[int, int]:
        """Return the first line that an error is about, and how many it is about."""
        if isinstance(error, RefusedByNodeError) and error.line is not None:
            return self._lines + error.line, 1
        return self._lines + 1, max(1, self._under_way)

    def _stored_so_far(self) -> str:
        known = "no line was stored before it"
        if self._lines:
            known = f"stored last: line {self._lines}, as id {self._last_id}"
        if not self._under_way:
            return known
        verb = "was" if self._under_way == 1 else "were"
        doubt = f"{_span(self._lines + 1, self._under_way)} {verb} under way and may be stored"
        return f"{known}; {doubt}: {how_to_see(self._node, after=self._last_id)}"

    def _summary(self) -> None:
        took_s = time.monotonic() - self._started
        if self._pending:
            sign = style_of(sys.stderr).yellow("…")
            verb = "is" if self._pending == 1 else "are"
            note(
                f"{sign} {count(self._lines, 'line')} stored up to id {self._last_id}; "
                f"{self._pending} of them {verb} not yet on all nodes asked for. "
                "They will get there by themselves."
            )
            raise typer.Exit(ExitCode.WRITE_CONCERN_NOT_MET)
        if sys.stdout.isatty() and self._form is Format.TABLE and self._lines:
            sign = style_of(sys.stdout).green("✓")
            ids, lines = f"{self._first_id}…{self._last_id}", count(self._lines, "line")
            print(f"{sign} {ids}   {lines}   {duration(took_s)}")


def _span(first: int, size: int) -> str:
    return f"line {first}" if size == 1 else f"lines {first} to {first + size - 1}"


def bar(given: Input) -> str:
    """Return how far a file is read; nothing where nobody knows the end."""
    size = given.size
    if not size:
        return ""
    part = min(1.0, given.read_bytes / size)
    return f"{'━' * round(part * BAR_WIDTH):<{BAR_WIDTH}} {part:4.0%}   "
