"""Ends a run: every node comes right, stops, and what its disk holds joins the history.

NETWORK, and DISK when the nodes have ended.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import httpx2

from proving.disks import held_on_disk
from proving.harness import Counts, Violation
from proving.judging import assert_holds, assert_no_defects
from proving.recording import Recording, RecordingClient
from tests.support.cluster import Cluster, Node, ProcessCluster, call
from tests.support.waiting import wait_until

WITHIN_S = 60.0
"""Far beyond what nodes take to come right, on a machine that is busy with other things."""


class JudgedCluster(Cluster, Protocol):
    """A cluster whose disks can be looked at, while no process uses them."""

    def directories(self) -> AbstractContextManager[Mapping[str, Path]]:
        """Give each node's data directory, or a copy of it."""


def settle_and_judge(
    cluster: JudgedCluster,
    recording: Recording,
    *,
    within_s: float = WITHIN_S,
    is_killed: bool = False,
    failed: Collection[str] = (),
) -> Counts:
    """Return what a run met whose faults are all over, once nothing in it broke a promise.

    Every node runs, or was started and will, and no client appends any more. Then every node
    shows one log, takes an append at "all" and is read from the start; all end, and their files
    are read. The recording is closed.

    Args:
        within_s: seconds in which the nodes are to come right.
        is_killed: the nodes end by SIGKILL instead of SIGTERM.
        failed: nodes whose disks were made to fail: only they may have answered 500.

    Raises:
        AssertionError: a promise was broken, a client met a 500, or the nodes did not come right.
    """
    assert_no_defects(recording, [cluster.url(node) for node in failed])
    recording.fault("healed", within_s=within_s)
    settle(cluster, recording, within_s=within_s)
    for node in cluster.nodes:
        (cluster.kill if is_killed else cluster.stop)(node)
    note_disks(cluster, recording, "end")
    recording.close()
    judged = assert_holds(recording.path)
    files = {node: cluster.segments(node) for node in cluster.nodes}
    for node in cluster.nodes[1:]:
        if files[node] != files[cluster.nodes[0]]:
            raise Violation(f"P7: the files of {node} differ from the master's: {files}")
    cluster.verify()
    return {**recording.counts, **judged}


def settle(cluster: Cluster, recording: Recording, *, within_s: float = WITHIN_S) -> None:
    """Return when every node showed one log, and all of them again with one entry more."""
    client = RecordingClient(recording, 0, timeout_s=within_s)
    wait_equal(cluster, within_s=within_s)
    message = f"all came right at {recording.now():.6f}"
    append = client.append([message], w=len(cluster.nodes))
    if append.outcome != "ok":
        raise Violation(f"no fault is left, and {append}\n{cluster.explain()}")
    wait_equal(cluster, within_s=within_s)
    for node in cluster.nodes:
        read = client.read(cluster.url(node))
        if not read.messages or read.messages[-1] != message:
            raise Violation(f"P5: {node} ended with another entry than {message!r}")
    client.close()


def wait_equal(cluster: Cluster, *, within_s: float = WITHIN_S) -> None:
    """Return when every node is well, and shows all of one log."""

    def is_equal() -> bool:
        each = [_whole_head(cluster, node) for node in cluster.nodes]
        return each[0] is not None and len(set(each)) == 1

    wait_until(is_equal, "all nodes equal", deadline_s=within_s, explain=cluster.explain)


def _whole_head(cluster: Cluster, node: str) -> str | None:
    """Return the hash of a node's log, where it is well and shows all of it."""
    try:
        health = json.loads(call("GET", f"{cluster.url(node)}/health", timeout_s=5).content)
    except httpx2.TransportError:
        return None
    is_whole = health["status"] == "ok" and health["committed_id"] == health["last_id"]
    return str(health["head"]) if is_whole else None


def note_disks(
    cluster: JudgedCluster, recording: Recording, snapshot: str, *, is_torn: bool = False
) -> None:
    """Write down what the disk of every node holds; none of them runs.

    Args:
        is_torn: the last thing that a node wrote may be there in part.
    """
    with cluster.directories() as directories:
        for node, directory in directories.items():
            held = held_on_disk(directory)
            if not (held.is_whole or is_torn):
                raise Violation(f"P2: {node} came right, and its log does not verify to its end")
            recording.disk(snapshot, cluster.url(node), held.messages)


def look_at_disks(cluster: ProcessCluster, recording: Recording, snapshot: str) -> None:
    """Write down what the disks hold in the middle of a run; all nodes are stopped meanwhile.

    What was answered at `w` is on `w` of them now. In the end all nodes are equal, and nobody
    sees any more who had what.
    """
    nodes = cluster.node.values()
    for node in nodes:
        node.send(signal.SIGSTOP)
    try:
        wait_until(lambda: all(map(_is_stopped, nodes)), "every node is stopped")
        note_disks(cluster, recording, snapshot, is_torn=True)
    finally:
        for node in nodes:
            node.send(signal.SIGCONT)


def _is_stopped(node: Node) -> bool:
    stat = Path("/proc", str(node.pid), "stat")  # macOS has none, and stops at once
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "T"
