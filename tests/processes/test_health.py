"""`GET /health` and `/readyz` of real nodes: every member against what is so on the disks.

NETWORK.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.support import stories
from tests.support.cluster import MASTER, S1, S2, Node, ProcessCluster, call, wait_live
from tests.support.waiting import wait_until


def identity(node: Node) -> dict[str, object]:
    members: dict[str, object] = json.loads((node.data / "node.json").read_text())
    return members


def last_hash(node: Node) -> str:
    """Return the hash that the last line of the node's log ends with."""
    found = re.search(rb'"hash":"([0-9a-f]{64})"}}\n\Z', node.segment_files()[-1].read_bytes())
    assert found is not None
    return found[1].decode()


def health(cluster: ProcessCluster, node: str) -> dict[str, object]:
    members: dict[str, object] = call("GET", f"{cluster.url(node)}/health").json()
    return members


def secondaries(cluster: ProcessCluster) -> list[dict[str, object]]:
    rows = health(cluster, MASTER)["secondaries"]
    assert isinstance(rows, list)
    return rows


def taken_out(row: dict[str, object], name: str) -> float:
    value = row.pop(name)
    assert isinstance(value, float | int)
    return value


def test_every_member_is_what_it_says_on_both_roles(tmp_path: Path) -> None:
    """S1 is there, S2 never was."""
    with ProcessCluster(tmp_path, master_options=["--quorum", "majority"]) as cluster:
        for node in (S1, MASTER):
            cluster.start(node)
            wait_live(cluster, node)
        wait_until(lambda: stories.is_ready(cluster, MASTER), "ready", explain=cluster.explain)
        for number in range(1, 4):
            assert stories.append(cluster, f"entry {number}", w=2) == number
        wait_until(lambda: stories.last_id(cluster, S1) == 3, "S1 shows all")
        wait_until(lambda: secondaries(cluster)[1]["health"] == "UNHEALTHY", "S2 is given up")

        shared = {
            "status": "ok",
            "log_id": identity(cluster.master)["log_id"],
            "epoch": identity(cluster.master)["epoch"],
            "last_id": 3,
            "committed_id": 3,
            "head": last_hash(cluster.master),
        }
        master_tells_what_is_so(cluster, shared)
        secondary_tells_what_is_so(cluster, shared)


def master_tells_what_is_so(cluster: ProcessCluster, shared: dict[str, object]) -> None:
    told = health(cluster, MASTER)
    one, other = secondaries(cluster)
    assert told.pop("secondaries")
    assert told == {
        **shared,
        "role": "master",
        "node_id": identity(cluster.master)["node_id"],
        "quorum": {"required": 2, "reachable": 2},
        "damage": [],
    }
    assert taken_out(one, "last_contact_s") >= 0
    assert one == {
        "url": cluster.url(S1),
        "node_id": identity(cluster.node[S1])["node_id"],
        "health": "HEALTHY",
        "link": "streaming",
        "last_id": 3,
        "lag": 0,
        "delay_s": 0.0,
    }
    nothing = dict.fromkeys(("node_id", "last_id", "lag", "last_contact_s", "delay_s"))
    expected = {"url": cluster.url(S2), "health": "UNHEALTHY", "link": "down"}
    assert other == {**nothing, **expected}


def secondary_tells_what_is_so(cluster: ProcessCluster, shared: dict[str, object]) -> None:
    told = health(cluster, S1)
    its_master = told.pop("master")
    assert isinstance(its_master, dict)
    assert told == {
        **shared,
        "role": "secondary",
        "node_id": identity(cluster.node[S1])["node_id"],
        "quorum": {"required": None, "reachable": 2},
        "secondaries": [],
        "delay_s": 0.0,
        "damage": [],
    }
    assert taken_out(its_master, "last_contact_s") >= 0
    assert its_master == {
        "url": cluster.url(MASTER),
        "node_id": identity(cluster.master)["node_id"],
        "health": "HEALTHY",
        "link": "streaming",
    }


def test_a_delay_a_lag_and_a_lost_quorum_are_told(tmp_path: Path) -> None:
    with ProcessCluster(
        tmp_path, secondaries=1, master_options=["--quorum", "majority"]
    ) as cluster:
        cluster.start_all()
        assert stories.append(cluster, "one", w="all") == 1
        stories.set_delay(cluster, S1, 600)
        wait_until(lambda: secondaries(cluster)[0]["delay_s"] == 600, "the delay is told")
        assert stories.append(cluster, "two", w=1) == 2
        [row] = secondaries(cluster)
        assert (row["last_id"], row["lag"]) == (1, 1)
        assert call("GET", f"{cluster.url(MASTER)}/readyz").status_code == 200
        cluster.kill(S1)
        wait_until(
            lambda: health(cluster, MASTER)["status"] == "no-quorum",
            "the quorum is missed",
            explain=cluster.explain,
        )
        assert health(cluster, MASTER)["quorum"] == {"required": 2, "reachable": 1}
        answer = call("GET", f"{cluster.url(MASTER)}/readyz")
        assert answer.status_code == 503
        [reason] = answer.json()["reasons"]
        assert cluster.url(S1) in reason
        assert call("GET", f"{cluster.url(MASTER)}/livez").status_code == 200
