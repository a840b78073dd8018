"""What appends wait while a secondary catches up, beside what they wait just after.

The secondaries of a log are machines of their own; here they share one. So the one that catches
up has a core of its own, and the other nodes and their clients the rest: what it does there is
not what appends wait for. Where all share all cores is measured as well, and told.

NETWORK, and DISK while nodes do not run.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proving.harness import Counts, Harness, Violation
from proving.harnesses.rejoin.stage import FILLING
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, wait_live
from tests.support.stories import append as append_one
from tests.support.stories import last_id, wait_equal

BEHIND: Final = 150_000
"""Entries of a kB: some seconds of catching up."""
AT_ONCE: Final = 2000
ROUNDS: Final = 4
CLIENTS: Final = 4
PAUSE_S: Final = 0.005
"""Between two appends of a client: the nodes are far from full load."""
LOOK_EVERY_S: Final = 0.2
RATIO_MAX: Final = 1.5
LONG_S: Final = 300.0


class Paced:
    """Clients that append one small entry at a time, at w=2, and note how long each took."""

    def __init__(self, url: str) -> None:
        self._host = url.removeprefix("http://")
        self._stopping = threading.Event()
        self._took: list[list[float]] = [[] for _ in range(CLIENTS)]
        self._threads = [threading.Thread(target=self._run, args=(took,)) for took in self._took]

    def during(self, what: Callable[[], None]) -> list[float]:
        """Return the seconds that each append took while `what` ran, in order of length."""
        for thread in self._threads:
            thread.start()
        try:
            what()
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join()
        return sorted(second for took in self._took for second in took)

    def _run(self, took: list[float]) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=LONG_S)
        body, headers = json.dumps({"message": "paced"}), {"content-type": "application/json"}
        while not self._stopping.wait(PAUSE_S):
            began = time.monotonic()
            connection.request("POST", "/logs?w=2", body, headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
            took.append(time.monotonic() - began)
        connection.close()


@dataclass(slots=True)
class Pairs:
    """How long appends took in windows of one length each, in seconds."""

    without: list[float] = field(default_factory=list)
    meanwhile: list[float] = field(default_factory=list)

    def p99_us(self) -> tuple[int, int]:
        without, meanwhile = sorted(self.without), sorted(self.meanwhile)
        return _p99_us(without), _p99_us(meanwhile)


def compare(case: int, directory: Path) -> Counts:
    """Measure `ROUNDS` pairs where S2 has a core of its own, and one where all nodes share all."""
    del case
    cores = sorted(os.sched_getaffinity(0))
    apart, sharing = Pairs(), Pairs()
    with ProcessCluster(directory) as cluster:
        cluster.start_all()
        _fill(cluster)
        wait_equal(cluster, deadline_s=LONG_S)
        _measure(cluster, sharing, own_core=None)
        for node in (MASTER, S1):
            _keep_on(cores[:-1] or cores, cluster.node[node].pid)
        os.sched_setaffinity(0, cores[:-1] or cores)
        try:
            for _ in range(ROUNDS):
                _measure(cluster, apart, own_core=cores[-1])
        finally:
            os.sched_setaffinity(0, cores)
        append_one(cluster, "the end", w="all")
    return judged(apart, sharing)


def _measure(cluster: ProcessCluster, pairs: Pairs, *, own_core: int | None) -> None:
    """Add a pair: while S2 catches up from nothing, and as long a time without it."""
    cluster.stop(S2)
    cluster.empty(S2)
    end = last_id(cluster, MASTER)

    _start_secondary(cluster, own_core)

    def catch_up() -> None:
        while last_id(cluster, S2) < end:
            time.sleep(LOOK_EVERY_S)

    began = time.monotonic()
    pairs.meanwhile += Paced(cluster.url(MASTER)).during(catch_up)
    window_s = time.monotonic() - began
    wait_equal(cluster, deadline_s=LONG_S)
    cluster.stop(S2)
    until = time.monotonic() + window_s

    def look_on() -> None:
        while time.monotonic() < until:
            last_id(cluster, S1)  # a look takes the clients' time, here as above
            time.sleep(LOOK_EVERY_S)

    pairs.without += Paced(cluster.url(MASTER)).during(look_on)
    _start_secondary(cluster, own_core)
    wait_equal(cluster, deadline_s=LONG_S)


def _start_secondary(cluster: ProcessCluster, own_core: int | None) -> None:
    own = os.sched_getaffinity(0)
    if own_core is not None:
        os.sched_setaffinity(0, [own_core])  # a process begins where the thread is that starts it
    try:
        cluster.start(S2)
    finally:
        os.sched_setaffinity(0, own)
    wait_live(cluster, S2)


def _keep_on(cores: Sequence[int], pid: int) -> None:
    """Let a process run on some cores only; the threads that it starts from now on, too."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cores)


def judged(apart: Pairs, sharing: Pairs) -> Counts:
    """Return the figures. Raises: Violation, where the p99 of those apart is beyond the ratio."""
    without, meanwhile = apart.p99_us()
    ratio = meanwhile / without
    said = f"p99 {without} µs without, {meanwhile} µs while a secondary catches up: {ratio:.2f} x"
    if ratio > RATIO_MAX:
        raise Violation(f"P8: {said}, of {len(apart.without)} and {len(apart.meanwhile)} appends")
    shared_without, shared_meanwhile = sharing.p99_us()
    return {
        "appends timed": len(apart.without) + len(apart.meanwhile),
        "µs of p99, S2 away": without,
        "µs of p99, S2 catching up": meanwhile,
        "µs of p99 on shared cores, S2 away": shared_without,
        "µs of p99 on shared cores, S2 catching up": shared_meanwhile,
    }


def _p99_us(took: Sequence[float]) -> int:
    return round(1e6 * took[len(took) * 99 // 100])


def _fill(cluster: ProcessCluster) -> None:
    connection = http.client.HTTPConnection(
        cluster.url(MASTER).removeprefix("http://"), timeout=LONG_S
    )
    body = json.dumps([{"message": f"{number} {FILLING}"} for number in range(AT_ONCE)])
    for _ in range(BEHIND // AT_ONCE):
        connection.request("POST", "/logs?w=2", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    connection.close()


HARNESSES = (
    Harness(
        name="rejoin-latency",
        row=7,
        promise=f"appends' p99 stays below {RATIO_MAX} times what it is",
        how="appends of 4 paced clients at w=2 while an emptied secondary, on a core of its own, "
        "catches up with 150,000 entries of 1 kB, beside as long a time just after, 4 pairs; a "
        "fifth pair where all share all cores is told only",
        unit="comparisons",
        cases=5,
        run=compare,
        sample=(),  # a ratio of times is judged in full runs only
    ),
)
