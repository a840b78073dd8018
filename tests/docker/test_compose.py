"""The stories once more, over Docker Compose; and what only containers can show.

SHELL. Skipped where no engine answers; `REPLOG_REQUIRE_DOCKER=1` makes that a failure.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from proving.harnesses.compose_storms import storm
from tests.support import returning, stories
from tests.support.cluster import MASTER, S1, S2, call, wait_live
from tests.support.containers import (
    ROOT,
    ComposeCluster,
    built_image,
    compose_commands,
    docker,
    why_not,
)
from tests.support.waiting import wait_until


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with built_image(tmp_path_factory.mktemp("image")) as image:
        yield image


@pytest.fixture
def cluster(tmp_path: Path, image: str) -> Iterator[ComposeCluster]:
    with ComposeCluster(tmp_path, image=image) as cluster:
        yield cluster


def is_healthy(cluster: ComposeCluster, node: str) -> bool:
    return cluster.inspect(node, "{{.State.Health.Status}}") == "healthy"


def test_the_acceptance_test_over_compose(cluster: ComposeCluster) -> None:
    stories.acceptance(cluster)


def test_kill_9_of_anything_under_load_over_compose(cluster: ComposeCluster) -> None:
    stories.kill_under_load(cluster.start_all(), seed=4, rounds=4)


def test_delays_by_environment_over_compose(tmp_path: Path, image: str) -> None:
    settings = {"SECONDARY_1_DELAY": "1", "SECONDARY_2_DELAY": "3"}
    with ComposeCluster(tmp_path, image=image, settings=settings) as cluster:
        stories.delays(cluster.start_all(), first_s=1, second_s=3)


def test_a_hundred_appends_under_a_delay_pay_it_once_over_compose(cluster: ComposeCluster) -> None:
    cluster.start_all()
    for node in (S1, S2):
        stories.set_delay(cluster, node, 2)
    stories.delay_is_latency(cluster, delay_s=2)


def test_a_secondary_whose_volume_was_removed_refills(cluster: ComposeCluster) -> None:
    returning.emptied_secondary_refills(cluster.start_all())


def test_a_secondary_cut_off_for_100_000_entries_catches_up_over_compose(
    cluster: ComposeCluster,
) -> None:
    """Its network is taken away: nothing tells the master so, and its name resolves no more."""
    returning.cut_off_secondary_catches_up(
        cluster.start_all(),
        batch=20,
        cut=partial(cluster.cut_off, S2),
        mend=partial(cluster.reconnect, S2),
    )


def test_an_appearing_secondary_does_not_count_before_it_has_proven_its_log_over_compose(
    cluster: ComposeCluster,
) -> None:
    returning.unproven_secondary_does_not_count(cluster.start_all())


def test_every_container_is_healthy_unprivileged_local_and_keeps_its_volume(
    cluster: ComposeCluster,
) -> None:
    cluster.start_all()
    for node in cluster.nodes:
        wait_until(
            partial(is_healthy, cluster, node),
            f"{node} is healthy",
            deadline_s=stories.LONG_S,
            explain=cluster.explain,
        )
        who = docker("exec", cluster.container(node), "id", "-u")
        assert who == "10001", f"{node} runs as user {who}"
        bindings = json.loads(cluster.inspect(node, "{{json .HostConfig.PortBindings}}"))
        hosts = {binding["HostIp"] for ports in bindings.values() for binding in ports}
        assert hosts == {"127.0.0.1"}, f"{node} is published on {hosts}"
    message = "outlives its containers"
    assert stories.append(cluster, message, w="all") == 1
    cluster.compose("down")
    cluster.start_all()
    stories.check_history(cluster, {1: message})


def test_a_master_starts_alone_and_a_secondary_names_it_under_a_url_that_clients_reach(
    cluster: ComposeCluster,
) -> None:
    cluster.start(MASTER)
    wait_live(cluster, MASTER)
    assert [node for node in cluster.nodes if cluster.container(node)] == [MASTER]
    assert stories.append(cluster, "alone", w=1) == 1
    cluster.start(S1)
    wait_live(cluster, S1)
    wait_until(lambda: stories.messages(cluster, S1) == ["alone"], "S1 follows")
    refused = call("POST", f"{cluster.url(S1)}/logs", body='{"message":"not here"}')
    assert refused.status_code == 405
    assert f"http://localhost:{cluster.ports[MASTER]}" in refused.text


def test_a_node_that_dies_is_started_again_by_the_engine(cluster: ComposeCluster) -> None:
    """The kernel's kill, not Compose's: the restart policy answers it."""
    if os.geteuid() != 0:
        pytest.skip("needs root to kill a process of a container")
    cluster.start_all()
    assert stories.append(cluster, "before", w="all") == 1
    pid = cluster.inspect(MASTER, "{{.State.Pid}}")
    os.kill(int(pid), signal.SIGKILL)
    wait_until(
        lambda: cluster.inspect(MASTER, "{{.State.Pid}}") not in {"0", pid},
        "the engine starts the master again",
        explain=cluster.explain,
    )
    wait_live(cluster, MASTER)
    assert stories.append(cluster, "after", w="all") == 2
    stories.check_history(cluster, {1: "before", 2: "after"})


def test_every_generation_of_compose_that_is_here_takes_the_file() -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    for command in compose_commands():
        config = subprocess.run(
            [*command, "-f", "compose.yaml", "config", "--services"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert config.returncode == 0, config.stderr
        assert sorted(config.stdout.split()) == sorted([MASTER, S1, S2])


def test_a_storm_of_faults_holds_over_compose(tmp_path: Path, image: str) -> None:
    """What a full run of `compose-storms` has 200 of; a rolling restart is among these three."""
    assert storm(11, tmp_path, image=image, faults=3)["restart_in_turn"] == 3
