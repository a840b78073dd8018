"""The results of a run: kept in a file, so that rows can be measured at different times.

DISK.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.machine import Machine
from benchmarks.peers.figures import Figures, Quantity
from benchmarks.peers.systems.system import Portrait


@dataclass(frozen=True, slots=True)
class Sampled:
    quantity: Quantity
    system: str
    samples: list[float]


@dataclass(frozen=True, slots=True)
class RowRun:
    """When and how one row was measured.

    Attributes:
        others_percent: how much of the processors other programs took meanwhile, the kernel's own
            work included: a few percent are its.
    """

    row: str
    day: str
    rounds: int
    seconds: float
    others_percent: float
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Version:
    portrait: Portrait
    version: str


@dataclass(slots=True)
class Results:
    """Everything that the report needs."""

    machine: Machine
    versions: list[Version] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    runs: list[RowRun] = field(default_factory=list)
    sampled: list[Sampled] = field(default_factory=list)

    def add(self, run: RowRun, figures: Figures) -> None:
        """Take a row's figures in place of those of an earlier run."""
        self.runs = [one for one in self.runs if one.row != run.row] + [run]
        self.sampled = [one for one in self.sampled if one.quantity.row != run.row]
        self.sampled += [
            Sampled(quantity, system, samples)
            for quantity, of_systems in figures.of_row(run.row).samples.items()
            for system, samples in of_systems.items()
        ]

    def see(self, versions: Sequence[Version], missing: Sequence[str]) -> None:
        """Take what systems there are now, beside those of rows that were measured before."""
        names = {one.portrait.name for one in versions}
        kept = [one for one in self.versions if one.portrait.name not in names]
        self.versions = [*versions, *kept]
        self.missing = list(missing)

    def figures(self) -> Figures:
        figures = Figures()
        for one in self.sampled:
            figures.add(one.quantity, one.system, *one.samples)
        return figures


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def read_results(path: Path) -> Results | None:
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else None


def encode_results(results: Results) -> bytes:
    return msgspec.json.format(msgspec.json.encode(results))
