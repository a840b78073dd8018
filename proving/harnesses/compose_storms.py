"""Row 9: containers are paused, killed, restarted, also in turn, and cut off, under load.

NETWORK.
"""

from __future__ import annotations

import atexit
import time
from collections import Counter
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from proving.ending import settle_and_judge, wait_equal
from proving.harness import Counts, Harness
from proving.needs import DOCKER
from proving.recording import Clients, Recording
from tests.support.cluster import wait_live
from tests.support.containers import ComposeCluster, built_image, docker
from tests.support.waiting import wait_until

FAULTS = 8


def run_storm(case: int, directory: Path) -> Counts:
    """Do `FAULTS` things to the containers of compose.yaml, and judge as for processes."""
    return storm(case, directory, image=_image(), faults=FAULTS)


@cache
def _image() -> str:
    """Return the image of this process's cases; it is taken away when the process ends."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(built_image(Path(mkdtemp())))


def storm(case: int, directory: Path, *, image: str, faults: int) -> Counts:
    random = Random(f"compose-storms {case}")
    counts: Counter[str] = Counter()
    with ComposeCluster(directory, image=image) as cluster:
        cluster.start_all()
        urls = [cluster.url(node) for node in cluster.nodes]
        with Recording(directory / "run.jsonl", urls) as recording:
            with Clients(recording, seed=case, clients=6, timeout_s=2.0) as clients:
                for _ in range(faults):
                    _wait_for_answers(cluster, clients)
                    hurt = random.choice((_pause, _kill, _cut_off, _restart, _restart_in_turn))
                    how_many = (3,) if hurt is _restart_in_turn else (1, 1, 2, 3)
                    nodes = random.sample(cluster.nodes, random.choice(how_many))
                    counts[hurt.__name__.strip("_")] += len(nodes)
                    lasts_s = random.choice((0.1, 1.0, 2.5))
                    hurt(cluster, recording, nodes, lasts_s)
                    for node in nodes:
                        wait_live(cluster, node)
                    if random.random() < 0.3:  # else the next one may come while they catch up
                        _wait_for_answers(cluster, clients)
            wait_equal(cluster)
            return {**counts, **settle_and_judge(cluster, recording)}


def _wait_for_answers(cluster: ComposeCluster, clients: Clients) -> None:
    wanted = clients.acknowledged + 10
    wait_until(
        lambda: clients.acknowledged >= wanted, "appends are answered", explain=cluster.explain
    )


def _pause(cluster: ComposeCluster, recording: Recording, nodes: list[str], lasts_s: float) -> None:
    for node in nodes:
        docker("pause", cluster.container(node))
        recording.fault("pause", cluster.url(node))
    time.sleep(lasts_s)  # how long it lasts is what is tried, here and below
    for node in nodes:
        docker("unpause", cluster.container(node))
        recording.fault("resume", cluster.url(node))


def _kill(cluster: ComposeCluster, recording: Recording, nodes: list[str], lasts_s: float) -> None:
    docker("kill", "--signal", "KILL", *map(cluster.container, nodes))
    for node in nodes:
        recording.fault("kill", cluster.url(node))
    time.sleep(lasts_s)
    for node in nodes:
        cluster.start(node)


def _cut_off(
    cluster: ComposeCluster, recording: Recording, nodes: list[str], lasts_s: float
) -> None:
    for node in nodes:
        cluster.cut_off(node)
        recording.fault("cut off", cluster.url(node))
    time.sleep(lasts_s)
    for node in nodes:
        cluster.reconnect(node)
        recording.fault("reconnect", cluster.url(node))


def _restart(
    cluster: ComposeCluster, recording: Recording, nodes: list[str], lasts_s: float
) -> None:
    for node in nodes:
        cluster.stop(node)
        recording.fault("stop", cluster.url(node))
    time.sleep(lasts_s)
    for node in nodes:
        cluster.start(node)


def _restart_in_turn(
    cluster: ComposeCluster, recording: Recording, nodes: list[str], lasts_s: float
) -> None:
    """Do as a rolling restart does: the next one only once the last one serves."""
    for node in nodes:
        _restart(cluster, recording, [node], lasts_s)
        wait_live(cluster, node)


HARNESSES = (
    Harness(
        name="compose-storms",
        row=9,
        promise="P1-P5, P9 over Docker Compose",
        how="one container or several paused, killed, stopped in order or cut off the network; "
        "or each in turn stopped in order and started, the next one once it serves",
        unit="faults",
        cases=25,
        per_case=FAULTS,
        run=run_storm,
        sample=(),  # tests/docker/test_compose.py runs some
        needs=(DOCKER,),
    ),
)
