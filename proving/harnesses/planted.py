"""Row 2: bugs put into core, log and links on purpose, and how soon a history shows each.

PURE. A case is one bug.
"""

from __future__ import annotations

from pathlib import Path

from proving.harness import Counts, Harness, Violation
from tests.simulator.planted import PLANTED
from tests.simulator.planted.bug import Planted
from tests.simulator.planted.catching import caught_by, fails_its_test

PLAIN = 10_000
"""As many histories as `make test` runs."""


def plant(case: int, directory: Path) -> Counts:
    """Plant the bug of this number and look how many histories it takes to see it."""
    del directory
    planted = PLANTED[case]
    if planted.test is not None:
        if not fails_its_test(planted):
            raise Violation(f'"{planted.name}" ({planted.rule}) is not seen by {planted.test}')
        return {"bugs caught by the test of their rule": 1}
    return {"bugs caught by a history": 1, "histories until caught": _histories(planted)}


def _histories(planted: Planted) -> int:
    seed = caught_by(planted, range(PLAIN if planted.focus is None else planted.within))
    if seed is None:
        raise Violation(
            f'"{planted.name}" ({planted.rule}) is not seen by any history: '
            f"see tests/simulator/planted, focus {planted.focus}"
        )
    return seed + 1


HARNESSES = (
    Harness(
        name="planted-bugs",
        row=2,
        promise="the tests can see",
        how="a bug patched into core, log or links, one at a time; see docs/planted-bugs.md",
        unit="bugs",
        cases=len(PLANTED),
        run=plant,
        sample=(),  # tests/simulator/test_planted.py tries them all
        is_parallel=True,
        starts_processes=False,
    ),
)
