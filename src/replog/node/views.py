"""What a node shows of itself to those who ask: a read's bounds, and its health.

PURE. Frozen values; the attributes of `Health`, in this order, are the members of the JSON
that `GET /health` answers. `None` stands in the JSON as null and means "not known (yet)".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from replog.core.entry import NO_ENTRY, EntryId, Epoch, LogId, NodeId


class Role(StrEnum):
    """What a node was started as; it never changes while the process lives."""

    MASTER = "master"
    SECONDARY = "secondary"


class ReadPoint(msgspec.Struct, frozen=True, gc=False):
    """Where a read that starts now ends (R7, P4).

    Attributes:
        committed_id: the read shows everything up to here; 0 is an empty log.
        has_master: False on a secondary without a live link: an answer may then lack what
            was acknowledged elsewhere, and says so in a header. Always True on a master.
        is_met: what the read asked for beyond that, see `Freshness`.
        lag_s: seconds since this node was last level with its master, in monotonic time; 0 on
            a master, None where it was not since it started.
    """

    committed_id: EntryId
    has_master: bool
    is_met: bool = True
    lag_s: float | None = None


@dataclass(frozen=True, slots=True)
class Freshness:
    """What a read asks for beyond what is committed here (docs/http.md, Freshness).

    Attributes:
        min_id: this node shows it.
        is_linearizable: everything is shown that the master had committed when the read came.
        max_lag_s: this node was level with its master no longer ago than that.
        timeout_s: how long the read waits for them at the most.
    """

    min_id: EntryId = NO_ENTRY
    is_linearizable: bool = False
    max_lag_s: float | None = None
    timeout_s: float | None = None


ANY = Freshness()
"""What nearly every read asks for."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A node that holds an entry durably, as the master knows.

    Attributes:
        url, node_id: of the node; the master's own come first.
        since: when the master learnt it, RFC 3339; on the master itself, when the batch was
            made. None where that is longer ago than the master remembers.
        last_id, hash: the head of the node's log, in hex, as it acknowledged it last (P7).
    """

    url: str
    node_id: NodeId
    since: str | None
    last_id: EntryId
    hash: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Which nodes hold an entry, and whether those are as many as were asked for (P2).

    Attributes:
        id: of the entry.
        required: nodes that the write concern asks for.
        is_met: so many hold it.
        holders: the nodes that hold it now.
    """

    id: EntryId
    required: int
    is_met: bool
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class QuorumHealth:
    """How many nodes a master wants to reach before it takes appends (R11).

    Attributes:
        required: nodes, the master counted; None where no quorum is configured, and on a
            secondary.
        reachable: nodes that are heard from now, the node itself counted.
    """

    required: int | None
    reachable: int


@dataclass(frozen=True, slots=True)
class SecondaryHealth:
    """One configured secondary as its master sees it.

    Attributes:
        url: as configured on the master.
        node_id: as it said in its hello; None until the first one.
        health: "HEALTHY", "SUSPECTED" or "UNHEALTHY" (R11).
        link: state of the connection for people: "down", "joining", "streaming",
            "diverged", "refused" …
        last_id: its last durable id as proven on the present link, or without one as it was
            told last, which counts for no write concern (R6); None where it never spoke.
        lag: entries of the master's durable log behind `last_id`; None while that is.
        last_contact_s: seconds since it was last heard; None if never.
        delay_s: its injected latency as it said last (R12); None if never heard.
    """

    url: str
    node_id: NodeId | None
    health: str
    link: str
    last_id: EntryId | None
    lag: int | None
    last_contact_s: float | None
    delay_s: float | None


@dataclass(frozen=True, slots=True)
class MasterHealth:
    """The master as its secondary sees it.

    Attributes:
        url: where clients reach it, as it told on the link.
        node_id: of the master that reigns in the highest epoch known here; None if none.
        health: "HEALTHY", "SUSPECTED" or "UNHEALTHY" (R11); "UNHEALTHY" while never heard.
        link: as in `SecondaryHealth`.
        last_contact_s: seconds since it was last heard; None if never.
    """

    url: str | None
    node_id: NodeId | None
    health: str
    link: str
    last_contact_s: float | None


@dataclass(frozen=True, slots=True)
class DamageHealth:
    """A range of the log that does not verify, as `GET /health` names it (R13)."""

    first_id: EntryId
    last_id: EntryId | None
    segment: str
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Health:
    """A node's own view of itself and of the nodes that it has links with.

    Attributes:
        role: what it was started as.
        status: one word for people and scripts: "ok", or the first reason why not, such as
            "no-quorum", "superseded", "damaged", "disk-full", "no-master", "stopping".
        log_id: None while this node holds no log.
        epoch: the highest epoch stored here (R8); 0 is none yet.
        last_id: last durable id here.
        committed_id: readers of this node see everything up to here.
        head: hash of the durable log in hex: equal heads mean byte-identical logs (P7).
        quorum: see `QuorumHealth`.
        secondaries: in the order of the configuration; empty on a secondary.
        delay_s: a secondary's injected latency (R12); None on a master.
        master: None on a master.
        damage: known damaged ranges, lowest first (R13).
    """

    role: Role
    status: str
    node_id: NodeId
    log_id: LogId | None
    epoch: Epoch
    last_id: EntryId
    committed_id: EntryId
    head: str
    quorum: QuorumHealth
    secondaries: tuple[SecondaryHealth, ...] = ()
    delay_s: float | None = None
    master: MasterHealth | None = None
    damage: tuple[DamageHealth, ...] = ()
