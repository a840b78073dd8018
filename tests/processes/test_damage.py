"""Bits that rot on a disk: named, never served, brought back from another node (R13).

DISK. The nodes are stopped, one byte changes in the middle of a committed entry, they start.
"""

from __future__ import annotations

import signal
from pathlib import Path

import httpx2
import pytest

from tests.support import stories
from tests.support.cluster import MASTER, S1, S2, Node, ProcessCluster, call, replog, wait_live
from tests.support.load import Load
from tests.support.waiting import wait_until


def grown(cluster: ProcessCluster) -> dict[int, str]:
    """Fill the cluster with several segments and return what was acknowledged."""
    padding = " " + 8_000 * "x"
    url = cluster.start_all().url(MASTER)
    with Load(
        url, prefix="entry", clients=32, query="?w=all", total=4_500, padding=padding
    ) as load:
        load.wait()
    assert load.count == 4_500, load.acknowledged.statuses
    stories.wait_equal(cluster)
    assert len(cluster.master.segment_files()) >= 3
    return load.acknowledged.messages


def flip(node: Node, *, segment: int) -> tuple[str, int]:
    """Flip one bit in the middle of a segment; return its name and the offset."""
    path = node.segment_files()[segment]
    content = bytearray(path.read_bytes())
    offset = len(content) // 2
    content[offset] ^= 1
    path.write_bytes(content)
    return path.name, offset


@pytest.mark.parametrize(
    ("node", "segment"), [(S1, 0), (S1, -1), (MASTER, 1), (MASTER, -1)], ids=str
)
def test_a_flipped_bit_is_named_not_served_and_repaired_from_another_node(
    tmp_path: Path, node: str, segment: int
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        told = grown(cluster)
        for name in cluster.nodes:
            cluster.stop(name)
        damaged = cluster.node[node]
        flipped, _ = flip(damaged, segment=segment)
        found = replog("verify", damaged.data)
        assert found.returncode == 7
        assert flipped in found.stdout + found.stderr
        for name in reversed(cluster.nodes):
            cluster.start(name)
        for name in cluster.nodes:
            wait_live(cluster, name)

        def is_whole() -> bool:
            checked = replog("verify", damaged.data)
            return checked.returncode == 0

        try:
            shown = stories.messages(cluster, node)
        except httpx2.TransportError:
            pass  # the stream met the rot and broke off
        else:
            assert shown == [told[entry_id] for entry_id in range(1, len(shown) + 1)]
        wait_until(is_whole, "the range is repaired", explain=cluster.explain)
        assert stories.append(cluster, "after", w="all") == 4_501
        stories.check_history(cluster, told | {4_501: "after"})


def test_a_damaged_master_without_its_secondaries_takes_no_appends_until_they_come(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        told = grown(cluster)
        for name in cluster.nodes:
            cluster.stop(name)
        flip(cluster.master, segment=-1)
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        refused = stories.try_append(cluster, "refused", w=1, timeout=1)
        assert refused.status_code == 503, refused.text
        shown = stories.messages(cluster, MASTER)
        assert len(shown) < len(told)
        assert shown == [told[entry_id] for entry_id in range(1, len(shown) + 1)]
        for name in (S1, S2):
            cluster.start(name)
        wait_until(
            lambda: stories.try_append(cluster, "taken", w=3).status_code == 200,
            "appends are taken again",
            explain=cluster.explain,
        )
        stories.check_history(cluster, told | {4_501: "taken"})


def test_rot_under_a_running_node_breaks_the_read_off_and_is_repaired(tmp_path: Path) -> None:
    """Never valid but shorter JSON: a restarted node meets the rot while it streams."""
    with ProcessCluster(tmp_path) as cluster:
        told = grown(cluster)
        cluster.node[S1].end(signal.SIGTERM)
        cluster.stop(MASTER)  # nobody is there to repair it
        cluster.start(S1)
        wait_live(cluster, S1)
        name, _ = flip(cluster.node[S1], segment=0)
        with pytest.raises((httpx2.TransportError, ValueError)):
            call("GET", f"{cluster.url(S1)}/logs", timeout_s=stories.LONG_S).json()
        wait_until(lambda: name in cluster.node[S1].said(), "the segment is named")
        cluster.start(MASTER)
        wait_until(
            lambda: replog("verify", cluster.node[S1].data).returncode == 0,
            "the range is repaired",
            explain=cluster.explain,
        )
        stories.check_history(cluster, told)
