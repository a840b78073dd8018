"""Row 1: the promises in every history that the simulator makes up.

PURE. A case is 1,000 seeds of `tests.simulator`; in every fourth the last copy may go as well,
and safety alone is judged.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from proving.harness import Counts, Harness
from tests.simulator.history import run_mixed

SEEDS = 1000


def run_seeds(case: int, directory: Path) -> Counts:
    """Run the seeds of a case; what they met is counted."""
    del directory
    counts: Counter[str] = Counter()
    for seed in range(case * SEEDS, (case + 1) * SEEDS):
        counts.update(run_mixed(seed).counts)
    return counts


HARNESSES = (
    Harness(
        name="histories",
        row=1,
        promise="P1-P9 in every history",
        how="the core, the log and the shell on simulated disks, clocks and network",
        unit="histories",
        cases=1000,
        per_case=SEEDS,
        run=run_seeds,
        sample=(),  # tests/simulator runs its own
        is_parallel=True,
        starts_processes=False,
    ),
)
