"""A node that answers no read long after all was well is found, and no honest one is accused.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.history.made import S1, S2, M, Made


def long_after_all_was_well() -> Made:
    """Two entries on three nodes, the second stored when no fault was left; long ago."""
    made = Made()
    made.append("a", id=1)
    made.read("a", S1)
    made.fault("healed", within_s=2)
    made.append("b", id=2)
    made.moment = 15
    return made


def every_read_refused(made: Made) -> None:
    made.read("ab", M)
    made.refused_read(S1)
    made.refused_read(S1, first=2)


def no_read_answered(made: Made) -> None:
    made.unanswered_read(S2)


def a_read_broken_off(made: Made) -> None:
    read = made.unanswered_read(M)
    read.returned, read.given_up = read.given_up, None


def all_refused_until_the_next_fault(made: Made) -> None:
    made.refused_read(S1)
    made.fault("kill", S1)
    made.fault("start", S1)
    made.read("ab", S1)


def all_refused_but_what_began_in_time(made: Made) -> None:
    made.read("ab", S1).invoked = 6
    made.refused_read(S1)


def refused_once_all_was_well_again(made: Made) -> None:
    made.fault("kill", S1)
    made.fault("healed", within_s=2)
    made.append("c", id=3)
    made.moment = 30
    made.refused_read(S1)
    made.append("d", id=4)


PLANTED: list[Callable[[Made], None]] = [
    every_read_refused,
    no_read_answered,
    a_read_broken_off,
    all_refused_until_the_next_fault,
    all_refused_but_what_began_in_time,
    refused_once_all_was_well_again,
]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_node_that_answers_no_read_is_found_once(plant: Callable[[Made], None]) -> None:
    made = long_after_all_was_well()
    plant(made)
    [finding] = made.judge().findings
    assert str(finding).startswith("not-live: line "), finding


def test_it_is_named_with_how_many_reads_and_since_when() -> None:
    made = long_after_all_was_well()
    made.refused_read(S1)
    made.refused_read(S1)
    made.unanswered_read(S1)
    made.unanswered_read(S2)
    first = "the first one was asked for {}.000 s after all was well"
    assert [str(finding) for finding in made.judge().findings] == [
        f"not-live: line 6: {S1} answered no read, 2 of 3 were refused; {first.format(11)}",
        f"not-live: line 9: {S2} answered no read, 0 of 1 were refused; {first.format(17)}",
    ]


# --- what is honest -----------------------------------------------------------------------------


def refused_and_unanswered_in_time(made: Made) -> None:
    made.refused_read(S1).invoked = 6
    made.unanswered_read(S2).invoked = 6


def one_answered_among_others(made: Made) -> None:
    made.refused_read(S1)
    made.unanswered_read(S1)
    made.read("ab", S1)
    made.refused_read(S1)


def one_answered_after_the_next_fault(made: Made) -> None:
    made.refused_read(S1)
    made.read("ab", S1).returned = 99
    made.fault("kill", S1)


def refused_for_what_was_asked(made: Made) -> None:
    made.refused_read(S1).is_conditional = True
    made.unanswered_read(S1).is_conditional = True
    made.refused_read(S1, first=3)


def not_over_when_the_next_fault_came(made: Made) -> None:
    made.refused_read(S1).returned = 90
    made.unanswered_read(S2).given_up = 90
    made.unanswered_read(M).given_up = None
    made.fault("kill")
    made.refused_read(S1)


def not_over_when_disks_were_looked_at(made: Made) -> None:
    made.refused_read(S1).returned = 90
    made.disks("ab", "ab", "ab", snapshot="middle")
    made.refused_read(S2)


def refused_by_a_node_that_was_killed(made: Made) -> None:
    made.fault("kill", S1)
    made.refused_read(S1)
    made.fault("healed")
    made.refused_read(S1)


HONEST: list[Callable[[Made], None]] = [
    refused_and_unanswered_in_time,
    one_answered_among_others,
    one_answered_after_the_next_fault,
    refused_for_what_was_asked,
    not_over_when_the_next_fault_came,
    not_over_when_disks_were_looked_at,
    refused_by_a_node_that_was_killed,
]


@pytest.mark.parametrize("make", HONEST, ids=lambda make: make.__name__)
def test_no_honest_node_is_accused(make: Callable[[Made], None]) -> None:
    made = long_after_all_was_well()
    make(made)
    assert [str(finding) for finding in made.judge().findings] == []
