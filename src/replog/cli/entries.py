"""Entries on their way from a node to stdout, as they arrive: read to the end, or followed.

NETWORK. Flows of `replog.client` with a printer at their end; memory holds a chunk of an answer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec

from replog.cli.node import AskedNode
from replog.cli.options import Format, at_url
from replog.cli.output import CommandError, ExitCode, require_reader
from replog.client import Entry
from replog.client.ops import (
    Answer,
    Chunk,
    Emit,
    Failed,
    Flow,
    Open,
    Opened,
    Outcome,
    Pause,
    Request,
    Shut,
    Steps,
    more,
    open_stream,
)
from replog.client.wire import NDJSON, Lines, path_of
from replog.core.text import printable

SILENCE_S = 60.0


class Printer:
    """Writes entries in one format, and everything of a chunk before it returns.

    Args:
        limit: how many entries to write; `is_full` then.
    """

    def __init__(self, form: Format, *, limit: int | None = None) -> None:
        self._form = form
        self._left = limit
        self._encode = msgspec.json.Encoder().encode
        self.last_id = 0
        self.written = 0

    def __enter__(self) -> Self:
        if self._form is Format.JSON:
            sys.stdout.write("[")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """An array that broke off stays open: what reads it must not take it for whole."""
        if self._form is Format.JSON and kind is None:
            sys.stdout.write("]\n")
            sys.stdout.flush()

    @property
    def is_full(self) -> bool:
        return self._left == 0

    def write(self, entries: list[Entry]) -> None:
        entries = entries[: self._left]
        if not entries:
            return
        sys.stdout.write(self._text(entries))
        sys.stdout.flush()
        self.last_id = entries[-1].id
        self.written += len(entries)
        if self._left is not None:
            self._left -= len(entries)

    def _text(self, entries: list[Entry]) -> str:
        match self._form:
            case Format.TABLE:
                return "".join(f"{one.id}\t{printable(one.message)}\n" for one in entries)
            case Format.RAW:
                return "".join(f"{one.message}\n" for one in entries)
            case Format.JSONL:
                return b"".join(self._encode(one) + b"\n" for one in entries).decode()
            case Format.JSON:
                objects = b",".join(map(self._encode, entries)).decode()
                return f",{objects}" if self.written else objects


@dataclass(frozen=True, slots=True)
class EntriesWanted:
    """Which entries; None is not asked for."""

    first: int | None = None
    limit: int | None = None
    last: int | None = None
    since: str | None = None

    def request(self) -> Request:
        query = {"from": self.first, "limit": self.limit, "last": self.last, "since": self.since}
        return Request("GET", path_of("/logs", query), (("Accept", NDJSON),))

    def behind(self, last_id: int, *, written: int) -> EntriesWanted:
        """Return what is left when so many came, up to `last_id`."""
        given = [limit for limit in (self.limit, self.last) if limit is not None]
        return EntriesWanted(first=last_id + 1, limit=min(given) - written if given else None)


def read(node: AskedNode, wanted: EntriesWanted, printer: Printer) -> None:
    """Print what is committed, in one answer where it does not break off.

    Raises:
        CommandError: refused, or broken off; it names where to go on.
    """
    left = wanted
    while True:
        before = printer.written
        failed = node.run(_read_once(node, left, printer))
        if failed is None:
            return
        # A node may close what a slow reader leaves lying: go on as long as something comes.
        if printer.written == before:
            raise _broken_off(node, failed, printer)
        left = wanted.behind(printer.last_id, written=printer.written)
        if left.limit == 0:
            return


def _broken_off(node: AskedNode, failed: Answer | Failed, printer: Printer) -> CommandError:
    error = node.refused(failed, doubt="the answer is not whole")
    if not printer.written:
        return CommandError(str(error), error.code)
    go_on = f"replog get --from {printer.last_id + 1}{at_url(node.url)}"
    text = f"the answer broke off behind entry {printer.last_id}, and then: {error}\n  {go_on}"
    return CommandError(text, ExitCode.NO_NODE_REACHABLE)


def _read_once(
    node: AskedNode, wanted: EntriesWanted, printer: Printer
) -> Flow[Answer | Failed | None]:
    """Return None at the end of a whole answer."""
    opened = yield from open_stream(Open(node.url, wanted.request(), SILENCE_S))
    if not isinstance(opened, Opened):
        return opened
    lines = Lines()
    while True:
        chunk = yield from more()
        if isinstance(chunk, Failed):
            yield Shut()
            return chunk
        if not chunk.data:
            printer.write(lines.feed(b"\n"))  # a last line without its end, from something else
            return None
        printer.write(lines.feed(chunk.data))


def follow(node: AskedNode, steps: Steps, printer: Printer, *, on_lost: Callable[[], None]) -> None:
    """Print what an endless iteration emits, until the printer is full.

    Args:
        on_lost: called once when the stream broke off, and again only after entries came.
    """
    node.run(_following(steps, printer, on_lost))


def _following(steps: Steps, printer: Printer, on_lost: Callable[[], None]) -> Flow[None]:
    outcome: Outcome = None
    is_lost = False
    while not printer.is_full:
        wanted = steps.send(outcome)
        if isinstance(wanted, Emit):
            outcome = None
            is_lost = False
            printer.write(wanted.entries)
            continue
        if isinstance(wanted, Pause) and not is_lost:
            is_lost = True
            on_lost()
        outcome = yield wanted
        if isinstance(outcome, Chunk):  # signs of life come while nothing is printed
            require_reader()
