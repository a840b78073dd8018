"""Appends per second and their latency, at `w=all` with fdatasync on every node.

NETWORK. Rounds go around the numbers of clients, so that a slow moment touches all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.load import Round, append_for
from benchmarks.nodes import measured_nodes
from benchmarks.report import Measured, measured, table
from tests.support.cluster import ProcessCluster
from tests.support.connection import append_request

MESSAGE = 100 * "x"


@dataclass(frozen=True, slots=True)
class Appends:
    """Figures for one number of clients."""

    clients: int
    per_second: Measured
    p50_ms: Measured
    p99_ms: Measured


@dataclass(frozen=True, slots=True)
class AppendReport:
    appends: list[Appends]
    entries: int
    memory_mb_before: dict[str, float]
    memory_mb_after: dict[str, float]

    def text(self) -> str:
        rows = [
            [
                str(line.clients),
                line.per_second.text(),
                line.p50_ms.text(2),
                line.p99_ms.text(2),
            ]
            for line in self.appends
        ]
        header = ["clients", "appends/s", "p50 ms", "p99 ms"]
        appends = table(
            f"Appends of {len(MESSAGE)} bytes, three nodes, w=all, fdatasync on each", header, rows
        )
        return appends + memory_table(
            f"Resident memory, MB, around these {self.entries:,} appends",
            self.memory_mb_before,
            self.memory_mb_after,
        )


def memory_table(title: str, before: dict[str, float], after: dict[str, float]) -> str:
    rows = [[node, f"{before[node]:.1f}", f"{after[node]:.1f}"] for node in before]
    return "\n" + table(title, ["node", "before", "after"], rows)


def memory_mb(cluster: ProcessCluster) -> dict[str, float]:
    return {name: cluster.node[name].memory_bytes() / 1e6 for name in cluster.nodes}


def measure_appends(
    directory: Path, *, clients: Sequence[int], rounds: int, seconds: float
) -> AppendReport:
    request = append_request(MESSAGE)
    results: dict[int, list[Round]] = {count: [] for count in clients}
    with measured_nodes(directory) as cluster:
        cluster.start_all()
        port = cluster.master.port
        before = memory_mb(cluster)

        def one_round(count: int, duration_s: float) -> Round:
            result = uvloop.run(
                append_for("127.0.0.1", port, clients=count, seconds=duration_s, request=request)
            )
            if result.failures or not result.latencies_s:
                raise SystemExit(
                    f"{result.failures} of the appends of {count} clients failed\n"
                    f"{cluster.explain()}"
                )
            return result

        for count in clients:
            one_round(count, seconds / 4)
        for _ in range(rounds):
            for count in clients:
                results[count].append(one_round(count, seconds))
        after = memory_mb(cluster)
    appends = [
        Appends(
            clients=count,
            per_second=measured([result.per_second for result in done]),
            p50_ms=measured([result.percentile_ms(50) for result in done]),
            p99_ms=measured([result.percentile_ms(99) for result in done]),
        )
        for count, done in results.items()
    ]
    entries = sum(len(result.latencies_s) for done in results.values() for result in done)
    return AppendReport(appends, entries, before, after)
