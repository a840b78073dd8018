"""Bits that rot on a disk: named, never served, brought back from another node (R13).

DISK. One byte changes in the middle of a committed entry, on nodes that are stopped or that run.
The stories share one cluster of several segments: filling it costs more than they do.
"""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.support import stories
from tests.support.cluster import MASTER, S1, S2, Node, ProcessCluster, call, replog, wait_live
from tests.support.waiting import DEADLINE_S, wait_until

BATCHES = 180
BATCH = 25


def grown(cluster: ProcessCluster) -> dict[int, str]:
    """Fill the cluster with several segments and return what was acknowledged."""
    url = cluster.start_all().url(MASTER)
    told: dict[int, str] = {}
    with httpx2.Client(timeout=DEADLINE_S, trust_env=False) as client:
        for _ in range(BATCHES):
            first = len(told) + 1
            batch = [f"entry {first + place} {8_000 * 'x'}" for place in range(BATCH)]
            body = [{"message": message} for message in batch]
            answer = client.post(f"{url}/logs?w=all", json=body)
            assert (answer.status_code, answer.json()["first"]) == (200, first), answer.text
            told |= dict(enumerate(batch, first))
    stories.wait_equal(cluster)
    assert len(cluster.master.segment_files()) >= 3
    return told


def flip(node: Node, *, segment: int) -> str:
    """Flip one bit in the middle of a segment; return its name."""
    path = node.segment_files()[segment]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path.name


def restart_damaged(cluster: ProcessCluster, rotten: dict[str, int], *, then: list[str]) -> None:
    """Stop all nodes, damage a segment of some, see that `verify` names it, start these nodes."""
    for name in cluster.nodes:
        cluster.stop(name)
    for name, segment in rotten.items():
        flipped = flip(cluster.node[name], segment=segment)
        found = replog("verify", cluster.node[name].data)
        assert found.returncode == 7
        assert flipped in found.stdout + found.stderr
    for name in then:
        cluster.start(name)
    for name in then:
        wait_live(cluster, name)


def assert_nothing_bad_is_shown(cluster: ProcessCluster, node: str, told: dict[int, str]) -> int:
    """Return how many entries the node shows."""
    try:
        shown = stories.messages(cluster, node)
    except httpx2.TransportError:
        return 0  # the stream met the rot and broke off
    assert shown == [told[entry_id] for entry_id in range(1, len(shown) + 1)]
    return len(shown)


def wait_whole(cluster: ProcessCluster, *nodes: str) -> None:
    for node in nodes:
        wait_until(
            lambda node=node: replog("verify", cluster.node[node].data).returncode == 0,  # type: ignore[misc]
            f"the range of {node} is repaired",
            explain=cluster.explain,
        )


def append(cluster: ProcessCluster, told: dict[int, str], message: str) -> None:
    told[stories.append(cluster, message, w="all")] = message
    stories.check_history(cluster, told)


def test_a_flipped_bit_is_named_not_served_and_repaired_from_another_node(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        told = grown(cluster)
        everybody = list(reversed(cluster.nodes))
        for rotten in ({S1: 0, MASTER: 1}, {S1: -1}):
            restart_damaged(cluster, rotten, then=everybody)
            for node in rotten:
                assert_nothing_bad_is_shown(cluster, node, told)
            wait_whole(cluster, *rotten)
            append(cluster, told, f"after {rotten}")
        a_damaged_master_alone_takes_no_appends_until_its_secondaries_come(cluster, told)
        rot_under_a_running_node_breaks_the_read_off_and_is_repaired(cluster, told)


def a_damaged_master_alone_takes_no_appends_until_its_secondaries_come(
    cluster: ProcessCluster, told: dict[int, str]
) -> None:
    restart_damaged(cluster, {MASTER: -1}, then=[MASTER])
    refused = stories.try_append(cluster, "refused", w=1, timeout=1)
    assert refused.status_code == 503, refused.text
    assert 0 < assert_nothing_bad_is_shown(cluster, MASTER, told) < len(told)
    for name in (S1, S2):
        cluster.start(name)
    wait_until(
        lambda: stories.try_append(cluster, "taken", w=3).status_code == 200,
        "appends are taken again",
        explain=cluster.explain,
    )
    told[len(told) + 1] = "taken"
    stories.check_history(cluster, told)


def rot_under_a_running_node_breaks_the_read_off_and_is_repaired(
    cluster: ProcessCluster, told: dict[int, str]
) -> None:
    """Never valid but shorter JSON: a restarted node meets the rot while it streams."""
    cluster.stop(S1)
    cluster.stop(MASTER)  # nobody is there to repair it
    cluster.start(S1)
    wait_live(cluster, S1)
    before = len(cluster.node[S1].said())
    name = flip(cluster.node[S1], segment=0)
    with pytest.raises((httpx2.TransportError, ValueError)):
        call("GET", f"{cluster.url(S1)}/logs", timeout_s=stories.LONG_S).json()
    wait_until(lambda: name in cluster.node[S1].said()[before:], "the segment is named")
    cluster.start(MASTER)
    wait_whole(cluster, S1)
    stories.check_history(cluster, told)
