"""Ready-made logs, and a master started on one.

SHELL. A log is made once for all rows that need it, offline, through the storage layer.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.large import fill, start
from benchmarks.nodes import measured_nodes
from benchmarks.peers.bench import Bench, say
from benchmarks.peers.systems.system import MESSAGE
from tests.support.cluster import Node


@dataclass(frozen=True, slots=True)
class LogSize:
    """How many entries a log has, and how many of them make a batch."""

    entries: int
    batch_entries: int

    @property
    def text(self) -> str:
        batches = (
            "one by one" if self.batch_entries == 1 else f"in batches of {self.batch_entries:,}"
        )
        return f"{self.entries:,} entries {batches}"


@dataclass(slots=True)
class Logs:
    """Logs by size, each in the data directory of a master that does not run."""

    directory: Path
    _made: dict[LogSize, Path] = field(default_factory=dict)

    def get(self, size: LogSize) -> Path:
        path = self._made.get(size)
        if path is None:
            say(f"makes a log of {size.text}")
            path = self.directory / f"log-{size.entries}-{size.batch_entries}"
            fill(path, entries=size.entries, batch_entries=size.batch_entries, message=MESSAGE)
            self._made[size] = path
        return path

    def copy(self, size: LogSize, to: Path) -> None:
        """Copy a log, for a row that appends to it."""
        shutil.copytree(self.get(size), to)


@contextmanager
def master_on(bench: Bench, size: LogSize) -> Iterator[Node]:
    """Start a master without secondaries on a log of `size`."""
    with bench.folder() as folder, measured_nodes(folder, secondaries=0) as cluster:
        cluster.master.data = bench.logs.get(size)
        start(cluster.master, until="/readyz")
        yield cluster.master
