"""Row 4's short writes: the kernel takes the first bytes of a batch, for each number of bytes.

SHELL. A limit on the size of files (RLIMIT_FSIZE), set in the running node: the write that comes
to it is cut short there, and the next one is refused with EFBIG. strace can only claim that.
"""

from __future__ import annotations

import resource
from collections import Counter
from pathlib import Path

from proving.ending import settle_and_judge
from proving.harness import Counts, Violation
from proving.recording import Recording, RecordingClient
from tests.support.cluster import MASTER, S1, Node, ProcessCluster
from tests.support.waiting import wait_until

VICTIMS = (MASTER, S1)
LENGTHS = 10
"""How many numbers of bytes a case tries."""

BATCH_BYTES_MAX = 400
"""More than the batch of one short message has: the longest of these writes are whole."""

CASES = len(VICTIMS) * BATCH_BYTES_MAX // LENGTHS
_FIRST_BYTES = 200_000
"""The log is longer than all else that a node writes to, so that the limit meets nothing else."""


def run_case(case: int, directory: Path) -> Counts:
    """Cut the writes of one node short after each of some numbers of bytes."""
    at, turn = divmod(case, len(VICTIMS))
    counts: Counter[str] = Counter()
    with (
        ProcessCluster(directory) as cluster,
        Recording(directory / "run.jsonl", cluster.urls) as recording,
    ):
        cluster.start_all()
        client = RecordingClient(recording, 1, timeout_s=20)
        client.append(["x" * _FIRST_BYTES], w=3)
        for length in range(at * LENGTHS, (at + 1) * LENGTHS):
            counts.update(_cut_short(cluster.node[VICTIMS[turn]], length, client))
        client.close()
        counts.update(settle_and_judge(cluster, recording))
    return counts


def _cut_short(node: Node, length: int, client: RecordingClient) -> Counts:
    """Let the node write `length` bytes of a batch, then as many as it likes again."""
    before = _segment(node)
    _limit(node, len(before) + length)
    concern = 1 if node.name == MASTER else 3
    append = client.append([f"of which {length:03} bytes fit"], w=concern, timeout=0.5)
    is_whole = append.outcome == "ok"
    if not is_whole:
        wait_until(lambda: _segment(node) == before, "what came of it was cut back")
        expected = "refused" if node.name == MASTER else "pending"
        if append.outcome != expected:
            raise Violation(f"P3: with room for {length} bytes on {node.name}: {append}")
    elif len(_segment(node)) > len(before) + length:
        raise Violation(f"P2: {append} with room for {length} bytes on {node.name}")
    _limit(node, resource.RLIM_INFINITY)
    wait_until(lambda: _takes_an_append(client), "appends are taken again", explain=node.said)
    if not node.is_running:
        raise Violation(f"{node.name} ended over a write that was cut back\n{node.said()}")
    return {"whole writes" if is_whole else f"writes cut short on the {node.role}": 1}


def _takes_an_append(client: RecordingClient) -> bool:
    message = f"taken at {client.recording.now():.6f}"
    return client.append([message], w=3, timeout=10).outcome == "ok"


def _limit(node: Node, size: int) -> None:
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _segment(node: Node) -> bytes:
    [path] = node.segment_files()
    return path.read_bytes()
