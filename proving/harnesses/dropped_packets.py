"""Row 8: partitions made by kernels, which drop packets between network namespaces.

NETWORK. Fewer and slower than those of `partitions`, and the measure of its proxy: here no byte
is acknowledged that was not passed, and TCP sends again, backs off and gives up by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random

from proving.ending import settle_and_judge
from proving.harness import Counts, Harness, Violation
from proving.harnesses.partitions import (
    HEALS_WITHIN_S,
    NOTICED_LATE_S,
    health_of,
    wait_well,
)
from proving.needs import NAMESPACES
from proving.recording import Clients, Recording
from tests.support.cluster import MASTER, S1, S2, ProcessCluster
from tests.support.namespaces import Hosts
from tests.support.waiting import wait_until

CASES = 24
"""The one behind them is brief, and not judged by time: `make test` runs it."""

ACTS: tuple[tuple[str, Callable[[Hosts], None]], ...] = (
    ("master alone", lambda hosts: hosts.part(MASTER, S1, S2)),
    ("one alone", lambda hosts: hosts.part(MASTER, S1)),
    ("master and its clients apart", lambda hosts: hosts.unplug(MASTER)),
    ("split", lambda hosts: hosts.unplug(S2)),
    ("deaf", lambda hosts: hosts.misdirect(MASTER, S1)),
    ("mute", lambda hosts: hosts.misdirect(S1, MASTER)),
)
PARTED = {"one alone": S1, "deaf": S1, "mute": S1, "split": S2}
"""Whom the master loses while it keeps the other one, and its clients."""


def drop_packets(case: int, directory: Path) -> Counts:
    """Drop the packets between some hosts under load, and judge what came of it."""
    random = Random(f"dropped packets {case}")
    is_brief = case >= CASES
    name, act = ACTS[1 if is_brief else case % len(ACTS)]
    hold_s = 0.7 if is_brief else random.uniform(1, 10)
    with ExitStack() as stack:
        cluster = stack.enter_context(ProcessCluster(directory))
        hosts = stack.enter_context(Hosts(cluster))
        stack.callback(cluster.close)  # while its hosts are there
        cluster.start_all()
        recording = stack.enter_context(Recording(directory / "run.jsonl", cluster.urls))
        with Clients(
            recording, seed=case, clients=6, timeouts=(None, 0.3), pause_s=0.01, timeout_s=3.0
        ) as clients:
            wait_until(lambda: clients.acknowledged > 30, "appends are answered")
            recording.fault(name)
            act(hosts)
            began = time.monotonic()
            if name in PARTED and not is_brief:
                _is_noticed(cluster, PARTED[name], until_s=began + hold_s)
            time.sleep(max(0.0, began + hold_s - time.monotonic()))
            hosts.heal()
            took_s = wait_well(cluster, recording)
        if took_s > HEALS_WITHIN_S and not is_brief:
            raise Violation(f"{took_s:.1f} s after {name} ({hold_s:.1f} s) until all was well")
        judged = settle_and_judge(cluster, recording)
    return {**judged, name: 1, f"healed within {int(took_s) + 1} s": 1}


def _is_noticed(cluster: ProcessCluster, node: str, *, until_s: float) -> None:
    """No packet says that the link is gone: its silence does (R11)."""
    began = time.monotonic()
    for word, after_s in (("SUSPECTED", 2.0), ("UNHEALTHY", 5.0)):
        while health_of(cluster)[node] not in {word, "UNHEALTHY"}:
            now = time.monotonic()
            if now > until_s:
                return
            if now - began > after_s + NOTICED_LATE_S:
                raise Violation(f"R11: {node} is not {word} after {now - began:.1f} s")
            time.sleep(0.02)


HARNESSES = (
    Harness(
        name="dropped-packets",
        row=8,
        promise="partitions: safe, then live, as kernels make them",
        how="network namespaces on a switch that drops packets, both ways or one way",
        unit="partitions",
        cases=CASES + 1,
        run=drop_packets,
        sample=(CASES,),
        needs=(NAMESPACES,),
    ),
)
