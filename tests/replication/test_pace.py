"""Catching up makes way for appends, and gets there however fast they come."""

from __future__ import annotations

from replog.core.events import RequestId
from replog.replication.pace import REST_S, Pace


def rests(
    pace: Pace, *behind: int, appends_come: bool = True, waiting: int | None = None
) -> list[bool]:
    longest = None if waiting is None else RequestId(waiting)
    found = [
        pace.rest_s(behind=each, appends_come=appends_come, waiting=longest) for each in behind
    ]
    assert set(found) <= {0.0, REST_S}
    return [rest_s > 0 for rest_s in found]


def test_frames_rest_while_they_bring_the_other_end_nearer() -> None:
    assert rests(Pace(), 100, 80, 79, 1) == [True] * 4


def test_nothing_rests_where_nobody_appends() -> None:
    pace = Pace()
    assert rests(pace, 100, 80, appends_come=False) == [False] * 2
    assert rests(pace, 80, 79) == [False, True]


def test_none_rests_that_only_makes_good_what_was_lost_meanwhile() -> None:
    behind = (100, 100, 120, 110, 100, 99, 99, 150, 98)
    assert rests(Pace(), *behind) == [bool(n) for n in (1, 0, 0, 0, 0, 1, 0, 0, 1)]


def test_who_kept_up_once_is_never_held_back_again() -> None:
    assert rests(Pace(), 0, 0, 5, 4, 3, 0, 1) == [False] * 7


def test_nothing_rests_that_somebody_may_be_waiting_for() -> None:
    pace = Pace()
    assert rests(pace, 100, waiting=1) == [True]
    assert rests(pace, 90, waiting=2) == [True]
    assert rests(pace, 80, 70, waiting=2) == [False] * 2
    assert rests(pace, 60, waiting=3) == [True]
    assert rests(pace, 50, 40, waiting=None) == [True] * 2


def test_it_gets_there_where_appends_outrun_frames_that_rest() -> None:
    """A frame of 10 entries; 8 come while one is sent, 14 while one is that rests."""
    pace, behind, steps = Pace(), 1000, 0
    while behind > 10:
        behind += (14 if rests(pace, behind) == [True] else 8) - 10
        steps += 1
        assert steps < 2000, behind
