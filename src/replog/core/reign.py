"""A master's way to its epoch, and what takes it away again (R8, R9).

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from replog.core.entry import NO_EPOCH, Epoch, NodeId, ReignId, Tick, epoch_owner, node_of, ticks
from replog.core.events import SecondaryIndex
from replog.core.messages import Hello

GATHER_MAX = ticks(2.0)
"""How long a secondary that neither answers nor refuses holds a start up (R8)."""
FRESH_GATHER_MIN = ticks(1.0)
"""How long an empty directory redials refused secondaries before it opens a log (R9)."""


class Phase(StrEnum):
    """Where a master stands between its start and its first append."""

    GATHERING = "gathering"
    OPENING = "opening"
    ADOPTING = "adopting"
    SERVING = "serving"


@dataclass(slots=True)
class Reign:
    """One master's claim to order the log.

    Attributes:
        epoch, owner: the highest epoch stored in this directory, and whose it is.
        is_fresh: the directory held no log when the node started.
        must_hear_all: damage was found at this start or an earlier one, not every secondary
            was heard since, and loss is not accepted (R8).
        heard: the first word of each secondary that said one; None where its dial failed.
        claimed: the epoch of this reign, from the moment on that it is being stored.
        superseded: why another master reigns, "" where none does.
        foreign: what another log is that a secondary showed, "" where none did (R9).
        is_shared: some secondary was proven to share this log, once.
    """

    node_id: NodeId
    reign_id: ReignId
    epoch: Epoch
    owner: NodeId | None
    started: Tick
    secondaries: int
    is_fresh: bool
    take_over: bool
    must_hear_all: bool
    is_shared: bool
    phase: Phase = Phase.GATHERING
    heard: dict[SecondaryIndex, Hello | None] = field(default_factory=dict)
    claimed: Epoch = NO_EPOCH
    superseded: str = ""
    foreign: str = ""

    def __post_init__(self) -> None:
        is_other = self.owner is not None and node_of(self.owner) != self.node_id
        if is_other and not self.take_over:
            self.superseded = f"this directory follows epoch {self.epoch} of another master"

    @property
    def own(self) -> NodeId:
        """Whose the epochs of this run are: a copy of this directory opens others (R8)."""
        return epoch_owner(self.node_id, self.reign_id)

    def hear(self, index: SecondaryIndex, hello: Hello) -> None:
        """Take in a secondary's first word: it may name another master's epoch (R8)."""
        self.heard[index] = hello
        if hello.epoch_owner is None or self.superseded:
            return
        if self.is_fresh and self.phase is Phase.GATHERING:
            return  # R9: with nothing of its own it begins no reign where another log is.
        if self.phase is Phase.GATHERING:
            is_other = node_of(hello.epoch_owner) != self.node_id and hello.epoch >= self.epoch
            if is_other and not self.take_over:
                self.supersede(hello.epoch, hello.epoch_owner)
        elif hello.epoch > self.claimed or (
            hello.epoch == self.claimed and hello.epoch_owner != self.own
        ):
            # The same owner with a higher epoch is a copy of this directory that reigns.
            self.supersede(hello.epoch, hello.epoch_owner)

    def supersede(self, epoch: Epoch, owner: NodeId | None) -> None:
        """Give the reign up: another master opened `epoch` (R8)."""
        self.superseded = f"epoch {epoch} was opened by node {owner}"

    def unreachable(self, index: SecondaryIndex) -> None:
        """Take a failed dial as an answer, unless the secondary has spoken (R8)."""
        self.heard.setdefault(index, None)

    @property
    def lost_its_log(self) -> str:
        """Why this master must not go on with its own log, "" where it may (R9).

        It began a log, in this run or before anybody shared it, and a secondary shows
        another one.
        """
        return self.foreign if self.is_fresh or not self.is_shared else ""

    def may_open(self, now: Tick) -> bool:
        """Return whether enough was heard to choose the epoch (R8, R9)."""
        if self.phase is not Phase.GATHERING or self.superseded:
            return False
        if self.is_fresh and self.foreign:
            return False
        all_answered = len(self.heard) == self.secondaries
        if self.is_fresh:
            # All have said "no log", or a second has passed in which they could have spoken.
            if all_answered and None not in self.heard.values():
                return True
            return now - self.started >= (FRESH_GATHER_MIN if all_answered else GATHER_MAX)
        return all_answered or now - self.started >= GATHER_MAX

    def next_epoch(self) -> Epoch:
        """Return one above every epoch stored or heard (R8)."""
        heard = [hello.epoch for hello in self.heard.values() if hello is not None]
        return Epoch(max([self.epoch, *heard]) + 1)
