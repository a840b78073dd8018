"""Which states of the core a history reached: every one of them should be, sometimes.

PURE.
"""

from __future__ import annotations

from collections.abc import Iterator

from replog.core.facts import LinkPhase
from replog.core.health import Health
from replog.core.master import Master
from replog.core.progress import LinkState
from replog.core.reign import Phase
from replog.core.secondary import Secondary

IN_BETWEEN = frozenset({LinkPhase.JOINING, LinkPhase.PROVING, LinkPhase.REPAIRING})
"""Where a secondary is on its way into a stream: an end of the link now is one in a rejoin."""

STATES = (
    *(f"master: {phase}" for phase in Phase),
    "master: superseded",
    "master: opens its epoch anew",
    "master: must hear all",
    "master: damaged",
    "master: damaged at the end",
    "master: adopts",
    "master: mends",
    "master: a batch is on its way",
    "master: not sure of what it has",
    *(f"peer: {state}" for state in LinkState if state is not LinkState.DIVERGED),
    *(f"peer: {health}" for health in Health),
    "peer: searched for",
    "peer: damaged",
    *(f"secondary: {phase}" for phase in LinkPhase),
    *(f"secondary: its master is {health}" for health in Health),
    "secondary: full disk",
    "secondary: damaged",
    "secondary: asks for a range",
    "secondary: mends a range",
    "secondary: cuts",
    "secondary: holds a batch back",
    "secondary: stores",
    "secondary: stores the epoch",
    *(f"a rejoin broken off: {phase}" for phase in LinkPhase if phase in IN_BETWEEN),
)
"""What `reached` can say, but for what only uncapped faults lead to."""


def reached(core: Master | Secondary) -> Iterator[str]:
    """Name the states that a core is in."""
    return _master(core) if isinstance(core, Master) else _secondary(core)


def _master(core: Master) -> Iterator[str]:
    reign, facts = core.reign, core.facts
    yield f"master: {reign.phase}"
    if reign.superseded:
        yield "master: superseded"
    if reign.has_reopened:
        yield "master: opens its epoch anew"
    if reign.must_hear_all:
        yield "master: must hear all"
    if reign.foreign:
        yield "master: another log was found"
    if facts.damage:
        is_open = facts.damage[-1].last_id is None
        yield "master: damaged at the end" if is_open else "master: damaged"
    if facts.is_persisting:
        yield "master: a batch is on its way"
    if facts.written != facts.durable:
        yield "master: not sure of what it has"
    adoption = core.leadership._adoption
    if adoption is not None:
        yield "master: adopts" if adoption.damage is None else "master: mends"
    for peer in core.replicas.peers:
        yield f"peer: {peer.shown_state}"
        yield f"peer: {peer.health.state}"
        if peer.search is not None:
            yield "peer: searched for"
        if peer.damaged_from is not None:
            yield "peer: damaged"


def _secondary(core: Secondary) -> Iterator[str]:
    facts = core.facts
    yield f"secondary: {facts.phase}"
    yield f"secondary: its master is {core.health.state}"
    if core.is_disk_full:
        yield "secondary: full disk"
    if facts.mending.damage:
        yield "secondary: damaged"
    if facts.mending.is_asking:
        yield "secondary: asks for a range"
    if facts.mending.is_storing:
        yield "secondary: mends a range"
    if facts.intake.held:
        yield "secondary: holds a batch back"
    if facts.intake.is_storing:
        yield "secondary: stores"
    if core._joining._is_cutting:
        yield "secondary: cuts"
    if not core._joining._is_epoch_stored:
        yield "secondary: stores the epoch"
