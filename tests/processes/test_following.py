"""Following real nodes: through restarts, through a master's death, a hundred at a time.

SHELL.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from replog.testing import free_ports
from tests.support.cluster import (
    MASTER,
    S1,
    ProcessCluster,
    answers,
    call,
    clean_environment,
    wait_live,
)
from tests.support.following import Following, Stream, opened
from tests.support.load import Load
from tests.support.waiting import wait_until


def log_of(cluster: ProcessCluster, node: str = MASTER) -> list[tuple[int, str]]:
    entries = json.loads(call("GET", f"{cluster.url(node)}/logs").content)
    return [(entry["id"], entry["message"]) for entry in entries]


def assert_followed(cluster: ProcessCluster, following: Following, *, at: str) -> None:
    """Assert that it has, or gets, just the log of the master, in its order."""
    log = log_of(cluster)
    wait_until(
        lambda: following.last_id >= log[-1][0] or following.failure is not None,
        f"the follower of {at} has {following.last_id} of {log[-1][0]}",
        explain=cluster.explain,
    )
    assert following.entries == log


@pytest.mark.parametrize("node", [MASTER, S1])
def test_a_follower_loses_and_doubles_nothing_when_its_node_restarts(
    tmp_path: Path, node: str
) -> None:
    with ProcessCluster(tmp_path, secondaries=1) as cluster:
        cluster.start_all()
        with Following(cluster.node[node].port) as following:
            for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
                before = following.last_id
                load = Load(
                    cluster.url(MASTER), prefix=f"{number}-{before}", clients=8, query="?w=1"
                )
                with load:
                    wait_until(lambda: following.last_id > before + 50, "it follows")  # noqa: B023
                    cluster.node[node].end(number)
                    cluster.start(node)
                    wait_live(cluster, node)
            assert_followed(cluster, following, at=node)
            assert following.connections == 4
            assert following.byes == ["stopping", "stopping"]


def test_who_follows_a_secondary_is_not_touched_by_the_death_of_the_master(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path, secondaries=1) as cluster:
        cluster.start_all()
        acknowledged: dict[int, str] = {}
        with Following(cluster.node[S1].port) as following:
            for round_ in range(3):
                with Load(cluster.url(MASTER), prefix=f"r{round_}", clients=8) as load:
                    wait_until(lambda: load.count > 100, "appends are taken")
                    cluster.kill(MASTER)
                    load.wait()
                acknowledged |= load.acknowledged.messages
                cluster.start(MASTER)
                wait_until(lambda: answers(f"{cluster.url(MASTER)}/readyz"), "it reigns again")
            with Load(cluster.url(MASTER), prefix="end", clients=1, total=1) as load:
                load.wait()
            assert_followed(cluster, following, at=S1)
            assert following.connections == 1, "its own node ran all the time"
        assert acknowledged.items() <= dict(following.entries).items()


def test_a_hundred_followers_of_a_node_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path, secondaries=1) as cluster, ExitStack() as stack:
        cluster.start_all()
        followings = [
            stack.enter_context(Following(cluster.node[node].port))
            for node in (MASTER, S1)
            for _ in range(50)
        ]
        with Load(cluster.url(MASTER), prefix="load", clients=16, total=3_000) as load:
            load.wait()
        assert load.acknowledged.statuses == {200: 3_000}
        for following in followings:
            assert_followed(cluster, following, at=f"a node of {MASTER} and {S1}")
        assert {following.connections for following in followings} == {1}


def test_a_stop_says_bye_to_every_follower_within_its_grace(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path, secondaries=0) as alone, ExitStack() as stack:
        node = alone.start_all().master
        streams = [
            stack.enter_context(opened(lambda: Stream(node.port, "?from=1"))) for _ in range(200)
        ]
        assert node.end(signal.SIGTERM) == 0
        for stream in streams:
            assert stream.bye() == {"reason": "stopping", "next": 1}
            assert stream.is_whole


def test_a_shell_that_allows_few_open_files_does_not_limit_followers(tmp_path: Path) -> None:
    [port] = free_ports(1)
    command = f"ulimit -S -n 128 && exec {sys.executable} -m replog serve --role master"
    node = subprocess.Popen(
        ["/bin/sh", "-c", f"{command} --port {port} --data-dir {tmp_path}/d"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
    )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), "it is ready")
        with ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(opened(lambda: Stream(port)))
    finally:
        with suppress(ProcessLookupError):
            node.terminate()
        node.wait()
