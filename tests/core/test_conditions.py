"""Conditional appends, and receipts of what is stored.

PURE.
"""

from __future__ import annotations

import pytest

from replog.core import events as ev
from replog.core.effects import Pending, RefusalReason, Refused, Stored
from replog.core.entry import EntryId, Tick
from replog.core.events import RequestId
from replog.core.write_concern import WriteConcern
from tests.core.world import World, serving_world


def outcome(world: World, request: int) -> object:
    world.settle()
    return world.outcome(request)


def await_acks(
    world: World, entry_id: int, *, w: WriteConcern | None = None, timeout: int | None = None
) -> int:
    world.next_request += 1
    request = RequestId(world.next_request)
    wait = None if timeout is None else Tick(timeout)
    world.step(0, ev.AcksAwaited(request, EntryId(entry_id), w, wait))
    return request


def stored(entry_id: int, last_id: int | None = None, *, replayed: bool = True) -> Stored:
    last = entry_id if last_id is None else last_id
    return Stored(EntryId(entry_id), EntryId(last), 3, 3, replayed)


# --- conditional appends -------------------------------------------------------------------------


def test_an_append_that_expects_the_end_of_the_log_is_stored_behind_it() -> None:
    world = serving_world()
    assert outcome(world, world.append("a", expect=0)) == stored(1, replayed=False)
    assert outcome(world, world.append("b", expect=1)) == stored(2, replayed=False)
    for expected in (0, 1, 3, 99):
        refused = outcome(world, world.append("c", expect=expected))
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.last_id) == (RefusalReason.PRECONDITION_FAILED, 2)


def test_of_many_that_expect_the_same_end_one_wins() -> None:
    world = serving_world()
    for last in range(5):
        requests = [world.append(f"{last} {number}", expect=last) for number in range(50)]
        world.settle()
        won = [isinstance(world.outcome(request), Stored) for request in requests]
        assert won.count(True) == 1
    assert len(world.nodes[0].disk.messages()) == 5


def test_an_append_may_expect_one_that_is_still_on_its_way() -> None:
    world = serving_world()
    requests = [world.append(str(last), expect=last) for last in range(10)]
    world.settle()
    assert all(isinstance(world.outcome(request), Stored) for request in requests)


def test_nobody_is_told_that_the_log_moved_on_to_what_was_never_stored() -> None:
    world = serving_world()
    world.nodes[0].disk.is_full = True
    world.append("never stored")
    request = world.append("x", expect=0)
    world.settle()
    refused = world.outcome(request)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.DISK_FULL


def test_a_retry_with_its_key_is_replayed_whatever_it_expected() -> None:
    world = serving_world()
    world.append("x", keys=("k",), expect=0)
    world.settle()
    assert outcome(world, world.append("x", keys=("k",), expect=0)) == stored(1)


def test_commit_news_go_out_also_where_nothing_that_is_queued_can_be_stored() -> None:
    world = serving_world()
    world.append("x", w=1)
    for _ in range(3):
        world.append("y", expect=7)
    world.settle()
    assert world.nodes[1].shown == world.nodes[2].shown == 1


# --- receipts -----------------------------------------------------------------------------------


def test_acks_of_a_stored_entry_can_be_awaited_later() -> None:
    world = serving_world()
    world.cut(2)
    world.unreachable = {2}
    for number in range(3):
        world.append(f"entry {number}", w=1)
    world.settle()
    met = await_acks(world, 1, w=2)
    late = await_acks(world, 2, w=3, timeout=5)
    waits = await_acks(world, 1, w=3)
    younger = world.append("younger", w=2)
    world.settle()
    assert world.outcome(met) == Stored(EntryId(1), EntryId(1), 2, 3)
    assert isinstance(world.outcome(younger), Stored), "nobody waits for who asks about old ones"
    world.run(10)
    assert world.outcome(late) == Pending(EntryId(2), EntryId(2), 3, ("http://m", "http://s1"))
    assert world.outcome(waits) is None
    world.unreachable = set()
    world.run(300)
    assert world.outcome(waits) == Stored(EntryId(1), EntryId(1), 3, 3)


def test_acks_of_an_entry_behind_damage_are_refused_for_the_damage() -> None:
    """Simulator seed 95288: it may be there, and even repaired already."""
    world = serving_world()
    for text in ("x", "y", "z"):
        world.append(text)
        world.settle()
    bad = world.nodes[0].disk.rot(2, 2)
    world.step(0, ev.DamageFound(bad))
    for entry_id in (2, 3, 4):
        refused = world.outcome(await_acks(world, entry_id))
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.DAMAGED
        assert refused.detail.startswith(
            "damage in segment 1.ndjson at byte 99, entry 2 to entry 2"
        )
    below = world.outcome(await_acks(world, 1, w=1))
    assert isinstance(below, Stored)


@pytest.mark.parametrize("entry_id", [0, 2])
def test_acks_of_an_entry_that_is_not_there_are_refused(entry_id: int) -> None:
    world = serving_world()
    world.append("x")
    world.settle()
    refused = world.outcome(await_acks(world, entry_id))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.UNKNOWN_ID
    assert refused.detail.endswith(f"entry {entry_id} is not in the log, which ends at 1")
    concern = world.outcome(await_acks(world, 1, w=4))
    assert isinstance(concern, Refused)
    assert concern.reason is RefusalReason.BAD_WRITE_CONCERN
