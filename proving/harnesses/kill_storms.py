"""Row 9: kills, pauses and clean stops at random moments under load.

NETWORK.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from proving.ending import settle_and_judge
from proving.harness import Counts, Harness
from proving.recording import Clients, Recording
from proving.storm import SUSPECTED_S, UNHEALTHY_S, Storm
from tests.support.cluster import MASTER, ProcessCluster
from tests.support.waiting import wait_until

KILLS = 5
QUORUM = ("--quorum", "majority")


def run_storm(case: int, directory: Path) -> Counts:
    """Kill `KILLS` times, one node or several at once, with pauses and stops in between.

    In every fourth case a node hangs for longer than it takes to be UNHEALTHY, in every other
    fourth for longer than SUSPECTED; a third of the cases has a required quorum.
    """
    random = Random(f"kill-storms {case}")
    options = QUORUM if case % 3 == 2 else ()
    with ProcessCluster(directory, master_options=options) as cluster:
        cluster.start_all()
        with Recording(directory / "run.jsonl", cluster.urls) as recording:
            storm = Storm(cluster, recording, random)
            with Clients(recording, seed=case, clients=6, timeout_s=2.0) as clients:
                wait_until(lambda: clients.acknowledged > 20, "appends are answered")
                _rage(storm, clients, pause_s=_long_pause_s(case, random))
                storm.heal()
            return {**storm.counts, **settle_and_judge(cluster, recording)}


def _long_pause_s(case: int, random: Random) -> float | None:
    beyond = {1: UNHEALTHY_S, 3: SUSPECTED_S}.get(case % 4)
    return None if beyond is None else beyond + random.uniform(0.2, 1.0)


def _rage(storm: Storm, clients: Clients, *, pause_s: float | None) -> None:
    """Kill `KILLS` times.

    Args:
        pause_s: for how long one node hangs at first, which is not killed then.
    """
    random = storm.random
    spared = None
    if pause_s is not None:
        spared = random.choice(storm.cluster.nodes)
        storm.pause(spared, for_s=pause_s)
    for _ in range(KILLS):
        for node in sorted(storm.down):
            if random.random() < 0.8:
                storm.start(node)
        if random.random() < 0.7:
            _wait_for_answers(storm, clients, random.randrange(1, 40))
        time.sleep(random.uniform(0, 0.3))  # the moment is to be any
        storm.resume_due()
        if storm.up() and random.random() < 0.4:
            storm.pause(random.choice(storm.up()), for_s=random.uniform(0.02, 0.6))
        if storm.up() and random.random() < 0.3:
            node = random.choice(storm.up())
            storm.stop(node)
            storm.start(node)
        victims = [node for node in storm.running() if node != spared] or _revived(storm)
        storm.kill(random.sample(victims, min(len(victims), random.choice((1, 1, 2, 3)))))

    def all_go_on() -> bool:
        storm.resume_due()
        return not storm.paused

    wait_until(all_go_on, "all that hang go on", explain=storm.cluster.explain)


def _revived(storm: Storm) -> list[str]:
    """Start what is down, and return it."""
    nodes = sorted(storm.down)
    for node in nodes:
        storm.start(node)
    return nodes


def _wait_for_answers(storm: Storm, clients: Clients, count: int) -> None:
    """Return when `count` more appends were answered, or none can be."""
    wanted = clients.acknowledged + count

    def came_or_cannot() -> bool:
        storm.resume_due()
        up = storm.up()
        return MASTER not in up or len(up) == 1 or clients.acknowledged >= wanted

    wait_until(came_or_cannot, f"{count} more answers", explain=storm.cluster.explain)


HARNESSES = (
    Harness(
        name="kill-storms",
        row=9,
        promise="P1-P5, P9 across kills, pauses and clean stops",
        how="SIGKILL of one, two or all nodes, SIGSTOP, SIGTERM at random moments under load, "
        "of nodes that still start as well",
        unit="kills",
        cases=1000 // KILLS,
        per_case=KILLS,
        run=run_storm,
        sample=(0,),
    ),
)
