"""The core of a node, made from its settings and from what its data directory holds.

SHELL. What must differ from run to run is drawn here: the reign, and what a new log is called.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence

from replog.config import Settings
from replog.core.entry import NO_ENTRY, EntryId, LogId, ReignId, Tick, ticks
from replog.core.errors import DamagedLogError
from replog.core.master import Master
from replog.core.secondary import Secondary
from replog.node.directory import DataDirectory
from replog.storage.log import Log

_log = logging.getLogger("replog.node")


def new_master(settings: Settings, directory: DataDirectory, *, now: Tick) -> Master:
    """Return the core of a master that starts on `directory` at the tick `now`."""
    state, log = directory.state, directory.log
    _warn_of_fewer_copies(state.members, settings.secondaries)
    return Master(
        node_id=state.node_id,
        reign_id=ReignId(secrets.token_hex(4)),
        log_id=state.log_id,
        fresh_log_id=LogId(secrets.token_hex(16)),
        epoch=state.epoch,
        epoch_owner=state.epoch_owner,
        head=log.durable,
        damage=log.damage,
        is_loss_unsettled=state.is_loss_unsettled,
        members=state.members,
        url=settings.advertise_url,
        secondaries=settings.secondaries,
        default_concern=settings.write_concern,
        requires_quorum=settings.quorum == "majority",
        take_over=settings.take_over,
        accept_loss=settings.accept_loss,
        key_window=settings.key_window,
        now=now,
    )


def _warn_of_fewer_copies(members: Sequence[str], secondaries: Sequence[str]) -> None:
    """Say that nodes are left out: "all" means fewer from now on, down to this one."""
    if 1 + len(secondaries) < len(members):
        _log.warning(
            "this log was kept on %d nodes (%s) and is on %d from now on: fewer disks hold what is "
            "appended. If that is not meant, name the others (--secondary, REPLOG_SECONDARIES)",
            len(members),
            ", ".join(members),
            1 + len(secondaries),
        )


def new_secondary(settings: Settings, directory: DataDirectory, *, now: Tick) -> Secondary:
    """Return the core of a secondary that starts on `directory` at the tick `now`."""
    state, log = directory.state, directory.log
    shown_id = shown_at_start(log)
    return Secondary(
        node_id=state.node_id,
        log_id=state.log_id,
        epoch=state.epoch,
        epoch_owner=state.epoch_owner,
        members=state.members,
        head=log.durable,
        committed_id=log.known_committed,
        shown_id=shown_id,
        damage=log.damage,
        delay=ticks(settings.delay),
        now=now,
    )


def shown_at_start(log: Log) -> EntryId:
    """Return up to where a secondary shows its log before a master has proven it: whole batches.

    A disk that lied can bring back a batch whose place another one has taken. What was noted as
    committed then ends inside of it, and says nothing about it.
    """
    noted = EntryId(min(log.known_committed, log.durable.last_id))
    try:
        below, _ = log.around(noted)
    except DamagedLogError:
        return NO_ENTRY
    return below.last_id
