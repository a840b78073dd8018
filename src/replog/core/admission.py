"""Whether a master takes appends right now, and why not (R8, R9, R11, R13).

PURE.
"""

from __future__ import annotations

from collections.abc import Sequence

from replog.core.damage import damage_line
from replog.core.effects import Effect, Level, RefusalReason, Refused, Say
from replog.core.entry import Tick, ticks
from replog.core.facts import MasterFacts
from replog.core.messages import Damage
from replog.core.reign import Phase, Reign
from replog.core.replicas import Replicas
from replog.core.write_concern import majority

DISK_FULL_PAUSE = ticks(1.0)
"""How long appends are refused without a try after the disk was full."""


def superseded_detail(reign: Reign) -> str:
    """Return why another master reigns, and the way out (R8)."""
    return (
        f"{reign.superseded}; if this node is to be the master, stop the other one and "
        f"start this one with --take-over"
    )


def foreign_detail(reign: Reign) -> str:
    """Return which other log was found, and the way out (R9)."""
    return (
        f"{reign.foreign}; if this master lost its disk, bring the log back with: "
        f"replog restore --from URL DATA_DIR"
    )


def damaged_detail(damage: Damage, others: Sequence[str]) -> str:
    """Return what is damaged, and the ways out (R8, R13)."""
    all_others = ", ".join(others)
    once = (
        f"once all of {all_others} have said what they hold"
        if damage.last_id is None
        else f"from the first of {all_others} that holds it"
    )
    way = (
        f"it is repaired by itself {once}: start them, or if they are gone for good"
        if others
        else "no other node is configured that could hold it: put a backup in its place, or"
    )
    return (
        f"{damage_line(damage)}; nothing was stored, and {way} start this node with "
        f"--accept-loss, which goes on with what stands before the damage"
    )


class Admission:
    """Every refusal here comes before anything is stored.

    Attributes:
        is_stopping: the node ends; set by its master.
    """

    def __init__(
        self,
        facts: MasterFacts,
        reign: Reign,
        replicas: Replicas,
        *,
        requires_quorum: bool,
    ) -> None:
        self._facts = facts
        self._reign = reign
        self._replicas = replicas
        self._requires_quorum = requires_quorum
        self._disk_full = ""
        self._disk_full_until = facts.now
        self._is_said_to_refuse = False
        self.is_stopping = False

    @property
    def nodes(self) -> int:
        """Configured nodes, those that are down included: the n of R10."""
        return 1 + len(self._replicas.peers)

    @property
    def quorum_required(self) -> int:
        """Nodes that must take part before an append is taken; 0 for no such rule."""
        return majority(self.nodes) if self._requires_quorum else 0

    def blocked(self) -> Refused | None:
        """Return why appends are refused right now, None where they are taken."""
        reign = self._reign
        facts = self._facts
        if self.is_stopping:
            return Refused(RefusalReason.STOPPING, "the node is stopping")
        if reign.lost_its_log:
            return Refused(RefusalReason.LOG_FOUND_ELSEWHERE, foreign_detail(reign))
        if reign.superseded:
            return Refused(RefusalReason.SUPERSEDED, superseded_detail(reign))
        if facts.damage:
            others = [peer.url for peer in self._replicas.peers]
            return Refused(RefusalReason.DAMAGED, damaged_detail(facts.damage[0], others))
        if reign.must_hear_all and reign.phase is not Phase.SERVING:
            missing = [peer.url for peer in self._replicas.peers if not peer.has_spoken]
            if missing:
                return Refused(
                    RefusalReason.DAMAGED,
                    f"damage was found at the start, and {', '.join(missing)} may hold what was "
                    f"lost and has not said so yet: start it, or this node with --accept-loss",
                )
        if self._disk_full and facts.now < self._disk_full_until:
            return Refused(RefusalReason.DISK_FULL, self._disk_full)
        missed = self._missed_quorum()
        return Refused(RefusalReason.NO_QUORUM, missed) if missed else None

    def _missed_quorum(self) -> str:
        """Return how many nodes are out of reach that a quorum needs; "" where none is."""
        if not self._requires_quorum or self._reign.phase is not Phase.SERVING:
            return ""
        reachable = self._replicas.reachable()
        if reachable >= self.quorum_required:
            return ""
        away = ", ".join(peer.url for peer in self._replicas.peers if not peer.takes_part)
        return (
            f"{reachable} of {self.nodes} nodes are reachable, "
            f"{self.quorum_required} are required, and nothing was stored; start the "
            f"missing nodes ({away}) or mend the way to them: it recovers by itself"
        )

    def say_change(self, out: list[Effect]) -> None:
        """Say once what stops appends and recovers by itself, and that it did (R11).

        Other reasons are said where they are found, and need an operator.
        """
        if self.is_stopping:
            return
        why = self._disk_full or self._missed_quorum()
        if bool(why) is not self._is_said_to_refuse:
            self._is_said_to_refuse = bool(why)
            text = f"read-only: {why}" if why else "appends are taken again"
            out.append(Say(Level.WARNING, text))

    def disk_was_full(self, reason: str, *, what: str = "the batch") -> Refused:
        """Refuse appends for a moment; the next one after it tries the disk again.

        `reason` says what the disk did: a full one is not the only one that takes nothing.
        """
        self._disk_full = f"{what} was not stored: {reason}"
        self._disk_full_until = Tick(self._facts.now + DISK_FULL_PAUSE)
        return Refused(RefusalReason.DISK_FULL, self._disk_full)

    def disk_took_it(self) -> None:
        self._disk_full = ""
