"""Reads the lines of a history, and refuses what is none.

PURE. What can be said of a line without knowing the log is checked here, so that the judge
need not doubt it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import msgspec

from replog.core.errors import ReplogError
from replog.history.lines import FORMAT, Append, Disk, Fault, Line, Nodes, Read


class HistoryError(ReplogError):
    """A line that is no line of a history; its text says which, and why."""


class History:
    """The lines of one history, told apart.

    Attributes:
        nodes: the URLs of all nodes, the master's first.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        first = lines[0]
        assert isinstance(first, Nodes), first
        self.nodes = first.nodes
        self.appends = [line for line in lines if type(line) is Append]
        self.reads = [line for line in lines if type(line) is Read]
        self.faults = [line for line in lines if type(line) is Fault]
        self.disks = [line for line in lines if type(line) is Disk]

    def number(self, line: Line) -> int:
        """Return the number of a line in the file, from 1."""
        return self._numbers[id(line)]

    @cached_property
    def _numbers(self) -> dict[int, int]:
        return {id(line): number for number, line in enumerate(self._lines, 1)}


def read_history(source: Iterable[bytes]) -> History:
    """Return the history in the lines of a file, with or without their line ends.

    Raises:
        HistoryError: a line is malformed, or contradicts itself or the first one.
    """
    decode = msgspec.json.Decoder(Line).decode
    lines: list[Line] = []
    data = b""
    try:
        for data in source:
            lines.append(decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error) if data.strip() else "is empty; a history has one JSON object a line"
        raise HistoryError(f"line {len(lines) + 1}: {reason}") from None
    fault = _fault_of_first(lines[0]) if lines else "is missing; it names the nodes"
    if fault is not None:
        raise HistoryError(f"line 1: {fault}")
    history = History(lines)
    for line, fault in _faults(history, lines):
        raise HistoryError(f"line {history.number(line)}: {fault}")
    return history


def _fault_of_first(line: Line) -> str | None:
    if type(line) is not Nodes:
        return 'a history begins with {"op":"nodes","format":1,"nodes":["URL", …]}'
    if line.format != FORMAT:
        return f"the history has format {line.format}; this version knows {FORMAT}"
    if not line.nodes or len(set(line.nodes)) != len(line.nodes):
        return "nodes are named once each, the master first"
    return None


def _faults(history: History, lines: Sequence[Line]) -> Iterator[tuple[Line, str]]:
    """Yield lines that contradict themselves or the first one, and why."""
    known = frozenset(history.nodes)
    for append in history.appends:
        returned = append.returned
        if append.outcome in {"ok", "pending"} and append.first_id is None:
            yield append, f'an append with outcome "{append.outcome}" has first_id'
        elif returned is None and append.outcome != "unknown":
            yield append, f'an append with outcome "{append.outcome}" has returned'
        elif returned is not None and returned < append.invoked:
            yield append, f"it returned at {returned}, and was invoked at {append.invoked}"
        elif len(append.messages) > 1 and len(set(append.messages)) < len(append.messages):
            yield append, "the messages of an append differ from each other"
    for read in history.reads:
        returned = read.returned
        if read.outcome == "ok" and returned is None:
            yield read, 'a read with outcome "ok" has returned'
        elif returned is not None and returned < read.invoked:
            yield read, f"it returned at {returned}, and was invoked at {read.invoked}"
        elif (fault := _fault_of_sight(read, read.first, known)) is not None:
            yield read, fault
    for disk in history.disks:
        if (fault := _fault_of_sight(disk, 1, known)) is not None:
            yield disk, fault
    for one in history.faults:
        if one.node is not None and one.node not in known:
            yield one, f"node {one.node} is not in the first line"
    for line in lines[1:]:
        if type(line) is Nodes:
            yield line, "only the first line names the nodes"


def _fault_of_sight(sight: Disk | Read, first: int, known: frozenset[str]) -> str | None:
    last, messages = sight.last, sight.messages
    if sight.node not in known:
        return f"node {sight.node} is not in the first line"
    if messages is None:
        is_needed = isinstance(sight, Disk) or sight.outcome == "ok"
        if is_needed and (sight.sha256 is None or last is None):
            return "it has messages, or sha256 and last"
        if last is not None and last < first - 1:
            return f"last is {first - 1} or more, got {last}"
    elif sight.sha256 is not None or last not in {None, first - 1 + len(messages)}:
        return "it has messages, or sha256 and last, not both"
    return None
