"""A disk that fails under a running node: fdatasync answers EIO, or there is no space.

DISK and SHELL. The faults are real: strace makes the kernel's answer, a small tmpfs is full.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support import stories
from tests.support.cluster import MASTER, S1, S2, Cluster, ProcessCluster, call, wait_live
from tests.support.load import Load
from tests.support.waiting import wait_until

REQUIRE_FAULTS = bool(os.environ.get("REPLOG_REQUIRE_FAULTS"))
"""Set (as .ci/run does), a fault that cannot be made here is a failure, not a skip."""


def need(available: bool, reason: str) -> None:
    if not available:
        assert not REQUIRE_FAULTS, reason
        pytest.skip(reason)


@contextmanager
def failing_fdatasync(pid: int, directory: Path) -> Iterator[None]:
    """Let every fdatasync of a running process, on any of its threads, fail with EIO."""
    need(shutil.which("strace") is not None, "needs strace (apt-get install strace)")
    trace = directory / f"strace-{pid}.txt"
    command = ["strace", "-f", "-p", str(pid), "-o", str(trace), "-e", "trace=fdatasync"]
    with subprocess.Popen(
        [*command, "-e", "inject=fdatasync:error=EIO"], stderr=subprocess.PIPE, text=True
    ) as strace:
        try:
            assert strace.stderr is not None
            line = strace.stderr.readline()
            need("attached" in line, f"strace may not attach here: {line}")
            yield
        finally:
            strace.send_signal(signal.SIGINT)


@contextmanager
def small_disk(directory: Path, *, size: str) -> Iterator[None]:
    """Mount a tmpfs of `size` on `directory`."""
    need(sys.platform == "linux" and os.geteuid() == 0, "needs root to mount a small tmpfs")
    directory.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "replog-test", str(directory)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    need(mounted.returncode == 0, f"may not mount here: {mounted.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


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


def test_a_full_disk_refuses_appends_and_nothing_else_and_resumes_by_itself(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / MASTER, size="2m"), ProcessCluster(tmp_path) as cluster:
        ballast = tmp_path / MASTER / "ballast"
        ballast.write_bytes(bytes(1 << 20))
        cluster.start_all()
        pid = cluster.master.pid
        status, told = fill_up(cluster)
        assert status in {503, 507}
        assert len(stories.messages(cluster, MASTER)) == len(told), "something refused is stored"
        wait_beats(cluster, MASTER)
        ballast.unlink()
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
    with small_disk(tmp_path / S1, size="2m"), ProcessCluster(tmp_path) as cluster:
        ballast = tmp_path / S1 / "ballast"
        ballast.write_bytes(bytes(1 << 20))
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
            ballast.unlink()
            subprocess.run(["mount", "-o", "remount,size=64m", str(tmp_path / S1)], check=True)
        assert waiting.status == 200
        wait_said_in_order(cluster, S1, "the disk is full: ", "the disk takes batches again")
        stories.check_history(cluster, load.acknowledged.messages | {1001: "on all three"})
