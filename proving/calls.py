"""System calls, as strace writes them down.

PURE. The format is that of `strace -T -y -s LONG --absolute-timestamps=format:unix,precision:ns`,
with the number of the thread in front where several are traced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

_LINE = re.compile(r"(?:(\d+) +)?(\d+\.\d+) (.*)")
_WHOLE = re.compile(r"(\w+)\((.*)\)\s+= (.*)")
_UNFINISHED = re.compile(r"(\w+)\((.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)\)\s+= (.*)")
_RESULT = re.compile(r"(-?\d+)(?:<(.*)>)?(?: (E[A-Z]+))?.*")
_DESCRIPTOR = re.compile(r"(-?\d+)<([^>]*)>")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_TOOK = re.compile(r"(.*) <(\d+\.\d+)>")
_LEFT = re.compile(r"\+\+\+ (exited with (\d+)|killed by (\w+)).*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One system call of one thread.

    Attributes:
        thread: 0 where only one is traced.
        name: "pwrite64", "fdatasync" …
        arguments: as they stand in the trace.
        began, ended: places in the trace, in order of time; `ended` is None where the call
            never returned, since the process was killed in it.
        at_s: when it began, in seconds.
        took_s: for how long it ran; 0 where that is not told.
        result: what it returned, -1 for an error; None where it never returned.
        error: "EIO" …, None where there was none.
        path: the file of its first descriptor, or its first name; "" for none.
        target: its second name, that of a `rename`; "" for none.
        descriptor: the first one, or that which an `openat` returned; -1 for none.
        is_injected: strace answered in place of the kernel.
    """

    thread: int = 0
    name: str
    arguments: str = ""
    began: int = 0
    ended: int | None = None
    at_s: float = 0.0
    took_s: float = 0.0
    result: int | None = 0
    error: str | None = None
    path: str = ""
    target: str = ""
    descriptor: int = -1
    is_injected: bool = False

    @property
    def has_succeeded(self) -> bool:
        return self.result is not None and self.error is None

    @property
    def data(self) -> str:
        """What it wrote, each byte as one character."""
        found = _QUOTED.search(self.arguments)
        return "" if found is None else found[1].encode("latin-1").decode("unicode_escape")

    def __str__(self) -> str:
        result = "?" if self.result is None else f"{self.result} {self.error or ''}"
        return f"line {self.began}: {self.name}({self.arguments[:160]}) = {result}".rstrip()


@dataclass(frozen=True, slots=True)
class Left:
    """A traced thread ended.

    Attributes:
        status: of its process; None where a signal killed it.
    """

    at_s: float
    status: int | None


@dataclass(frozen=True, slots=True)
class Trace:
    """What strace wrote about a process, from the moment at which it attached."""

    calls: tuple[Call, ...]
    left: Left | None


def parse_trace(lines: Iterable[str]) -> Trace:
    """Return the calls in the order in which they began."""
    calls: list[Call] = []
    running: dict[tuple[int, str], int] = {}
    left: Left | None = None
    for number, line in enumerate(lines):
        parts = _LINE.fullmatch(line.rstrip("\n"))
        if parts is None:
            continue
        thread, at_s, what = int(parts[1] or 0), float(parts[2]), parts[3]
        if whole := _WHOLE.fullmatch(what):
            call = _call(whole[1], whole[2], whole[3])
            calls.append(replace(call, thread=thread, at_s=at_s, began=number, ended=number))
        elif begun := _UNFINISHED.fullmatch(what):
            running[thread, begun[1]] = len(calls)
            call = _call(begun[1], begun[2], "?")
            calls.append(replace(call, thread=thread, at_s=at_s, began=number))
        elif resumed := _RESUMED.fullmatch(what):
            place = running.pop((thread, resumed[1]))
            first = calls[place]
            call = _call(first.name, first.arguments + resumed[2], resumed[3])
            calls[place] = replace(
                call, thread=thread, at_s=first.at_s, began=first.began, ended=number
            )
        elif ended := _LEFT.fullmatch(what):
            left = Left(at_s, None if ended[2] is None else int(ended[2]))
    killed = [
        replace(call, ended=None) if call.result is None and call.ended else call for call in calls
    ]
    return Trace(tuple(killed), left)


def _call(name: str, arguments: str, result: str) -> Call:
    """Return a call, its place in the trace left open."""
    took = _TOOK.fullmatch(result)
    result = result if took is None else took[1]
    returned = _RESULT.fullmatch(result)
    value = None if returned is None else int(returned[1])
    first = _DESCRIPTOR.match(arguments)
    names = [found[1] for found in _QUOTED.finditer(arguments)]
    takes_names = name.startswith(("open", "rename", "unlink", "mkdir"))
    opened = name.startswith("open") and value is not None and value >= 0
    return Call(
        name=name,
        arguments=arguments,
        took_s=0.0 if took is None else float(took[2]),
        result=value,
        error=None if returned is None else returned[3],
        path=names[0] if takes_names and names else (first[2] if first else ""),
        target=names[1] if name.startswith("rename") and len(names) > 1 else "",
        descriptor=value if opened and value is not None else (int(first[1]) if first else -1),
        is_injected="(INJECTED" in result,
    )


def merged(traces: Sequence[Trace]) -> tuple[Call, ...]:
    """Return the calls of threads that were each traced alone, as if each took no time."""
    calls = sorted((call for trace in traces for call in trace.calls), key=lambda call: call.at_s)
    return tuple(
        replace(call, began=at, ended=None if call.ended is None else at)
        for at, call in enumerate(calls)
    )
