"""What every row of the comparison is given: sizes, systems, folders, and where figures go.

SHELL.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benchmarks.load import Round, closed_loop
from benchmarks.peers.figures import Figures
from benchmarks.peers.systems.system import HOST, Endpoint, System

if TYPE_CHECKING:
    from benchmarks.peers.logs import Logs


@dataclass(slots=True)
class Bench:
    """One run of the comparison.

    Attributes:
        directory: where folders are made; it is removed with all that is in it.
        logs: those that are made once for all rows.
        seconds: of one round of one system.
        clients: the numbers of clients for single appends.
        entries: of the largest logs; the others are in proportion.
        batch_entries: in what batches large logs are to have come.
        systems: those that can be started here, this one first.
        has_nginx: whether the limit for reads can be measured.
    """

    directory: Path
    logs: Logs
    rounds: int
    seconds: float
    clients: Sequence[int]
    entries: int
    batch_entries: Sequence[int]
    systems: Sequence[System]
    has_nginx: bool
    figures: Figures = field(default_factory=Figures)
    _folders: int = 0

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give a new folder, which is removed with all that is in it."""
        self._folders += 1
        path = self.directory / str(self._folders)
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def scaled(self, entries: int) -> int:
        """Return a size that is `entries` where the largest logs have 10 million."""
        return max(1, entries * self.entries // 10_000_000)


def say(text: str) -> None:
    """Tell how far the run is."""
    print(text, file=sys.stderr, flush=True)


def load(name: str, endpoint: Endpoint, *, clients: int, seconds: float) -> Round:
    """Run one closed loop against a system.

    Raises:
        SystemExit: a request was not answered well: its figures would mean nothing.
    """
    result = uvloop.run(
        closed_loop(
            HOST, endpoint.port, clients=clients, seconds=seconds, exchange=endpoint.exchange
        )
    )
    if result.failures or not result.latencies_s:
        raise SystemExit(
            f"{name}: {result.failures} requests of {clients} clients failed, the first with "
            f"{result.first_failure[:500]!r}"
        )
    return result
