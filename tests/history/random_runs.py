"""Makes up runs of a log that keeps its promises, and the histories that clients would record.

PURE. The log of this world is a list, its nodes are two numbers each: how much a node holds, and
how much of that it shows. Operations overlap; what was given up may be stored much later.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from replog.history.lines import Append, Disk, Fault, Line, Nodes, Read
from tests.history.made import NODES, M, digest

SECONDARIES = NODES[1:]


@dataclass
class Sent:
    """An append that is under way, or was given up and may still come to be stored.

    Attributes:
        waiting: the line of each attempt that still waits for its answer.
        attempts: how many may be stored yet, or have been: those that were not refused.
        first_id: of its first message, once it is stored, at `stored`.
    """

    messages: list[str]
    key: str | None
    waiting: list[Append]
    attempts: int = 0
    stored: float = 0.0
    first_id: int | None = None

    @property
    def last_id(self) -> int:
        assert self.first_id is not None
        return self.first_id + len(self.messages) - 1


class RandomRun:
    """One run, made up by `random`, as lines in the order in which clients wrote them.

    A plain one has no hashes in place of messages, and ends with an append that was answered.
    """

    def __init__(self, random: Random, steps: int, *, is_plain: bool = False) -> None:
        self._random = random
        self._has_hashes = not is_plain
        self.nodes = NODES
        self.log: list[str] = []
        self.lines: list[Line] = [Nodes(list(NODES))]
        self._ends = [0]
        self._holds = dict.fromkeys(NODES, 0)
        self._shows = dict.fromkeys(NODES, 0)
        self._sent: list[Sent] = []
        self._reading: list[Read] = []
        self._now = 0.0
        self._made = 0
        actions = (
            [self._begin] * 6
            + [self._store] * 6
            + [self._replicate] * 6
            + [self._answer] * 6
            + [self._begin_read, self._end_read] * 4
            + [self._retry, self._give_up, self._refuse, self._lose_power, self._wipe, self._look]
        )
        for _ in range(steps):
            self._now += random.choice((0.0, 0.001, 0.5))
            random.choice(actions)()
        if is_plain:
            self._settle()
        self._end()

    def _begin(self) -> None:
        count = self._random.choice((1, 1, 3))
        messages = [f"{self._made + one} é\n" for one in range(count)]
        self._made += count
        key = f"key {self._made}" if self._random.random() < 0.5 else None
        sent = Sent(messages, key, [])
        self._sent.append(sent)
        self._attempt(sent)

    def _attempt(self, sent: Sent) -> None:
        w = self._random.randint(1, 3)
        sent.attempts += 1
        sent.waiting.append(Append(0, self._now, "unknown", sent.messages, w, key=sent.key))

    def _retry(self) -> None:
        keyed = [sent for sent in self._sent if sent.key is not None]
        if keyed:
            self._attempt(self._random.choice(keyed))

    def _store(self) -> None:
        waiting = [sent for sent in self._sent if sent.first_id is None and sent.attempts]
        if waiting:
            sent = self._random.choice(waiting)
            sent.first_id, sent.stored = len(self.log) + 1, self._now
            self.log += sent.messages
            self._ends.append(len(self.log))
            self._holds[M] = self._shows[M] = len(self.log)

    def _replicate(self) -> None:
        node = self._random.choice(SECONDARIES)
        if self._random.random() < 0.5:
            ends = [end for end in self._ends if end >= self._holds[node]]
            self._holds[node] = self._random.choice(ends)
        else:
            self._shows[node] = self._random.randint(self._shows[node], self._holds[node])

    def _take(self) -> tuple[Sent, Append] | None:
        waiting = [(sent, line) for sent in self._sent for line in sent.waiting]
        if not waiting:
            return None
        sent, line = self._random.choice(waiting)
        sent.waiting = [one for one in sent.waiting if one is not line]
        return sent, line

    def _answer(self) -> None:
        if (taken := self._take()) is not None:
            sent, line = taken
            if sent.first_id is None:
                sent.waiting.append(line)
                return
            copies = sum(held >= sent.last_id for held in self._holds.values())
            line.outcome = "ok" if copies >= line.w else "pending"
            line.first_id, line.returned = sent.first_id, self._now
            self.lines.append(line)

    def _give_up(self) -> None:
        if (taken := self._take()) is not None:
            taken[1].given_up = self._now
            self.lines.append(taken[1])

    def _refuse(self) -> None:
        if (taken := self._take()) is not None:
            sent, line = taken
            if sent.first_id is not None and line.invoked <= sent.stored:
                sent.waiting.append(line)  # it may be this one that was stored
                return
            sent.attempts -= 1
            line.outcome, line.returned = "refused", self._now
            self.lines.append(line)

    def _begin_read(self) -> None:
        node = self._random.choice(NODES)
        first = self._random.choice((1, 1, self._random.randint(1, len(self.log) + 3)))
        has_master = self._random.random() < 0.7
        read = Read(1, self._now, node, "ok", first=first, has_master=has_master)
        if has_master:
            self._shows[node] = self._holds[node]
        shown = self.log[first - 1 : self._shows[node]]
        if shown and self._random.random() < 0.3:
            read.is_whole = False
            shown = shown[: self._random.randint(0, len(shown))]
        if self._has_hashes and self._random.random() < 0.3:
            read.last, read.sha256 = first - 1 + len(shown), digest(shown, first)
        else:
            read.messages = shown
        self._reading.append(read)

    def _end_read(self) -> None:
        if self._reading:
            read = self._reading.pop(self._random.randrange(len(self._reading)))
            read.returned = self._now
            self.lines.append(read)

    def _lose_power(self) -> None:
        node = self._random.choice(SECONDARIES)
        self._shows[node] = self._random.randint(0, self._shows[node])
        self._fault("lost-power", node)

    def _wipe(self) -> None:
        if self._random.random() < 0.3:
            node = self._random.choice(SECONDARIES)
            self._shows[node] = self._holds[node] = 0
            self._fault("wiped", node)

    def _fault(self, what: str, node: str) -> None:
        self._now += 0.001  # a read before it, and one behind it, are not at the same moment
        self.lines.append(Fault(self._now, what, node))
        self._now += 0.001

    def _look(self, snapshot: str | None = None) -> None:
        self._now += 0.001
        name = snapshot or f"at {self._now}"
        for node in NODES:
            held = self.log[: self._holds[node]]
            disk = Disk(self._now, name, node)
            if self._has_hashes and self._random.random() < 0.2:
                disk.last, disk.sha256 = len(held), digest(held)
            else:
                disk.messages = held
            self.lines.append(disk)
        self._now += 0.001

    def _settle(self) -> None:
        """Append once more, alone, so that the last entry is one that was answered."""
        self._sent = [sent for sent in self._sent if sent.first_id is not None]
        self._now += 1
        self._begin()
        self._store()
        self._holds = dict.fromkeys(NODES, len(self.log))
        while any(sent.waiting for sent in self._sent):
            self._answer()

    def _end(self) -> None:
        while self._reading:
            self._end_read()
        for sent in self._sent:
            self.lines += sent.waiting
        self._holds = dict.fromkeys(NODES, len(self.log))
        self._has_hashes = False
        self._look("end")
