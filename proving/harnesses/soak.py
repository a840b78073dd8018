"""Row 17: hours at half load with a fault each minute; memory, descriptors and threads stay flat.

NETWORK.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from proving.ending import settle_and_judge
from proving.harness import Counts, Harness
from proving.needs import PROC
from proving.recording import Clients, Life, Recording, RecordingClient
from proving.storm import Storm
from proving.usage import Usage, Watch, assert_flat, thirds
from tests.support.cluster import MASTER, ProcessCluster
from tests.support.waiting import wait_until

MINUTES = 10
FAULT_EVERY_S = 60.0
CLIENTS = 6
WARM_BYTES = 6 * 1024 * 1024
"""A log so long has filled what nodes keep of its end: some 12 MB of a master's memory."""
FILLING = "." * 100
OPTIONS = ("--key-window", "1000")
"""What a master remembers of keys is full soon, and must not grow then."""


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of a run: `samples` are of the node that was never ended, `spared`."""

    counts: Counts
    spared: str
    samples: Sequence[Usage]


def run_soak(case: int, directory: Path) -> Counts:
    """Soak for `MINUTES`, and judge as well that the spared node uses no more in the end."""
    soaked = soak(
        case,
        directory,
        seconds=60 * MINUTES,
        fault_every_s=FAULT_EVERY_S,
        warm_bytes=WARM_BYTES,
    )
    assert_flat(soaked.spared, soaked.samples)
    first, last = thirds(soaked.samples)
    return {
        **soaked.counts,
        "KiB of memory in the first third": first.resident_bytes // 1024,
        "KiB of memory in the last third": last.resident_bytes // 1024,
    }


def soak(
    case: int, directory: Path, *, seconds: float, fault_every_s: float, warm_bytes: int = 0
) -> Soaked:
    """Load a cluster for so long; one node, another one in each case, runs from end to end.

    Args:
        warm_bytes: the time begins when the log is so long; until then no client rests.
    """
    random = Random(f"soak {case}")
    with ProcessCluster(directory, master_options=OPTIONS) as cluster:
        cluster.start_all()
        spared = cluster.nodes[case % len(cluster.nodes)]
        with Recording(directory / "run.jsonl", cluster.urls) as recording:
            storm = Storm(cluster, recording, random)
            is_warm = threading.Event()
            lives: list[Life] = [partial(work_half_the_time, case, is_warm)] * CLIENTS
            with (
                Clients(recording, seed=case, clients=0, lives=[*lives, follow]) as clients,
                Watch([cluster.node[spared].pid]) as watch,
            ):
                _wait_for_bytes(cluster, clients, warm_bytes)
                is_warm.set()
                watch.begin()
                end = time.monotonic() + seconds
                while (due := time.monotonic() + fault_every_s) < end:
                    _hurt(storm, spared)
                    _wait_for_answers(storm, clients)
                    while time.monotonic() < due and clients.error is None:
                        time.sleep(0.1)
            counts = settle_and_judge(cluster, recording)
        log_bytes = _log_bytes(cluster)
        [samples] = watch.samples.values()
        return Soaked({**storm.counts, **counts, "bytes of the log": log_bytes}, spared, samples)


def _hurt(storm: Storm, spared: str) -> None:
    """Do one thing to one node, or to both that are not spared, and end it again."""
    random, cluster = storm.random, storm.cluster
    others = [node for node in cluster.nodes if node != spared]
    node = random.choice(others)
    kind = random.choice(("kill", "kill", "stop", "pause", "delay", "kill both"))
    lasts_s = random.choice((0.1, 1.0, 3.0, 7.0))
    if kind == "pause":
        storm.pause(random.choice(cluster.nodes), for_s=lasts_s)
    elif kind == "delay":
        node = random.choice([node for node in cluster.nodes if node != MASTER])
        storm.delay(node, random.choice((0.05, 0.5)))
    elif kind == "stop" and lasts_s < 1:
        storm.restart_twice(node)
    elif kind == "stop":
        storm.stop(node)
    else:
        storm.kill(others if kind == "kill both" else [node])
    time.sleep(lasts_s)  # how long it lasts is what is tried
    storm.heal()
    if kind == "delay":
        storm.delay(node, 0)


def _log_bytes(cluster: ProcessCluster) -> int:
    return sum(path.stat().st_size for path in cluster.master.segment_files())


def _wait_for_bytes(cluster: ProcessCluster, clients: Clients, count: int) -> None:
    wait_until(
        lambda: _log_bytes(cluster) >= count or clients.error is not None,
        f"the log has {count} bytes",
        deadline_s=600,
        explain=cluster.explain,
    )


def _wait_for_answers(storm: Storm, clients: Clients) -> None:
    wanted = clients.acknowledged + 20
    wait_until(
        lambda: clients.acknowledged >= wanted or clients.error is not None,
        "appends are answered again",
        explain=storm.cluster.explain,
    )


# --- clients ------------------------------------------------------------------------------------


def work_half_the_time(
    case: int,
    is_warm: threading.Event,
    client: RecordingClient,
    random: Random,
    stopping: threading.Event,
) -> None:
    """Append and read; once warm, rest after each operation for as long as it took."""
    made, shown = 0, 1
    while not stopping.is_set():
        began = time.monotonic()
        name = f"{case}-{client.number}-{made}"
        made += 1
        kind = random.choices(("one", "many", "keyed", "gives up", "reads"), (5, 2, 1, 0.2, 2))[0]
        w = random.choice((1, 1, 2, 3))
        if kind == "reads":
            first = max(1, shown - random.randrange(100))
            read = client.read(random.choice(client.recording.nodes), first=first, limit=500)
            shown = first + len(read.messages or ())
        elif kind == "many":
            client.append([f"{name}-{place}{FILLING}" for place in range(20)], w=w)
        else:
            client.append(
                [name],
                w=w,
                key=name if kind == "keyed" else None,
                give_up_s=0.002 if kind == "gives up" else None,
            )
        if is_warm.is_set():
            stopping.wait(max(time.monotonic() - began, 0.001))


def follow(client: RecordingClient, random: Random, stopping: threading.Event) -> None:
    """Open a stream at some node, take a few lines of it, and hang up; again and again."""
    while not stopping.is_set():
        host = random.choice(client.recording.nodes).removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=2)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/logs/stream", headers={"accept": "application/x-ndjson"})
            response = connection.getresponse()
            for _ in range(random.randrange(20)):
                response.readline()
            client.recording.count("streams followed")
        connection.close()
        stopping.wait(0.2)


HARNESSES = (
    Harness(
        name="soak",
        row=17,
        promise="P10: memory, descriptors and threads stay flat, and P1-P9 hold",
        how="half load, each client rests as long as it waited, and a random fault each minute",
        unit="minutes",
        cases=36,
        per_case=MINUTES,
        run=run_soak,
        sample=(),  # tests/proving/test_soak.py runs some seconds
        needs=(PROC,),
        is_parallel=True,
    ),
)
