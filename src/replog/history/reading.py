"""Reads the lines of a history, and refuses what is none.

PURE. What can be said of a line without knowing the log is checked here, so that the judge
need not doubt it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError(f"line {len(lines) + 1}: {_reason(data, error)}") from None
    if not lines:
        raise HistoryError('the history is empty: its first line is {"op":"nodes", …}')
    known: frozenset[str] = frozenset()
    for number, line in enumerate(lines, 1):
        fault = _fault_of(line, known) if number > 1 else _fault_of_first(line)
        if fault is not None:
            raise HistoryError(f"line {number}: {fault}")
        if type(line) is Nodes:
            known = frozenset(line.nodes)
    return History(lines)


def _reason(data: bytes, error: Exception) -> str:
    if not data.strip():
        return "is empty; a history has one JSON object a line"
    return str(error)


def _fault_of_first(line: Line) -> str | None:
    if type(line) is not Nodes:
        return 'the first line of a history is {"op":"nodes","nodes":["URL", …]}'
    if line.format != FORMAT:
        return f"the history has format {line.format}; this version knows {FORMAT}"
    if not line.nodes or len(set(line.nodes)) != len(line.nodes):
        return "nodes are named once each, the master first"
    return None


def _fault_of(line: Line, known: frozenset[str]) -> str | None:
    """Return what is wrong with a line behind the first, or None."""
    match line:
        case Append():
            return _fault_of_append(line)
        case Read():
            return _fault_of_read(line, known)
        case Disk():
            if line.messages is None and (line.sha256 is None or line.last is None):
                return "a disk has messages, or sha256 and last"
            return _fault_of_stretch(line.node, line.last, 1, line.messages, known)
        case Fault():
            if line.node is not None and line.node not in known:
                return f"node {line.node} is not in the first line"
            return None
        case Nodes():
            return "only the first line names the nodes"


def _fault_of_append(append: Append) -> str | None:
    if not append.messages:
        return "an append has a message or more"
    if len(append.messages) > 1 and len(set(append.messages)) != len(append.messages):
        return "the messages of an append differ from each other"
    if append.w < 1:
        return f"w is 1 or more, got {append.w}"
    if append.first_id is not None and append.first_id < 1:
        return f"first_id is 1 or more, got {append.first_id}"
    if append.outcome in {"ok", "pending"} and append.first_id is None:
        return f'an append with outcome "{append.outcome}" has first_id'
    if append.returned is None:
        return None if append.outcome == "unknown" else f'"{append.outcome}" has returned'
    return _fault_of_times(append.invoked, append.returned)


def _fault_of_read(read: Read, known: frozenset[str]) -> str | None:
    if read.outcome == "ok":
        if read.returned is None:
            return '"ok" has returned'
        if read.messages is None and (read.sha256 is None or read.last is None):
            return "a read has messages, or sha256 and last"
    if read.first < 1:
        return f"first is 1 or more, got {read.first}"
    if read.returned is not None and (fault := _fault_of_times(read.invoked, read.returned)):
        return fault
    return _fault_of_stretch(read.node, read.last, read.first, read.messages, known)


def _fault_of_stretch(
    node: str, last: int | None, first: int, messages: Sequence[str] | None, known: frozenset[str]
) -> str | None:
    if node not in known:
        return f"node {node} is not in the first line"
    if last is not None and last < first - 1:
        return f"last is {first - 1} or more, got {last}"
    if last is not None and messages is not None and last != first - 1 + len(messages):
        return f"last is {last}, and the messages end at {first - 1 + len(messages)}"
    return None


def _fault_of_times(invoked: float, returned: float) -> str | None:
    return f"returned at {returned}, before {invoked}" if returned < invoked else None
