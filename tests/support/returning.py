"""Stories of a secondary that comes back: with an empty disk, far behind, or unproven.

SHELL. As in `tests.support.stories` every function takes a `Cluster`.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.support import stories
from tests.support.cluster import MASTER, S1, S2, Cluster, call, wait_live
from tests.support.load import Load
from tests.support.waiting import wait_until

GROWN_MAX = 32 << 20
"""Less than the log that passes the master by, which it must not hold in memory."""
WARM_UP = 5_000
MISSED = 100_000
CLIENTS = 256


def emptied_secondary_refills(cluster: Cluster) -> None:
    """A secondary that lost its disk is a new node and gets everything again (P9)."""
    told = {}
    for number in range(50):
        message = f"before {number}"
        told[stories.append(cluster, message, w="all")] = message
    cluster.stop(S2)
    cluster.empty(S2)
    with stories.WaitingAppend(cluster, "while it is away", w="all") as waiting:
        wait_until(lambda: len(stories.messages(cluster, MASTER)) == 51, "the append is stored")
        assert not waiting.is_answered
        cluster.start(S2)
    assert waiting.status == 200
    stories.check_history(cluster, told | {51: "while it is away"})


def cut_off_secondary_catches_up(
    cluster: Cluster, *, batch: int, cut: Callable[[], None], mend: Callable[[], None]
) -> None:
    """S2 misses `MISSED` entries of 1 kB and catches up while appends go on (P8, P9).

    The master's memory stays bounded all the while (P10).

    Args:
        batch: of so many entries is each append that S2 misses.
    """
    padding = " " + 960 * "x"
    url = cluster.url(MASTER)
    load = Load(url, prefix="warm", clients=CLIENTS, query="?w=1", total=WARM_UP, padding=padding)
    with load:
        load.wait()
    stories.wait_equal(cluster)
    told = dict(load.acknowledged.messages)
    before = cluster.memory_bytes(MASTER)
    cut()
    load = Load(
        url,
        prefix="away",
        clients=CLIENTS,
        query="?w=2",
        total=MISSED,
        padding=padding,
        batch=batch,
    )
    with load:
        load.wait()
    assert load.count == MISSED, load.acknowledged.statuses
    assert stories.last_id(cluster, S2) < MISSED, "S2 was not cut off"
    grown_away = cluster.memory_bytes(MASTER) - before
    told |= load.acknowledged.messages
    with Load(url, prefix="on", clients=8, query="?w=1", padding=padding) as load:
        mend()
        wait_until(
            lambda: stories.last_id(cluster, S2) >= WARM_UP + MISSED,
            "S2 catches up",
            deadline_s=stories.LONG_S,
            explain=cluster.explain,
        )
        reached = load.count
        wait_until(lambda: load.count > reached, "appends go on", explain=cluster.explain)
    told |= load.acknowledged.messages
    stories.wait_equal(cluster, deadline_s=stories.LONG_S)
    grown = max(grown_away, cluster.memory_bytes(MASTER) - before)
    assert grown < GROWN_MAX, f"the master grew by {grown / 1e6:.1f} MB"
    stories.check_history(cluster, told)


def unproven_secondary_does_not_count(cluster: Cluster) -> None:
    """An emptied S2 with a long delay says hello at once, and holds nothing (R6)."""
    stories.append(cluster, "first", w="all")
    cluster.stop(S2)
    cluster.empty(S2)
    cluster.start(S2, delay_s=600)
    wait_live(cluster, S2)

    def told_of(node: str) -> dict[str, object]:
        health = call("GET", f"{cluster.url(MASTER)}/health").json()
        told: dict[str, object] = health["secondaries"][cluster.nodes.index(node) - 1]
        return told

    wait_until(
        lambda: told_of(S2)["delay_s"] == 600,
        "the master heard the new node",
        explain=cluster.explain,
    )
    answer = stories.try_append(cluster, "second", w=3, timeout=0.5)
    assert answer.status_code == 202, answer.text
    acks = answer.json()["acks"]
    assert len(acks) == 2, acks
    assert told_of(S1)["url"] in acks
    assert told_of(S2)["url"] not in acks
    assert stories.append(cluster, "third", w=2) == 3, "two that have proven their log suffice"
    cluster.stop(S2)
    cluster.start(S2, delay_s=0)
    stories.check_history(cluster, {1: "first", 2: "second", 3: "third"})
