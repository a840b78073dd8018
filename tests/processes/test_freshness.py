"""Reads as fresh as they ask, on real nodes: an id, the master's word, a lag."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support import stories
from tests.support.cluster import MASTER, S1, ProcessCluster, call, wait_live
from tests.support.waiting import wait_until


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ProcessCluster]:
    with ProcessCluster(tmp_path, secondaries=1) as started:
        started.start_all()
        stories.append(started, "first", w="all")
        yield started


def read(cluster: ProcessCluster, node: str, query: str) -> httpx2.Response:
    return call("GET", f"{cluster.url(node)}/logs?{query}")


def test_a_secondary_waits_for_the_id_that_its_reader_wrote(cluster: ProcessCluster) -> None:
    stories.set_delay(cluster, S1, 1.0)
    written = stories.append(cluster, "mine", w=1)
    early = read(cluster, S1, f"min_id={written}&timeout=0")
    assert early.status_code == 504
    assert early.json()["committed"] == written - 1
    mine = read(cluster, S1, f"min_id={written}&last=1")
    assert mine.json() == [{"id": written, "message": "mine"}]
    assert read(cluster, MASTER, f"min_id={written + 1}&timeout=0.1").status_code == 504


def test_a_linearizable_read_shows_what_was_answered_before_it_anywhere(
    cluster: ProcessCluster,
) -> None:
    stories.set_delay(cluster, S1, 0.7)
    for number in range(3):
        written = stories.append(cluster, f"entry {number}", w=1)
        answer = read(cluster, S1, "level=master&last=1")
        assert answer.status_code == 200, answer.text
        assert answer.json() == [{"id": written, "message": f"entry {number}"}]
        assert answer.headers["log-level"] == "master"
    assert read(cluster, MASTER, "level=master").status_code == 200


def test_a_node_that_cannot_ask_its_master_says_so(cluster: ProcessCluster) -> None:
    wait_until(
        lambda: "log-lag" in read(cluster, S1, "").headers, "it was level", explain=cluster.explain
    )
    cluster.kill(MASTER)
    wait_until(
        lambda: read(cluster, S1, "level=master&timeout=1").status_code == 503,
        "it has no master",
        explain=cluster.explain,
    )
    refused = read(cluster, S1, "level=master").json()
    assert (refused["type"], refused["committed"]) == ("/problems/no-master", 1)
    late = read(cluster, S1, "max_lag_ms=1")
    assert (late.status_code, late.json()["type"]) == (503, "/problems/too-far-behind")
    assert late.json()["lag_ms"] > 1
    assert read(cluster, S1, "min_id=1").json() == [{"id": 1, "message": "first"}]
    assert read(cluster, S1, "").headers["log-master"] == "unreachable"
    cluster.start(MASTER)
    wait_live(cluster, MASTER)
    wait_until(
        lambda: read(cluster, S1, "level=master&timeout=1").status_code == 200,
        "it has one again",
        explain=cluster.explain,
    )


def test_a_paused_master_makes_its_secondaries_older_and_never_younger(
    cluster: ProcessCluster,
) -> None:
    assert read(cluster, S1, "max_lag_ms=5000").status_code == 200
    master = cluster.master.process
    assert master is not None
    master.send_signal(signal.SIGSTOP)
    try:
        wait_until(
            lambda: float(read(cluster, S1, "timeout=1").headers.get("log-lag", "0")) > 1.5,
            "nobody has said for a while that this is all",
            explain=cluster.explain,
        )
        assert read(cluster, S1, "max_lag_ms=1000").status_code == 503
    finally:
        master.send_signal(signal.SIGCONT)
    wait_until(
        lambda: read(cluster, S1, "max_lag_ms=1000").status_code == 200,
        "it is level again",
        explain=cluster.explain,
    )


def test_a_delayed_secondary_is_as_old_as_what_it_lacks(cluster: ProcessCluster) -> None:
    assert read(cluster, S1, "max_lag_ms=300").status_code == 200, "the master is asked"
    stories.set_delay(cluster, S1, 5.0)
    stories.append(cluster, "on its way for a while", w=1)
    wait_until(
        lambda: read(cluster, S1, "max_lag_ms=300").status_code == 503,
        "it lacks an entry that the master has",
        explain=cluster.explain,
    )
    assert read(cluster, MASTER, "max_lag_ms=0").status_code == 200
    stories.set_delay(cluster, S1, 0.0)
    wait_until(
        lambda: read(cluster, S1, "max_lag_ms=300").status_code == 200,
        "it has it now",
        explain=cluster.explain,
    )
