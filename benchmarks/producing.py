"""Entries per second through a `Producer` of the Python client, at `w=all`.

NETWORK. What the client costs is measured too: it shares the machine with the nodes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.nodes import measured_nodes
from benchmarks.report import Measured, measured, table
from replog.client import Client, Producer


@dataclass(frozen=True, slots=True)
class ProducerReport:
    """Figures of one size of rounds.

    Attributes:
        client_cpu_us: of the producing process, for each entry.
    """

    entries: int
    message_bytes: int
    per_second: Measured
    client_cpu_us: Measured

    def text(self) -> str:
        rows = [
            ["entries/s", self.per_second.text()],
            ["CPU of the client, µs an entry", self.client_cpu_us.text(2)],
        ]
        title = (
            f"A producer, {self.entries:,} entries of {self.message_bytes} bytes a round, "
            "three nodes, w=all, fdatasync on each"
        )
        return table(title, ["", "median (spread)"], rows)


@dataclass(frozen=True, slots=True)
class Produced:
    """One round: the processor time is this process's, which does nothing else meanwhile."""

    elapsed_s: float
    cpu_s: float


def measure_producer(directory: Path, *, entries: int, rounds: int, message: str) -> ProducerReport:
    with measured_nodes(directory) as cluster:
        cluster.start_all()
        with Client([cluster.url(node) for node in cluster.nodes]) as client:
            client.append(message, w="all")  # the connection, and where the master is
            produce(client, entries // 4, message)
            done = [produce(client, entries, message) for _ in range(rounds)]
    return ProducerReport(
        entries=entries,
        message_bytes=len(message.encode()),
        per_second=measured([entries / one.elapsed_s for one in done]),
        client_cpu_us=measured([1e6 * one.cpu_s / entries for one in done]),
    )


def produce(client: Client, entries: int, message: str) -> Produced:
    """Append, and wait until the last entry is stored on all nodes."""
    started, cpu = time.perf_counter(), time.process_time()
    with Producer(client, w="all") as producer:
        for _ in range(entries):
            producer.append(message)
    return Produced(time.perf_counter() - started, time.process_time() - cpu)
