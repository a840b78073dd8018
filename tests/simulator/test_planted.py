"""The tests can see: each planted bug breaks a promise in a history, or fails its test."""

from __future__ import annotations

import pytest

from tests.simulator.planted import PLANTED
from tests.simulator.planted.bug import Planted
from tests.simulator.planted.catching import caught_by, fails_its_test, passes_clean
from tests.simulator.planted.document import PATH, render

SEEN_IN_HISTORIES = [planted for planted in PLANTED if planted.test is None]
SEEN_BY_TESTS = [planted for planted in PLANTED if planted.test is not None]


@pytest.mark.slow
@pytest.mark.parametrize("planted", SEEN_IN_HISTORIES, ids=lambda planted: planted.name)
def test_a_planted_bug_is_caught_and_the_code_without_it_passes(planted: Planted) -> None:
    """The seed that is known to show it comes first: others after a change of the code."""
    seed = caught_by(planted, (planted.seed, *range(planted.within)))
    assert seed is not None, f"not seen in {planted.within} seeds"
    passes_clean(planted, seed)


@pytest.mark.slow
@pytest.mark.parametrize("planted", SEEN_BY_TESTS, ids=lambda planted: planted.name)
def test_a_planted_bug_that_heals_by_itself_fails_the_test_of_its_rule(planted: Planted) -> None:
    assert fails_its_test(planted)


def test_the_document_names_each_bug_and_what_caught_it() -> None:
    assert PATH.read_text() == render(), "run: python -m tests.simulator.planted.document"
