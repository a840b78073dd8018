"""The words of the log as types: ids, epochs, positions, heads.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

EntryId = NewType("EntryId", int)
"""The place of an entry: 1, 2, 3 … without gaps; 0 is "before the first"."""

Epoch = NewType("Epoch", int)
"""One reign of one master; only ever grows; 0 is "none yet"."""

Tick = NewType("Tick", int)
"""Monotonic time in units of `TICK_S` since the node started."""

NodeId = NewType("NodeId", str)
LogId = NewType("LogId", str)

NO_ENTRY = EntryId(0)
"""Before the first entry."""

NO_EPOCH = Epoch(0)
"""Below every epoch that a master opens."""

ReignId = NewType("ReignId", str)
"""One run of one master. Two processes on copies of a directory share a node_id, not this."""

NO_REIGN = ReignId("")

TICK_S = 0.01
"""Seconds a tick: fine enough for an injected delay, coarse enough to cost nothing."""

HASH_BYTES = 32


def ticks(seconds: float) -> Tick:
    """Return `seconds` as ticks, rounded up so that a wait is never cut short."""
    return Tick(-int(-seconds // TICK_S))


def end_of_wait(now: Tick, *spans: Tick | None) -> Tick | None:
    """Return when the shortest of waits that begin now is over; None where none ends.

    One tick more than its span: `now` may be almost a tick old, and a wait is never cut
    short. One of 0 ticks is over at once.
    """
    ends = (Tick(now + span + 1) if span else now for span in spans if span is not None)
    return min(ends, default=None)


def epoch_owner(node_id: NodeId, reign: ReignId) -> NodeId:
    """Return whose an epoch is that `node_id` opens in the run `reign` (R8)."""
    return NodeId(f"{node_id}/{reign}") if reign else node_id


def node_of(owner: NodeId) -> NodeId:
    """Return the node behind an epoch's owner, whichever its run."""
    return NodeId(owner.partition("/")[0])


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a log goes: by epoch first, then by id (Raft's "more up to date")."""

    epoch: Epoch
    last_id: EntryId


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a batch: its position, and the hash of every byte up to there."""

    epoch: Epoch
    last_id: EntryId
    hash: bytes

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.last_id)

    def __str__(self) -> str:
        return f"{self.last_id} (epoch {self.epoch}, {self.hash.hex()[:12]})"


GENESIS = Head(Epoch(0), EntryId(0), bytes(HASH_BYTES))
"""The head of an empty log."""
