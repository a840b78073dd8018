"""What a node tells of itself: its cores' state in the words of `GET /health`.

PURE.
"""

from __future__ import annotations

from collections.abc import Iterable

from replog.core.damage import damage_line
from replog.core.effects import RefusalReason
from replog.core.entry import TICK_S, EntryId, Tick, node_of
from replog.core.health import PeerHealth
from replog.core.master import Master
from replog.core.messages import Damage
from replog.core.progress import Peer
from replog.core.reign import Phase
from replog.core.secondary import Secondary
from replog.node.views import (
    DamageHealth,
    Health,
    MasterHealth,
    QuorumHealth,
    Role,
    SecondaryHealth,
)

STOPPING = "stopping"
STARTING = "starting"
NO_MASTER = "no-master"
DAMAGED = "damaged"


def master_health(core: Master, *, shown: EntryId, is_stopping: bool) -> Health:
    """Return a master's view of itself and of its secondaries."""
    facts = core.facts
    return Health(
        role=Role.MASTER,
        status=_master_status(core, is_stopping=is_stopping),
        node_id=facts.node_id,
        log_id=facts.log_id,
        epoch=core.reign.epoch,
        last_id=facts.durable.last_id,
        committed_id=shown,
        head=facts.durable.hash.hex(),
        quorum=QuorumHealth(core.admission.quorum_required or None, core.replicas.reachable()),
        secondaries=tuple(_secondary(core, peer) for peer in core.replicas.peers),
        damage=_damage(facts.damage),
    )


def _master_status(core: Master, *, is_stopping: bool) -> str:
    if is_stopping:
        return STOPPING
    refused = core.admission.blocked()
    if refused is not None:
        return refused.reason.value
    return "ok" if core.reign.phase is Phase.SERVING else STARTING


def _secondary(core: Master, peer: Peer) -> SecondaryHealth:
    health = peer.health
    last_id = _last_known_id(peer)
    return SecondaryHealth(
        url=peer.url,
        node_id=peer.node_id,
        health=health.state.value.upper(),
        link=peer.shown_state.value,
        last_id=last_id,
        lag=None if last_id is None else max(0, core.facts.durable.last_id - last_id),
        last_contact_s=_silence_s(health, core.facts.now),
        delay_s=peer.delay_s if health.ever_heard else None,
    )


def _last_known_id(peer: Peer) -> EntryId | None:
    """Return what is proven on the present link; without one, what was told last.

    The latter is shown to people, who want to know how far behind a lost secondary is; for a
    write concern it does not count (R6).
    """
    if peer.acknowledged is not None:
        return peer.counted_id
    return None if peer.last_known is None else peer.last_known.last_id


def secondary_health(core: Secondary, *, shown: EntryId, is_stopping: bool) -> Health:
    """Return a secondary's view of itself and of its master."""
    owner = core.facts.epoch_owner
    return Health(
        role=Role.SECONDARY,
        status=_secondary_status(core, is_stopping=is_stopping),
        node_id=core.facts.node_id,
        log_id=core.facts.log_id,
        epoch=core.facts.epoch,
        last_id=core.facts.durable.last_id,
        committed_id=shown,
        head=core.facts.durable.hash.hex(),
        quorum=QuorumHealth(None, 1 + core.has_master),
        delay_s=core.delay * TICK_S,
        master=MasterHealth(
            url=core.facts.master_url,
            node_id=None if owner is None else node_of(owner),
            health=core.health.state.value.upper() if core.health.ever_heard else "UNHEALTHY",
            link=core.facts.phase.value,
            last_contact_s=_silence_s(core.health, core.facts.now),
        ),
        damage=_damage(core.facts.mending.damage),
    )


def _secondary_status(core: Secondary, *, is_stopping: bool) -> str:
    if is_stopping:
        return STOPPING
    if core.facts.mending.damage:
        return DAMAGED
    if core.is_disk_full:
        return RefusalReason.DISK_FULL.value
    return "ok" if core.has_master else NO_MASTER


def master_readiness(core: Master, *, is_stopping: bool) -> tuple[str, ...]:
    """Return why a master takes no appends now; empty where it does."""
    if is_stopping:
        return ("the node is stopping",)
    refused = core.admission.blocked()
    if refused is not None:
        return (refused.detail,)
    if core.reign.phase is not Phase.SERVING:
        return ("the master asks its secondaries what they hold before it takes appends",)
    return ()


def secondary_readiness(core: Secondary, *, is_stopping: bool) -> tuple[str, ...]:
    """Return why a secondary does not serve all that it should now; empty where it does.

    A secondary without a master is ready: its readers are told so in a header, and taking
    it out of service would turn the loss of one node into the loss of all reads. One that is
    damaged hides what it has shown before, until that is repaired (R13).
    """
    if is_stopping:
        return ("the node is stopping",)
    return tuple(damage_line(damage) for damage in core.facts.mending.damage)


def _silence_s(health: PeerHealth, now: Tick) -> float | None:
    return round((now - health.silent_since) * TICK_S, 3) if health.ever_heard else None


def _damage(damage: Iterable[Damage]) -> tuple[DamageHealth, ...]:
    return tuple(
        DamageHealth(one.first_id, one.last_id, one.segment, one.offset, one.reason)
        for one in damage
    )
