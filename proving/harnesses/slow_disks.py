"""Row 13: a disk that takes seconds to sync holds up those who count it, and nobody else.

NETWORK. What is judged is what was answered while a sync was under way, never a time.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proving.ending import settle_and_judge
from proving.harness import Counts, Harness, Violation
from proving.recording import Clients, Recording, RecordingClient
from tests.support.cluster import MASTER, S1, Cluster, ProcessCluster, call
from tests.support.slow_disk import SlowDisk
from tests.support.waiting import wait_until

SYNCS = 3
"""So many slow syncs are looked into on each case."""
STARVED_S = 0.5
"""A thread that wakes this much too late says that the machine, not the node, was too slow."""


def run_slow_secondary(case: int, directory: Path) -> Counts:
    """Every fdatasync of one secondary takes 2 s; `w=2` is answered inside of each."""
    return _run(case, directory, slow=S1, seconds=2.0, part=1.0)


def run_slow_master(case: int, directory: Path) -> Counts:
    """One fdatasync of the master in a hundred takes 5 s; reads and heartbeats go on inside."""
    return _run(case, directory, slow=MASTER, seconds=5.0, part=0.01)


def _run(case: int, directory: Path, *, slow: str, seconds: float, part: float) -> Counts:
    counts: Counter[str] = Counter()
    with ProcessCluster(directory) as cluster:
        disk = SlowDisk(cluster.node[slow], directory / f"slow-{case}")
        cluster.start_all()
        with Recording(directory / "run.jsonl", cluster.urls) as recording:
            probe = RecordingClient(recording, 0, timeout_s=60.0)
            append(probe, f"{case} begins", w=3)
            disk.take(seconds, part=part)
            with health_watched(cluster, counts), Clients(recording, seed=case, timeout_s=60.0):
                for number in range(SYNCS):
                    before = disk.slowed
                    _look_into_a_sync(cluster, disk, probe, f"{case} {number}", slow=slow)
                    counts["slow syncs looked into"] += 1
                    wait_until(lambda before=before: disk.slowed > before, "it ends")  # type: ignore[misc]
                disk.take(0.0)
            probe.close()
            counts["slow syncs"] = disk.slowed
            return {**settle_and_judge(cluster, recording), **counts}


def _look_into_a_sync(
    cluster: ProcessCluster, disk: SlowDisk, probe: RecordingClient, name: str, *, slow: str
) -> None:
    """Ask what must not wait for a sync, and see that it was still under way afterwards."""

    def answered_inside() -> bool:
        wait_until(lambda: disk.is_inside, "a sync takes long", deadline_s=120.0)
        begun = disk.begun
        for node in cluster.nodes:
            read = probe.read(cluster.url(node))
            if read.outcome != "ok":
                raise Violation(f"{node} does not serve beside a slow sync: {probe.told}")
        if slow != MASTER:
            append(probe, f"{name} after {begun}", w=2)
        return disk.is_inside and disk.begun == begun

    wait_until(answered_inside, f"all is answered inside one sync of {slow}", deadline_s=120.0)


def append(probe: RecordingClient, message: str, *, w: int) -> None:
    appended = probe.append([message], w=w)
    if appended.outcome != "ok":
        raise Violation(f"P8: {appended}")


@contextmanager
def health_watched(cluster: Cluster, counts: Counter[str]) -> Iterator[None]:
    """Assert at the end that nobody was ever unwell, as the master and secondaries tell it."""
    stopping = threading.Event()
    unwell: list[str] = []

    def watch() -> None:
        starved_at = 0.0
        while not stopping.is_set():
            slept = time.monotonic()
            stopping.wait(0.05)
            if time.monotonic() - slept > 0.05 + STARVED_S:
                starved_at = time.monotonic()
            told = [call("GET", f"{cluster.url(node)}/health").json() for node in cluster.nodes]
            health = {row["url"]: row["health"] for row in told[0]["secondaries"]}
            health |= {
                f"the master, at {one['node_id']}": one["master"]["health"] for one in told[1:]
            }
            counts["looks at the health"] += 1
            if set(health.values()) != {"HEALTHY"}:
                if time.monotonic() - starved_at < 10.0:
                    counts["looks on a starved machine"] += 1
                else:
                    unwell.append(f"R11: a slow disk is no silence: {health}")

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
    if unwell:
        raise Violation(unwell[0])


HARNESSES = (
    Harness(
        name="slow-secondary",
        row=13,
        promise="nobody who asked for less waits for a slow disk",
        how="each fdatasync of one secondary takes 2 s; reads, and appends at w=2, are answered "
        "inside one, and all nodes stay healthy",
        unit="slow syncs looked into",
        cases=20,
        per_case=SYNCS,
        run=run_slow_secondary,
        sample=(),
    ),
    Harness(
        name="slow-master",
        row=13,
        promise="a slow disk of the master holds up no read and no heartbeat",
        how="one fdatasync of the master in a hundred takes 5 s; reads are answered inside one, "
        "and all nodes stay healthy",
        unit="slow syncs looked into",
        cases=20,
        per_case=SYNCS,
        run=run_slow_master,
        sample=(),
    ),
)
