"""Times of day in receipts.

PURE.
"""

from __future__ import annotations

import pytest

from replog.core.entry import Tick
from replog.node.receipts import CLOCK_WAS_SET_MS, TimesOfDay

TICK = Tick(50)


def times_told(looks: list[tuple[int, int]]) -> list[str]:
    """Return what is told of `TICK` at some moments, each a tick and a time of day."""
    wall = iter([wall_ms for _, wall_ms in looks])
    times = TimesOfDay(lambda: next(wall))
    return [times.of(TICK, now=Tick(now)) for now, _ in looks]


def test_a_moment_is_told_the_same_though_ticks_come_late() -> None:
    """Between two ticks some milliseconds pass, and a busy node's ticks are later still."""
    told = times_told([(100, 10_003), (100, 10_009), (117, 10_180), (300, 12_090), (310, 13_002)])
    assert set(told) == {"1970-01-01T00:00:09.503Z"}


@pytest.mark.parametrize("set_by_ms", [-3_600_000, CLOCK_WAS_SET_MS + 1, 3_600_000])
def test_once_the_clock_was_set_moments_are_those_of_the_new_one(set_by_ms: int) -> None:
    noon_ms = 12 * 3_600_000
    before, after, again = times_told(
        [(100, noon_ms), (200, noon_ms + 1000 + set_by_ms), (300, noon_ms + 2007 + set_by_ms)]
    )
    assert before == "1970-01-01T11:59:59.500Z"
    assert after == again != before
