"""Appends at w=majority with one secondary stopped, beside the same with all three up.

NETWORK.
"""

from __future__ import annotations

from benchmarks.load import HttpExchange
from benchmarks.nodes import measured_nodes
from benchmarks.peers.bench import Bench, load, say
from benchmarks.peers.figures import Quantity
from benchmarks.peers.systems import ours
from benchmarks.peers.systems.system import MESSAGE, Endpoint
from tests.support.cluster import S2, ProcessCluster, call, wait_live
from tests.support.connection import append_request

ROW = "stopped"
CLIENTS = 32

ALL_UP = Quantity(ROW, f"w=majority, all up, {CLIENTS} clients, appends/s")
ONE_STOPPED = Quantity(ROW, f"w=majority, one secondary stopped, {CLIENTS} clients, appends/s")


def measure(bench: Bench) -> None:
    request = append_request(MESSAGE, query="?w=majority")
    with bench.folder() as folder, measured_nodes(folder) as cluster:
        cluster.start_all()
        endpoint = Endpoint(cluster.master.port, lambda: HttpExchange(lambda: request))
        load(ours.NAME, endpoint, clients=CLIENTS, seconds=bench.seconds / 4)
        for number in range(1, bench.rounds + 1):
            result = load(ours.NAME, endpoint, clients=CLIENTS, seconds=bench.seconds)
            bench.figures.add(ALL_UP, ours.NAME, result.per_second)
            cluster.stop(S2)
            result = load(ours.NAME, endpoint, clients=CLIENTS, seconds=bench.seconds)
            bench.figures.add(ONE_STOPPED, ours.NAME, result.per_second)
            cluster.start(S2)
            wait_live(cluster, S2)
            _wait_level(cluster)
            say(f"round {number}: one secondary stopped")


def _wait_level(cluster: ProcessCluster) -> None:
    """Return when every node has everything: an append at w=all is answered then."""
    answer = call("POST", f"{cluster.master.url}/logs?w=all", body='{"message":"level"}')
    if answer.status_code != 200:
        raise SystemExit(f"the secondary did not come back: {answer.text}")
