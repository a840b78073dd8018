"""What the parts of a node share: who it is, and how far its own log goes.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from replog.core.entry import NO_ENTRY, EntryId, Epoch, Head, LogId, NodeId, ReignId, Tick
from replog.core.events import LinkId
from replog.core.intake import Intake
from replog.core.mending import Mending
from replog.core.messages import Damage


@dataclass(slots=True)
class MasterFacts:
    """The master's own log, as its disk has confirmed it.

    Attributes:
        written: end of the log as the write calls left it; what may be sent (R7).
        durable: end of what a completed fdatasync covers. Invariant: never above `written`.
        damage: ranges that do not verify; below the first of them the log is good (R13).
        has_first_batch: a batch was made, or is being made, in this reign's epoch (R8).
        is_persisting: a persist has not come back yet.
    """

    node_id: NodeId
    reign_id: ReignId
    log_id: LogId | None
    url: str
    written: Head
    durable: Head
    now: Tick
    damage: list[Damage]
    has_first_batch: bool = False
    is_persisting: bool = False

    @property
    def committed_id(self) -> EntryId:
        """Without automatic failover, committed is durable on the master (R7)."""
        return self.durable.last_id

    @property
    def good_id(self) -> EntryId:
        """The last durable id below any damage: what is shown and counted (R13)."""
        if not self.damage:
            return self.durable.last_id
        return EntryId(min(self.durable.last_id, self.damage[0].before.last_id))

    @property
    def sendable_id(self) -> EntryId:
        """The last id that may be sent: written whole (R7), and below any damage (R13)."""
        return self.good_id if self.damage else self.written.last_id

    @property
    def may_adopt(self) -> bool:
        """Until the first batch of the epoch, what extends the log is taken over (R8)."""
        return not self.has_first_batch


class LinkPhase(StrEnum):
    """How far a secondary's link to its master has come."""

    ALONE = "alone"
    JOINING = "joining"
    """Welcomed; the epoch, a running write or a cut must finish before the report (R2, R8)."""
    PROVING = "proving"
    REPAIRING = "repairing"
    STREAMING = "streaming"


@dataclass(slots=True)
class SecondaryFacts:
    """A secondary's own log, as its disk has confirmed it, and its link.

    Attributes:
        epoch, epoch_owner: the highest epoch known here; nothing below it is followed (R8).
        durable: end of what a completed fdatasync covers.
        link: the one link whose master was welcomed; None while there is none.
        news: what the master of this link said to be committed.
        proven: up to where this log is proven common with the master's on this link (R7).
        known_committed: what this node knows never to be taken back, shown or not.
    """

    node_id: NodeId
    log_id: LogId | None
    epoch: Epoch
    epoch_owner: NodeId | None
    members: tuple[str, ...]
    durable: Head
    known_committed: EntryId
    mending: Mending
    intake: Intake
    now: Tick
    link: LinkId | None = None
    phase: LinkPhase = LinkPhase.ALONE
    master_url: str | None = None
    news: EntryId = NO_ENTRY
    proven: EntryId = NO_ENTRY
    shown: EntryId = NO_ENTRY
    is_stopping: bool = False

    @property
    def visible(self) -> EntryId:
        """The last id that readers may see."""
        return self.below_damage(self.shown)

    @property
    def good_id(self) -> EntryId:
        """The last durable id below any damage (R13)."""
        return self.below_damage(self.durable.last_id)

    @property
    def good_head(self) -> Head:
        """The end of the log below any damage: what can be proven and counted (R13)."""
        return self.mending.damage[0].before if self.mending.damage else self.durable

    def below_damage(self, last_id: EntryId) -> EntryId:
        damaged_from = self.mending.damaged_from
        return last_id if damaged_from is None else EntryId(min(last_id, damaged_from - 1))
