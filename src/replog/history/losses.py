"""Since when a node can be held to what it had: what was done to its disk, as a history tells.

PURE.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from math import inf

from replog.history.lines import Fault

REPAIRED = frozenset({"repaired", "healed"})


class Losses:
    """For each node, since when nothing took away what it held (or showed).

    Args:
        faults: of any node, in any order; those without a node happened to all.
        powered: nodes that lose something with their power as well.
    """

    def __init__(
        self, faults: Sequence[Fault], nodes: Sequence[str], powered: Collection[str] = ()
    ) -> None:
        self._times: dict[str, list[float]] = {node: [] for node in nodes}
        self._since: dict[str, list[float]] = {node: [-inf] for node in nodes}
        self._wiped: dict[str, float] = {}
        is_rotten = dict.fromkeys(nodes, False)
        for fault in sorted(faults, key=lambda fault: fault.at):
            for node in nodes if fault.node is None else (fault.node,):
                if fault.what == "rotted":
                    since, is_rotten[node] = inf, True
                elif fault.what in REPAIRED and is_rotten[node]:
                    since, is_rotten[node] = fault.at, False
                elif fault.what == "wiped":
                    since, is_rotten[node] = fault.at, False  # the new disk holds no rot
                    self._wiped[node] = fault.at
                elif fault.what == "lost-power" and node in powered and not is_rotten[node]:
                    since = fault.at
                else:
                    continue
                self._times[node].append(fault.at)
                self._since[node].append(since)

    def has(self, node: str) -> bool:
        """Whether anything was ever taken away from `node`."""
        return bool(self._times[node])

    def wiped_at(self, node: str) -> float:
        """Return when `node` lost its disk last; minus infinity if it never did."""
        return self._wiped.get(node, -inf)

    def since(self, node: str, at: float) -> float:
        """Return the moment before which nothing counts any more of `node`, as it is at `at`.

        It is infinite while the node's disk is rotten: nothing counts.
        """
        times = self._times[node]
        return self._since[node][bisect_right(times, at)] if times else -inf
