"""Where a cluster begins, so that one of its nodes does to its disk what a fault is to meet.

DISK. Directories are made by the product's own storage, and what they hold is told to the history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proving.harnesses.syscalls.stories import (
    COMMON,
    SIZES,
    end_amid_a_write,
    make_log,
    messages_of,
    rot,
)
from replog.core.entry import NodeId
from replog.history.lines import Append
from replog.node.views import Role
from tests.support.cluster import MASTER, S1, S2, Node, ProcessCluster

NODE_IDS = {
    MASTER: NodeId("000000000000000a"),
    S1: NodeId("000000000000000b"),
    S2: NodeId("000000000000000c"),
}


@dataclass(frozen=True, slots=True)
class Script:
    """One beginning.

    Attributes:
        of: in the words of the table.
        node: the one that meets the fault.
        is_rotten: bytes of what the node holds are wrong when it starts.
        prepare: fills the data directories; returns how the history begins.
    """

    of: str
    node: str
    prepare: Callable[[ProcessCluster], Sequence[Append]]
    is_rotten: bool = False


def _make(
    node: Node, batches: int, *, tail: int = 0, of: str = "another master", epoch: int = 1
) -> None:
    role = Role.MASTER if node.name == MASTER else Role.SECONDARY
    node.data.mkdir()
    make_log(
        node.data,
        role,
        batches,
        tail=tail,
        of=of,
        epoch=epoch,
        node_id=NODE_IDS[node.name],
        owner=NODE_IDS[MASTER],
    )


def _told(batches: int, *, of: str = "the log", begin: int = 0, known: bool = True) -> list[Append]:
    """Return the appends that made these batches, before the history began."""
    return [
        Append(
            client=100,
            invoked=0.0,
            outcome="ok" if known else "unknown",
            messages=messages_of(batch, of=of),
            w=1,
            returned=0.0 if known else None,
            first_id=sum(SIZES[:batch]) + 1 if known else None,
        )
        for batch in range(begin, batches)
    ]


def _nothing(cluster: ProcessCluster) -> Sequence[Append]:
    del cluster
    return ()


def _adopt(cluster: ProcessCluster) -> Sequence[Append]:
    """A secondary has four batches that the master lost: they were never answered.

    A master waits for its secondaries for some seconds only, as it starts (R8).
    """
    _make(cluster.node[MASTER], COMMON)
    _make(cluster.node[S1], COMMON + 4)
    _make(cluster.node[S2], COMMON)
    return [*_told(COMMON), *_told(COMMON + 4, begin=COMMON, known=False)]


def _cut(cluster: ProcessCluster) -> Sequence[Append]:
    """A secondary has four batches of an epoch in which the master made others."""
    _make(cluster.node[MASTER], COMMON, tail=5, of="the master", epoch=2)
    _make(cluster.node[S1], COMMON, tail=4, of="nobody")
    _make(cluster.node[S2], COMMON)
    return [
        *_told(COMMON),
        *_told(COMMON + 5, of="the master", begin=COMMON),
        *_told(COMMON + 4, of="nobody", begin=COMMON, known=False),
    ]


def _rotten(name: str) -> Callable[[ProcessCluster], Sequence[Append]]:
    def prepare(cluster: ProcessCluster) -> Sequence[Append]:
        for node in cluster.node.values():
            _make(node, len(SIZES))
        rot(cluster.node[name].data)
        return _told(len(SIZES))

    return prepare


def _ended(name: str) -> Callable[[ProcessCluster], Sequence[Append]]:
    """The node was killed amid a write; as a secondary it wrote what the master has."""

    def prepare(cluster: ProcessCluster) -> Sequence[Append]:
        for node in cluster.node.values():
            if node.name == name:
                role = Role.MASTER if name == MASTER else Role.SECONDARY
                node.data.mkdir()
                end_amid_a_write(node.data, role, node_id=NODE_IDS[name], owner=NODE_IDS[MASTER])
            else:
                _make(node, COMMON if name == MASTER or node.name == S2 else len(SIZES))
        if name == MASTER:
            return [*_told(COMMON), *_told(COMMON + 3, begin=COMMON, known=False)]
        return _told(len(SIZES))

    return prepare


SCRIPTS: Sequence[Script] = (
    Script("a new master", MASTER, _nothing),
    Script("a new secondary", S1, _nothing),
    Script("adopting", MASTER, _adopt),
    Script("cutting", S1, _cut),
    Script("a master's repair", MASTER, _rotten(MASTER), is_rotten=True),
    Script("a secondary's repair", S1, _rotten(S1), is_rotten=True),
    Script("a master after a kill", MASTER, _ended(MASTER)),
    Script("a secondary after a kill", S1, _ended(S1)),
)
