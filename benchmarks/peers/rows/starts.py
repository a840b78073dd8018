"""Starting a node on a large log: how long until it is ready, and what memory it holds then.

DISK and NETWORK. The clock runs from the start of the process, imports included.
"""

from __future__ import annotations

import signal

from benchmarks.large import start
from benchmarks.nodes import measured_nodes
from benchmarks.peers.bench import Bench, say
from benchmarks.peers.figures import Quantity
from benchmarks.peers.logs import LogSize
from benchmarks.peers.systems import ours

ROW = "starts"
LARGE_ENTRIES = 10_000_000
SMALL_ENTRIES = 1_000_000


def ready_s(entries: int, batch_entries: int) -> Quantity:
    return Quantity(ROW, f"{_log(entries, batch_entries)}, ready after s", digits=2)


def memory_mb(entries: int, batch_entries: int) -> Quantity:
    return Quantity(ROW, f"{_log(entries, batch_entries)}, resident memory, MB", digits=1)


def _log(entries: int, batch_entries: int) -> str:
    came = "one by one" if batch_entries == 1 else f"batches of {batch_entries:,}"
    return f"{entries // 1_000_000} million entries, {came}"


def measure(bench: Bench) -> None:
    for batch_entries in bench.batch_entries:
        for entries in (SMALL_ENTRIES, LARGE_ENTRIES):
            size = LogSize(bench.scaled(entries), batch_entries)
            with bench.folder() as folder, measured_nodes(folder, secondaries=0) as cluster:
                node = cluster.master
                node.data = bench.logs.get(size)
                for _ in range(bench.rounds):
                    took = start(node, until="/readyz")
                    bench.figures.add(ready_s(entries, batch_entries), ours.NAME, took)
                    memory = node.memory_bytes() / 1e6
                    bench.figures.add(memory_mb(entries, batch_entries), ours.NAME, memory)
                    node.end(signal.SIGTERM)
            say(f"starts on {size.text}")
