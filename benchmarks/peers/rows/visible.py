"""How long it takes from the sending of an append until a secondary's open stream shows it.

NETWORK. The stream is read by a process of its own, by the same clock.
"""

from __future__ import annotations

import uvloop

from benchmarks.follower_load import FollowerLoad
from benchmarks.following import append_paced, percentile
from benchmarks.nodes import measured_nodes
from benchmarks.peers.bench import Bench, say
from benchmarks.peers.figures import Quantity
from benchmarks.peers.systems import ours
from tests.support.cluster import S1, ProcessCluster

ROW = "visible"
RATE = 100.0

APPEND_P50_MS = Quantity(ROW, "append at w=all, p50 ms", digits=2)
APPEND_P99_MS = Quantity(ROW, "append at w=all, p99 ms", digits=2)
VISIBLE_P50_MS = Quantity(ROW, "from sent to visible on a secondary's stream, p50 ms", digits=2)
VISIBLE_P99_MS = Quantity(ROW, "from sent to visible on a secondary's stream, p99 ms", digits=2)


def measure(bench: Bench) -> None:
    with bench.folder() as folder, measured_nodes(folder) as cluster:
        cluster.start_all()
        uvloop.run(append_paced(cluster.master.port, rate=RATE, seconds=bench.seconds / 4))
        for number in range(1, bench.rounds + 1):
            _one_round(bench, cluster)
            say(f"round {number}: visible on a secondary")


def _one_round(bench: Bench, cluster: ProcessCluster) -> None:
    with FollowerLoad(cluster.node[S1].port, 1) as load:
        appends = uvloop.run(
            append_paced(cluster.master.port, rate=RATE, seconds=2 * bench.seconds)
        )
        (arrivals,) = load.collect(last_id=max(appends.answered_at))
    visible_ms = sorted(
        1000 * (arrival.at - appends.sent_at[entry_id])
        for arrival in arrivals
        for entry_id in arrival.ids
    )
    if len(visible_ms) != len(appends.sent_at):
        raise SystemExit(f"{len(visible_ms)} of {len(appends.sent_at)} entries came to be seen")
    append_ms = sorted(appends.latencies_ms)
    add = bench.figures.add
    add(APPEND_P50_MS, ours.NAME, percentile(append_ms, 50))
    add(APPEND_P99_MS, ours.NAME, percentile(append_ms, 99))
    add(VISIBLE_P50_MS, ours.NAME, percentile(visible_ms, 50))
    add(VISIBLE_P99_MS, ours.NAME, percentile(visible_ms, 99))
