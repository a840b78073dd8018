"""What appends wait while a secondary catches up, beside what they wait just before.

NETWORK, and DISK while nodes do not run.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from proving.harness import Counts, Harness, Violation
from proving.harnesses.rejoin.stage import FILLING
from tests.support.cluster import MASTER, S2, ProcessCluster, wait_live
from tests.support.stories import append as append_one
from tests.support.stories import last_id, wait_equal

BEHIND: Final = 150_000
"""Entries of a kB: some seconds of catching up."""
AT_ONCE: Final = 2000
ROUNDS: Final = 2
CLIENTS: Final = 4
PAUSE_S: Final = 0.005
"""Between two appends of a client: the nodes are far from full load."""
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


def compare(case: int, directory: Path) -> Counts:
    """Measure `ROUNDS` pairs of windows, of one length each: S2 away, S2 catching up."""
    del case
    before: list[float] = []
    meanwhile: list[float] = []
    with ProcessCluster(directory) as cluster:
        cluster.start_all()
        _fill(cluster)
        wait_equal(cluster, deadline_s=LONG_S)
        for _ in range(ROUNDS):
            cluster.stop(S2)
            cluster.empty(S2)
            end = last_id(cluster, MASTER)

            def catch_up(end: int = end) -> None:
                cluster.start(S2)
                wait_live(cluster, S2)
                while last_id(cluster, S2) < end:
                    time.sleep(0.05)

            began = time.monotonic()
            meanwhile += Paced(cluster.url(MASTER)).during(catch_up)
            window_s = time.monotonic() - began
            wait_equal(cluster, deadline_s=LONG_S)
            cluster.stop(S2)
            before += Paced(cluster.url(MASTER)).during(partial(time.sleep, window_s))
            cluster.start(S2)
            wait_equal(cluster, deadline_s=LONG_S)
        append_one(cluster, "the end", w="all")
    return judged(sorted(before), sorted(meanwhile))


def judged(before: list[float], meanwhile: list[float]) -> Counts:
    """Return the figures of two samples, each in order. Raises: Violation, beyond the ratio."""
    p99 = [round(1e6 * took[len(took) * 99 // 100]) for took in (before, meanwhile)]
    ratio = p99[1] / p99[0]
    said = f"p99 {p99[0]} µs without, {p99[1]} µs while a secondary catches up: {ratio:.2f} x"
    if ratio > RATIO_MAX:
        raise Violation(f"P8: {said}, of {len(before)} and {len(meanwhile)} appends")
    return {
        "appends timed": len(before) + len(meanwhile),
        "µs of p99, S2 away": p99[0],
        "µs of p99, S2 catching up": p99[1],
    }


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
        how="appends of 4 paced clients at w=2 while an emptied secondary catches up with 150,000 "
        "entries of 1 kB, beside as long a time just after, 2 pairs",
        unit="comparisons",
        cases=5,
        run=compare,
        sample=(),  # a ratio of times is judged in full runs only
    ),
)
