"""Appends to a long log, beside the same to a short one.

NETWORK. Both clusters run all the time, and are measured in turn, the other one first each time.
Single rounds differ by a tenth, and the goal by a twentieth: hence more of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.large import catch_up, start
from benchmarks.load import HttpExchange
from benchmarks.nodes import measured_nodes
from benchmarks.peers.bench import Bench, load, say
from benchmarks.peers.figures import Quantity
from benchmarks.peers.logs import LogSize
from benchmarks.peers.systems import ours
from benchmarks.peers.systems.system import MESSAGE, Endpoint
from tests.support.cluster import S1, S2
from tests.support.connection import append_request

ROW = "growth"
LONG_ENTRIES = 10_000_000
SHORT_ENTRIES = 10_000
BATCH_ENTRIES = 1_000
CLIENTS = 32
ROUNDS = 3
"""For each round of other rows."""
SETTINGS = (
    "Two clusters of three, which run all the time, by turns, the other one first each time. "
    f"{ROUNDS} times as many rounds as named here, for single ones differ by more than the goal."
)

LONG = Quantity(ROW, f"on top of 10 million entries, {CLIENTS} clients, appends/s")
SHORT = Quantity(ROW, f"on top of 10 thousand entries, {CLIENTS} clients, appends/s")


def measure(bench: Bench) -> None:
    short = LogSize(bench.scaled(SHORT_ENTRIES), BATCH_ENTRIES)
    long = LogSize(bench.scaled(LONG_ENTRIES), BATCH_ENTRIES)
    with _cluster_on(bench, short) as one, _cluster_on(bench, long) as other:
        pair = ((SHORT, one), (LONG, other))
        for number in range(ROUNDS * bench.rounds + 1):
            for quantity, endpoint in pair if number % 2 else pair[::-1]:
                seconds = bench.seconds if number else bench.seconds / 4
                result = load(ours.NAME, endpoint, clients=CLIENTS, seconds=seconds)
                if number:
                    bench.figures.add(quantity, ours.NAME, result.per_second)
            say(f"round {number}: appends to logs of two lengths")


@contextmanager
def _cluster_on(bench: Bench, size: LogSize) -> Iterator[Endpoint]:
    """Start three nodes that all hold a log of `size`."""
    request = append_request(MESSAGE)
    with bench.folder() as folder, measured_nodes(folder) as cluster:
        bench.logs.copy(size, cluster.master.data)
        start(cluster.master, until="/livez")
        for name in (S1, S2):
            catch_up(cluster.node[name], entries=size.entries)
        yield Endpoint(cluster.master.port, lambda: HttpExchange(lambda: request))
