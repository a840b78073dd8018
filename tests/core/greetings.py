"""Made-up secondaries that greet a real master, and masters that wait for them.

PURE.
"""

from __future__ import annotations

from replog.core import effects as do
from replog.core import events as ev
from replog.core.effects import RefusalReason, Refused
from replog.core.entry import GENESIS, Epoch, LogId, NodeId
from replog.core.events import LinkId, SecondaryIndex
from replog.core.messages import (
    Hello,
    Message,
)
from tests.core.disk import chain
from tests.core.world import World

LOG = chain(GENESIS, 1, "a", "b", "c", "d")


def refusal(outcome: do.AppendOutcome | None) -> RefusalReason:
    assert isinstance(outcome, Refused)
    return outcome.reason


def hello(
    node: str = "s1", *, log: str | None = "log", epoch: int = 1, owner: str | None = "m"
) -> Hello:
    is_owned = NodeId(owner) if owner is not None else None
    log_id = None if log is None else LogId(log)
    return Hello(1, NodeId(node), log_id, Epoch(epoch), is_owned, 0.0)


def greet(world: World, index: int, message: Message) -> list[do.Effect]:
    """Let a made-up secondary say its first word; return what the master does for it."""
    world.next_link += 1
    link = LinkId(world.next_link)
    world.step(0, ev.LinkOpened(link, SecondaryIndex(index)))
    return world.master.step(ev.Received(link, message))


def dormant(held: int = 2, *, epoch: int = 1, damaged: bool = False, **settings: bool) -> World:
    """Return a world in which the master has started and nobody has been dialled."""
    world = World(2)
    world.hold(0, LOG[:held], epoch=epoch)
    if damaged:
        world.nodes[0].disk.rot(2, None)
    world.restart(0, **settings)
    return world
