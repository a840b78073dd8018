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
        epoch: the highest one stored in this directory, or of its log where that is above.
        owner: whose the stored one is.
        is_fresh: the directory held no log when the node started.
        must_hear_all: damage was found at this start or an earlier one, not every secondary
            was heard since, and loss is not accepted (R8).
        heard: the first word of each secondary that said one; None where its dial failed.
        heard_epoch: the highest epoch that a secondary of this log named.
        claimed: the epoch of this reign, from the moment on that it is being stored.
        must_reopen: an epoch above a newly heard one is to be opened.
        has_reopened: that was done, and is not done again.
        superseded: why another master reigns, "" where none does.
        foreign: what another log is that a secondary showed, "" where none did (R9).
        members: URLs of all nodes, as noted when a secondary was last proven to share this log.
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
    members: tuple[str, ...]
    phase: Phase = Phase.GATHERING
    heard: dict[SecondaryIndex, Hello | None] = field(default_factory=dict)
    heard_epoch: Epoch = NO_EPOCH
    claimed: Epoch = NO_EPOCH
    must_reopen: bool = False
    has_reopened: bool = False
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

    def hear(
        self, index: SecondaryIndex, hello: Hello, *, is_foreign: bool, has_made: bool
    ) -> None:
        """Take in a secondary's first word: it may name another reign (R8).

        Args:
            is_foreign: it holds another log, whose epochs say nothing about this one.
            has_made: a batch was made in this reign's epoch.
        """
        self.heard[index] = hello
        if is_foreign:
            return
        # R9: with nothing of its own a master begins no reign where another log is.
        is_beginning = self.is_fresh and self.phase is Phase.GATHERING
        if hello.epoch_owner is not None and not is_beginning and self._is_later(hello):
            self.contest(hello.epoch, hello.epoch_owner, has_made=has_made)
        self.heard_epoch = max(self.heard_epoch, hello.epoch)

    def _is_later(self, hello: Hello) -> bool:
        """Whether a secondary promised itself to a reign that this one is not above."""
        assert hello.epoch_owner is not None
        if self.phase is Phase.GATHERING:
            return hello.epoch >= self.epoch and node_of(hello.epoch_owner) != self.node_id
        is_own = hello.epoch_owner == self.own
        return hello.epoch > self.claimed or (hello.epoch == self.claimed and not is_own)

    def contest(self, epoch: Epoch, owner: NodeId | None, *, has_made: bool) -> None:
        """Another reign opened `epoch`: stand above it, or give this one up (R8).

        An earlier run of this node did, which an old backup does not know of; or a run on a
        copy of its directory does right now. Standing above it is safe until a batch was
        made in this reign, and is done once: of two that live one must give up.
        """
        is_own_node = owner is not None and node_of(owner) == self.node_id
        may_stand = (is_own_node or self.take_over) and not has_made and not self.has_reopened
        if self.superseded:
            return
        if not may_stand:
            self.superseded = f"epoch {epoch} was opened by node {owner}"
        elif self.phase is not Phase.GATHERING:
            self.heard_epoch = max(self.heard_epoch, epoch)
            self.must_reopen = True

    def unreachable(self, index: SecondaryIndex) -> None:
        """Take a failed dial as an answer, unless the secondary has spoken (R8)."""
        self.heard.setdefault(index, None)

    @property
    def lost_its_log(self) -> str:
        """Why this master must not go on with its own log, "" where it may (R9).

        It began a log, in this run or before anybody shared it, and a secondary shows
        another one.
        """
        return self.foreign if self.is_fresh or not self.members else ""

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
        return Epoch(max(self.epoch, self.heard_epoch) + 1)
