"""Starting a node on a large log: how long until it is ready, and what memory it holds then.

DISK and NETWORK. The clock runs from the start of the process, imports included.
"""

from __future__ import annotations

import signal
from contextlib import ExitStack

from benchmarks.large import start
from benchmarks.nodes import measured_nodes
from benchmarks.peers.bench import Bench, say
from benchmarks.peers.figures import Quantity
from benchmarks.peers.logs import LogSize
from benchmarks.peers.systems import ours
from tests.support.cluster import Node

ROW = "starts"
LARGE_ENTRIES = 10_000_000
SMALL_ENTRIES = 1_000_000
SIZES = (SMALL_ENTRIES, LARGE_ENTRIES)
STARTS_A_ROUND = 3
"""A start takes half a second, and now and then a tenth more: the median needs some of them."""


def ready_s(entries: int, batch_entries: int) -> Quantity:
    return Quantity(ROW, f"{_log(entries, batch_entries)}, ready after s", digits=2)


def memory_mb(entries: int, batch_entries: int) -> Quantity:
    return Quantity(ROW, f"{_log(entries, batch_entries)}, resident memory, MB", digits=1)


def _log(entries: int, batch_entries: int) -> str:
    came = "one by one" if batch_entries == 1 else f"batches of {batch_entries:,}"
    return f"{entries // 1_000_000} million entries, {came}"


def measure(bench: Bench) -> None:
    """Start on the small and the large log by turns: what changes on the machine meets both."""
    for batch_entries in bench.batch_entries:
        with ExitStack() as stack:
            nodes = [_node(bench, stack, entries, batch_entries) for entries in SIZES]
            for _ in range(STARTS_A_ROUND * bench.rounds):
                for entries, node in zip(SIZES, nodes, strict=True):
                    took = start(node, until="/readyz")
                    bench.figures.add(ready_s(entries, batch_entries), ours.NAME, took)
                    memory = node.memory_bytes() / 1e6
                    bench.figures.add(memory_mb(entries, batch_entries), ours.NAME, memory)
                    node.end(signal.SIGTERM)
        say(f"starts on {' and '.join(_log(entries, batch_entries) for entries in SIZES)}")


def _node(bench: Bench, stack: ExitStack, entries: int, batch_entries: int) -> Node:
    """Return a node on a log of so many entries, which was started once before."""
    folder = stack.enter_context(bench.folder())
    node = stack.enter_context(measured_nodes(folder, secondaries=0)).master
    node.data = bench.logs.get(LogSize(bench.scaled(entries), batch_entries))
    start(node, until="/readyz")
    node.end(signal.SIGTERM)
    return node
