"""Small worlds, tried in every order in which they can go on (P1-P5, P7).

PURE.
"""

from __future__ import annotations

import pytest

from tests.core.parts import Action
from tests.core.search import Budget, try_every_order
from tests.core.world import World, serving_world


@pytest.mark.slow
@pytest.mark.parametrize(
    ("secondaries", "slow_reads", "budget"),
    [
        (1, False, Budget(appends=2, reads=(1,))),
        (1, True, Budget(appends=2)),
        (1, False, Budget(appends=1, cuts=(1,), reads=(1,))),
        (1, False, Budget(appends=1, cuts=(1, 1))),
        (1, True, Budget(appends=1, cuts=(1,))),
        (1, False, Budget(appends=1, crashes=(1,), reads=(1,))),
        (1, False, Budget(appends=1, crashes=(0,))),
        (1, False, Budget(appends=1, crashes=(0, 1))),
        (2, False, Budget(appends=1)),
    ],
)
def test_no_order_breaks_a_promise_or_leaves_anybody_waiting(
    secondaries: int, slow_reads: bool, budget: Budget
) -> None:
    world = serving_world(secondaries, slow_reads=slow_reads)
    world.settle()
    assert try_every_order(world, budget).rests


@pytest.mark.slow
@pytest.mark.parametrize("cuts", [(), (1,)])
def test_a_start_comes_to_its_stream_in_every_order(cuts: tuple[int, ...]) -> None:
    world = World(1 if cuts else 2)
    world.begin()
    world.append("early")
    if not cuts:
        world.dial_all()
        world.act(Action("up", 1))
        world.act(Action("up", 2))
    assert try_every_order(world, Budget(cuts=cuts)).rests


def test_the_search_tells_apart_what_differs_only_in_order() -> None:
    """A search that merged different states would try less than it says."""
    one = try_every_order(serving_world(1), Budget(appends=1))
    two = try_every_order(serving_world(1), Budget(appends=2))
    assert two.states > one.states > 5
