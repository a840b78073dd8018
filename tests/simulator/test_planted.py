"""The simulator can see: each planted bug breaks a promise within a stated number of seeds."""

from __future__ import annotations

import pytest

from tests.simulator.history import run
from tests.simulator.planted import PLANTED, Planted


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED, ids=[planted.name for planted in PLANTED])
def test_a_planted_bug_is_caught_and_the_code_without_it_passes(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        planted.plant(patch)
        caught_by = next((s for s in range(planted.within) if breaks(s, planted.focus)), None)
    assert caught_by is not None, f"not seen in {planted.within} seeds"
    for seed in range(caught_by + 1):
        run(seed, focus=planted.focus)


def breaks(seed: int, focus: str | None) -> bool:
    """Whether a promise, or an assertion of the code itself, is broken in this history.

    A crash over bytes that nobody checked is no promise broken: the next seed may show one.
    """
    try:
        run(seed, focus=focus)
    except AssertionError:
        return True
    except ValueError:
        return False
    return False
