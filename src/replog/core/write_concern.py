"""Write concern: how many nodes must hold an entry before its client is answered.

PURE.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from replog.core.entry import EntryId

WriteConcern = int | Literal["majority", "all"]
"""As a client gives it: 1..n, "majority" or "all" (R10)."""


def copies_needed(concern: WriteConcern, *, nodes: int) -> int | None:
    """Return how many of `nodes` configured nodes `concern` asks for.

    Returns None where no number of nodes can meet it: the append is then refused before
    anything is stored (R10). `nodes` counts the master and every configured secondary,
    those that are down included.
    """
    if concern == "all":
        return nodes
    if concern == "majority":
        return majority(nodes)
    return concern if 1 <= concern <= nodes else None


def majority(nodes: int) -> int:
    """Return the smallest number of nodes of which any two sets share one."""
    return nodes // 2 + 1


def acknowledged_id(durable: Iterable[EntryId], *, copies: int) -> EntryId:
    """Return the highest id that at least `copies` nodes hold on disk.

    Counting from the fullest log down, the log at rank `copies` bounds what the slowest
    of the needed nodes holds: Raft's commit rule with a free quorum size
    (Ongaro & Ousterhout 2014, section 5.3).

    Args:
        durable: last durable id of every node that may be counted, the master included.
        copies: number of nodes, at least 1; 0 is returned where fewer are counted.
    """
    ranked = sorted(durable, reverse=True)
    return ranked[copies - 1] if copies <= len(ranked) else EntryId(0)
