"""What was measured, of which system, over the rounds.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.report import Measured, measured


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that is measured of one or more systems.

    Attributes:
        row: the part of the comparison, as `--only` takes it.
        text: what it is, with its unit.
        digits: after the decimal point, where it is printed.
    """

    row: str
    text: str
    digits: int = 0


@dataclass(slots=True)
class Figures:
    """Samples by quantity and system, in the order in which they were first met."""

    samples: dict[Quantity, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, quantity: Quantity, system: str, *samples: float) -> None:
        of_systems = self.samples.setdefault(quantity, {})
        of_systems.setdefault(system, []).extend(samples)

    def measured(self, quantity: Quantity, system: str) -> Measured | None:
        """Return median and spread, or None where it was not measured."""
        samples = self.of(quantity, system)
        return measured(samples) if samples else None

    def of(self, quantity: Quantity, system: str) -> list[float]:
        """Return the samples in the order of the rounds, none where it was not measured."""
        return self.samples.get(quantity, {}).get(system, [])

    def rows(self) -> list[str]:
        return list(dict.fromkeys(quantity.row for quantity in self.samples))

    def of_row(self, row: str) -> Figures:
        return Figures({q: of for q, of in self.samples.items() if q.row == row})

    def systems(self) -> list[str]:
        return list(dict.fromkeys(name for of in self.samples.values() for name in of))
