"""What was measured: medians with their spread, as tables for people or as JSON.

PURE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure over several rounds."""

    median: float
    low: float
    high: float
    rounds: int

    def text(self, digits: int = 0) -> str:
        middle = f"{self.median:,.{digits}f}"
        if self.rounds == 1:
            return middle
        return f"{middle} ({self.low:,.{digits}f}-{self.high:,.{digits}f})"


def measured(samples: Sequence[float]) -> Measured:
    """Return the median of `samples`, which must not be empty, with its spread."""
    return Measured(median(samples), min(samples), max(samples), len(samples))


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a plain table: the first column to the left, figures to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  " + "   ".join([first, *others])

    return "\n".join(["", title, line(header), *map(line, rows)])
