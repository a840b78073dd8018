"""Makes histories by hand, a line at a time, of a master and two secondaries.

PURE.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from replog.history.findings import Kind
from replog.history.judge import Verdict, judge
from replog.history.lines import Append, Disk, Fault, Line, Nodes, Read

M, S1, S2 = NODES = ("http://m:8000", "http://s1:8001", "http://s2:8002")


class Made:
    """A history whose moments are 1, 2, 3 …: every operation takes one, unless told otherwise."""

    def __init__(self, nodes: Sequence[str] = NODES) -> None:
        self.lines: list[Line] = [Nodes(list(nodes))]
        self.moment = 0.0

    def now(self) -> float:
        self.moment += 1
        return self.moment

    def append(
        self,
        *messages: str,
        id: int | None = None,
        w: int = 3,
        invoked: float | None = None,
        returned: float | None = None,
        key: str | None = None,
    ) -> Append:
        """An append that was answered "ok"."""
        line = Append(0, invoked or self.now(), "ok", list(messages), w, key=key, first_id=id)
        line.returned = returned or self.now()
        self.lines.append(line)
        return line

    def pending(self, *messages: str, id: int, w: int = 3) -> None:
        self.append(*messages, id=id, w=w).outcome = "pending"

    def refused(self, *messages: str, key: str | None = None) -> None:
        self.append(*messages, key=key).outcome = "refused"

    def unknown(
        self, *messages: str, key: str | None = None, given_up: float | None = None
    ) -> Append:
        line = Append(0, self.now(), "unknown", list(messages), 3, key=key, given_up=given_up)
        self.lines.append(line)
        return line

    def read(self, messages: Sequence[str] | None, node: str = M, first: int = 1) -> Read:
        line = Read(1, self.now(), node, "ok", first=first, returned=self.now())
        line.messages = None if messages is None else list(messages)
        self.lines.append(line)
        return line

    def refused_read(self, node: str = M, first: int = 1) -> Read:
        line = self.read(None, node, first)
        line.outcome = "refused"
        return line

    def unanswered_read(self, node: str = M) -> Read:
        line = Read(1, self.now(), node, "unknown", given_up=self.now())
        self.lines.append(line)
        return line

    def fault(self, what: str, node: str | None = None, within_s: float | None = None) -> None:
        self.lines.append(Fault(self.now(), what, node, within_s))

    def disks(self, *each: Sequence[str] | None, snapshot: str = "end") -> None:
        """Disks of the master and the secondaries, in order, at one moment; None is not seen."""
        at = self.now()
        for node, messages in zip(NODES, each, strict=False):
            if messages is not None:
                self.lines.append(Disk(at, snapshot, node, list(messages)))

    def data(self) -> list[bytes]:
        return [msgspec.json.encode(line) for line in self.lines]

    def judge(self) -> Verdict:
        return judge(self.data())

    def kinds(self) -> list[Kind]:
        """Return the kinds of what was found, each once."""
        return list(dict.fromkeys(finding.kind for finding in self.judge().findings))


def digest(messages: Sequence[str], first: int = 1) -> str:
    """Return SHA-256 over entry lines as docs/histories.md says it."""
    lines = [
        f'{{"id":{place},"message":{json.dumps(message, ensure_ascii=False)}}}\n'
        for place, message in enumerate(messages, first)
    ]
    return sha256("".join(lines).encode()).hexdigest()
