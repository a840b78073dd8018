"""Heartbeats that go on, seen from outside.

NETWORK.
"""

from __future__ import annotations

from tests.support.cluster import S1, S2, Cluster, call
from tests.support.waiting import wait_until


def wait_beats(cluster: Cluster, node: str) -> None:
    """Return when a master was heard, and heard, by each secondary once more."""

    def contacts() -> list[float]:
        rows = call("GET", f"{cluster.url(node)}/health").json()["secondaries"]
        assert [row["health"] for row in rows] == ["HEALTHY", "HEALTHY"]
        rows += [call("GET", f"{cluster.url(one)}/health").json()["master"] for one in (S1, S2)]
        return [row["last_contact_s"] for row in rows]

    longest = contacts()
    fresh = [False] * len(longest)

    def are_fresh() -> bool:
        """A time since the last contact that is shorter than before was cut by a new one."""
        for place, contact in enumerate(contacts()):
            fresh[place] |= contact < longest[place]
            longest[place] = max(longest[place], contact)
        return all(fresh)

    wait_until(are_fresh, "heartbeats go on both ways", explain=cluster.explain)
