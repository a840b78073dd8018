"""A disk that fails under a running node: fdatasync answers EIO, or there is no space.

DISK and SHELL. The faults are real: strace makes the kernel's answer, a small tmpfs is full.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from proving.needs import ROOT, STRACE, Need
from tests.support import stories
from tests.support.beating import wait_beats
from tests.support.cluster import MASTER, S1, S2, Cluster, ProcessCluster, call, wait_live
from tests.support.load import Load
from tests.support.needed import need
from tests.support.slow_disk import SlowDisk
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until


@contextmanager
def failing_fdatasync(pid: int, directory: Path) -> Iterator[None]:
    """Let every fdatasync of a running process, on any of its threads, fail with EIO."""
    need(STRACE)
    trace = directory / f"strace-{pid}.txt"
    command = ["strace", "-f", "-p", str(pid), "-o", str(trace), "-e", "trace=fdatasync"]
    with subprocess.Popen(
        [*command, "-e", "inject=fdatasync:error=EIO"], stderr=subprocess.PIPE, text=True
    ) as strace:
        try:
            assert strace.stderr is not None
            line = strace.stderr.readline()
            need(Need("strace that may attach", lambda: None if "attached" in line else line))
            yield
        finally:
            strace.send_signal(signal.SIGINT)


def last_words(cluster: ProcessCluster, node: str, *, before: int) -> list[str]:
    """Return the lines that the node wrote since it had written `before` characters."""
    return cluster.node[node].said()[before:].splitlines()


def assert_one_line_names_the_sync(words: list[str]) -> None:
    assert "Traceback" not in "\n".join(words)
    named = [line for line in words if re.search(r"fdatasync|sync", line, re.IGNORECASE)]
    assert len(named) == 1, words


# --- fdatasync fails ------------------------------------------------------------------------


def test_a_failing_fdatasync_on_the_master_acknowledges_nothing_says_so_and_ends_it(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = {stories.append(cluster, "before", w="all"): "before"}
        before = len(cluster.master.said())
        with failing_fdatasync(cluster.master.pid, tmp_path):
            body = json.dumps({"message": "on a failing disk", "w": 1})
            try:
                answer = call("POST", f"{cluster.url(MASTER)}/logs", body=body)
            except httpx2.TransportError:
                pass  # the connection broke off: unknown, and so it is
            else:
                assert answer.status_code == 500, answer.text
                problem = answer.json()
                assert (problem["type"], problem["id"]) == ("/problems/outcome-unknown", 2)
            assert cluster.master.wait_ended() not in {0, -signal.SIGKILL}
        assert_one_line_names_the_sync(last_words(cluster, MASTER, before=before))
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        following = stories.append(cluster, "after", w="all")
        assert following in {2, 3}
        stories.check_history(cluster, told | {following: "after"})


def test_a_failing_fdatasync_on_a_secondary_is_not_acknowledged_and_blocks_nobody_else(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = {stories.append(cluster, "before", w="all"): "before"}
        before = len(cluster.node[S1].said())
        with failing_fdatasync(cluster.node[S1].pid, tmp_path):
            told[stories.append(cluster, "two are enough", w=2)] = "two are enough"
            assert cluster.node[S1].wait_ended() not in {0, -signal.SIGKILL}
        answer = stories.try_append(cluster, "not on three", w=3, timeout=0.2)
        assert answer.status_code == 202, answer.text
        assert answer.json()["acks"] == [cluster.url(MASTER), cluster.url(S2)]
        assert_one_line_names_the_sync(last_words(cluster, S1, before=before))
        cluster.start(S1)
        stories.check_history(cluster, told | {3: "not on three"})


# --- the disk is full -----------------------------------------------------------------------


def fill_up(cluster: Cluster) -> tuple[int, dict[int, str]]:
    """Append until an append is refused; return its status and what was acknowledged."""
    padding = " " + 4000 * "x"
    url = cluster.url(MASTER)
    told: dict[int, str] = {}
    for number in range(100):
        prefix = f"fill {number}"
        load = Load(url, prefix=prefix, clients=8, query="?w=1", total=64, padding=padding)
        with load:
            load.wait()
        told |= load.acknowledged.messages
        refused = set(load.acknowledged.statuses) - {200}
        if refused:
            assert len(refused) == 1, load.acknowledged.statuses
            return refused.pop(), told
    raise AssertionError("the disk never filled")


def wait_said_in_order(cluster: ProcessCluster, node: str, first: str, last: str) -> None:
    """Return when the node's last word of the two is `last`, and it said `first` before."""

    def is_said() -> bool:
        said = cluster.node[node].said()
        return 0 <= said.find(first) < said.rfind(first) + 1 <= said.rfind(last)

    wait_until(is_said, f"{node} says {first!r}, then {last!r}", explain=cluster.explain)


