"""Whether a planted bug is seen: by a history, or by the test that it names.

PURE, but for the tests that run in a process of their own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.simulator.history import run, run_mixed
from tests.simulator.planted.bug import Planted

ROOT = Path(__file__).parents[3]
FAILED = 1
"""What pytest ends with when a test failed, and nothing else was wrong."""


def caught_by(planted: Planted, seeds: Iterable[int]) -> int | None:
    """Return the first of `seeds` whose history breaks a promise with the bug in it."""
    with pytest.MonkeyPatch.context() as patch:
        planted.plant(patch)
        return next((seed for seed in seeds if _breaks(planted, seed)), None)


def _breaks(planted: Planted, seed: int) -> bool:
    """Whether a promise, or an assertion of the code itself, is broken in this history.

    A crash over bytes that nobody checked is no promise broken: the next seed may show one.
    """
    try:
        if planted.focus is None:
            run_mixed(seed)
        else:
            run(seed, focus=planted.focus)
    except AssertionError:
        return True
    except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError):
        return False
    return False


def passes_clean(planted: Planted, seed: int) -> None:
    """Run the history without the bug.

    Raises:
        AssertionError: it breaks a promise.
    """
    if planted.focus is None:
        run_mixed(seed)
    else:
        run(seed, focus=planted.focus)


def fails_its_test(planted: Planted) -> bool:
    """Whether the named test fails with the bug in it."""
    assert planted.test is not None
    command = [sys.executable, "-m", "tests.simulator.planted", planted.name, planted.test]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    return done.returncode == FAILED
