"""What a small world is made of: nodes, connections, and what can happen next.

PURE.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from replog.core import effects as do
from replog.core.entry import NO_REIGN, EntryId, LogId, Tick
from replog.core.master import Master
from replog.core.messages import Message
from replog.core.secondary import Secondary
from tests.core.disk import Disk

DiskJob = do.Persist | do.PersistBatches | do.StoreEpoch | do.CutLog | do.Repair
ReadJob = (
    do.LookUp
    | do.LoadKeys
    | do.ConfirmKeys
    | do.SendBatches
    | do.AnswerProbe
    | do.AnswerFetch
    | do.VerifySent
)


@dataclass(slots=True)
class Node:
    disk: Disk
    core: Master | Secondary
    jobs: deque[DiskJob] = field(default_factory=deque)
    is_written: bool = False
    reading: deque[ReadJob] = field(default_factory=deque)
    shown: EntryId = EntryId(0)
    said: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Wire:
    """One connection: two ordered queues."""

    secondary: int
    to_secondary: deque[Message] = field(default_factory=deque)
    to_master: deque[Message] = field(default_factory=deque)


@dataclass(slots=True)
class Read:
    node: int
    must_show: EntryId
    answer: do.AnswerRead | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can happen: `kind` at `place` (node 0 is the master)."""

    kind: Literal["disk", "reading", "dial", "down", "up", "cut", "append", "read", "crash"]
    place: int = 0


def new_secondary(disk: Disk, *, now: Tick) -> Secondary:
    """Return the core of a secondary that starts from `disk`."""
    return Secondary(
        node_id=disk.node_id,
        log_id=disk.log_id,
        epoch=disk.epoch,
        epoch_owner=disk.owner,
        members=disk.members,
        head=disk.good_head,
        committed_id=disk.note,
        damage=tuple(disk.damage),
        delay=Tick(0),
        now=now,
    )


def new_master(
    disk: Disk, urls: tuple[str, ...], *, now: Tick = Tick(0), **settings: bool
) -> Master:
    """Return the core of a master that starts from `disk`."""
    return Master(
        node_id=disk.node_id,
        reign_id=NO_REIGN,
        log_id=disk.log_id,
        fresh_log_id=LogId("log"),
        epoch=disk.epoch,
        epoch_owner=disk.owner,
        head=disk.good_head,
        damage=tuple(disk.damage),
        is_loss_unsettled=disk.is_loss_unsettled,
        members=disk.members,
        url="http://m",
        secondaries=urls,
        now=now,
        **settings,
    )