def test_a_full_disk_refuses_appends_and_nothing_else_and_resumes_by_itself(
    tmp_path: Path,
) -> None:
    need(ROOT)
    with small_disk(tmp_path / MASTER, size="2m") as disk, ProcessCluster(tmp_path) as cluster:
        disk.fill(leave=1 << 20)
        cluster.start_all()
        pid = cluster.master.pid
        status, told = fill_up(cluster)
        assert status in {503, 507}
        assert len(stories.messages(cluster, MASTER)) == len(told), "something refused is stored"
        wait_beats(cluster, MASTER)
        disk.free()
        wait_until(
            lambda: stories.try_append(cluster, "there is space", w=3).status_code == 200,
            "appends are taken again",
            explain=cluster.explain,
        )
        assert cluster.master.pid == pid
        assert cluster.master.is_running
        wait_said_in_order(cluster, MASTER, "read-only: ", "appends are taken again")
        stories.check_history(cluster, told | {len(told) + 1: "there is space"})


def test_a_full_disk_on_a_secondary_holds_up_only_who_counts_it(tmp_path: Path) -> None:
    need(ROOT)
    with small_disk(tmp_path / S1, size="2m") as disk, ProcessCluster(tmp_path) as cluster:
        disk.fill(leave=1 << 20)
        cluster.start_all()
        padding = " " + 4000 * "x"
        url = cluster.url(MASTER)
        with Load(url, prefix="fill", clients=8, query="?w=2", total=1000, padding=padding) as load:
            load.wait()
        assert load.count == 1000, load.acknowledged.statuses
        shown = stories.messages(cluster, S1)
        assert len(shown) < 1000
        assert shown == stories.messages(cluster, MASTER)[: len(shown)]
        with stories.WaitingAppend(cluster, "on all three", w=3) as waiting:
            wait_until(lambda: len(stories.messages(cluster, S2)) == 1001, "S2 shows it")
            assert not waiting.is_answered
            disk.free()
            disk.resize("64m")
        assert waiting.status == 200
        wait_said_in_order(cluster, S1, "the disk is full: ", "the disk takes batches again")
        stories.check_history(cluster, load.acknowledged.messages | {1001: "on all three"})


def test_a_master_that_starts_on_a_full_disk_refuses_appends_and_goes_on_by_itself(
    tmp_path: Path,
) -> None:
    need(ROOT)
    with small_disk(tmp_path / MASTER, size="2m") as disk, ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = {stories.append(cluster, "before", w="all"): "before"}
        cluster.stop(MASTER)
        disk.fill(leave=0)
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        answer = stories.try_append(cluster, "refused", w=1)
        assert (answer.status_code, "retry-after" in answer.headers) == (507, True), answer.text
        assert "epoch was not stored" in answer.json()["detail"]
        assert [stories.messages(cluster, node) for node in cluster.nodes] == 3 * [["before"]]
        disk.free()
        wait_until(
            lambda: stories.try_append(cluster, "there is space", w=3).status_code == 200,
            "appends are taken",
            explain=cluster.explain,
        )
        stories.check_history(cluster, told | {2: "there is space"})


# --- the disk is slow -----------------------------------------------------------------------


def test_a_secondary_inside_a_slow_sync_holds_up_only_who_counts_it(tmp_path: Path) -> None:
    """Reads at it, heartbeats, and appends that count others go on before the sync ends."""
    with ProcessCluster(tmp_path) as cluster:
        disk = SlowDisk(cluster.node[S1], tmp_path / "slow")
        cluster.start_all()
        told = {stories.append(cluster, "before", w="all"): "before"}
        disk.hold()
        with stories.WaitingAppend(cluster, "on all three", w=3) as waiting:
            wait_until(lambda: disk.is_inside, "S1 is inside a sync", explain=cluster.explain)
            told[stories.append(cluster, "on two", w=2)] = "on two"
            assert stories.messages(cluster, S1)[:1] == ["before"]
            wait_beats(cluster, MASTER)
            assert disk.is_inside
            assert not waiting.is_answered
            disk.release()
        assert waiting.status == 200
        assert len(told) == 2
        stories.check_history(cluster, told)


def test_a_master_inside_a_slow_sync_serves_and_beats(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        disk = SlowDisk(cluster.master, tmp_path / "slow")
        cluster.start_all()
        told = {stories.append(cluster, "before", w="all"): "before"}
        disk.hold()
        with stories.WaitingAppend(cluster, "on its way", w=1) as waiting:
            wait_until(lambda: disk.is_inside, "it is inside a sync", explain=cluster.explain)
            assert [stories.messages(cluster, node) for node in cluster.nodes] == 3 * [["before"]]
            wait_beats(cluster, MASTER)
            assert disk.is_inside
            assert not waiting.is_answered
            disk.release()
        assert waiting.status == 200
        stories.check_history(cluster, told | {2: "on its way"})
