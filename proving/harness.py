"""What a harness is: numbered cases, each of which holds or says which promise it broke.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from proving.needs import Need

Counts = Mapping[str, int]
"""What a case met: operations acknowledged, faults of each kind; added up in the report."""


class Violation(AssertionError):
    """A promise was broken; the message says which one, by what, and what repeats it."""


@dataclass(frozen=True, slots=True)
class Harness:
    """One way to hurt a log, and what must hold all the same.

    Attributes:
        name: lower-case words with hyphens, as typed: `python -m proving power-cuts`.
        row: the place in the table of docs/reliability.md; rows may have several harnesses.
        promise: what is shown, in a few words.
        how: what is done, in a sentence.
        unit: what is counted, in the plural: "cuts", "histories".
        cases: how many cases a full run has, numbered from 0.
        per_case: how many of `unit` one case is.
        run: runs one case in an empty directory of its own, which is removed if it holds. The
            number decides everything that can be decided. Raises: AssertionError (Violation).
        sample: cases that `make test` runs.
        needs: without these no case can run.
        is_parallel: cases need some core, time nothing, and may run side by side.
        starts_processes: `make test` counts its sample among those of processes.
    """

    name: str
    row: int
    promise: str
    how: str
    unit: str
    cases: int
    run: Callable[[int, Path], Counts]
    sample: tuple[int, ...]
    per_case: int = 1
    needs: tuple[Need, ...] = ()
    is_parallel: bool = False
    starts_processes: bool = True
