"""Reads that seldom happen: while a link ends, a log is mended, a disk is slow, a node stops.

PURE.
"""

from __future__ import annotations

import pytest

from replog.core import events as ev
from replog.core.entry import EntryId, Epoch, Tick
from replog.core.events import LinkId, ReadRequested, RequestId
from replog.core.messages import Damage, ReadBarrier, StreamStart
from tests.core.asking import ONE, answered, beat, desk_with, lag_of, mark, news
from tests.core.desk import LINK, LOG, WELCOME, sent
from tests.core.parts import Action, Read
from tests.core.world import serving_world

BAD = Damage(LOG[1].head, EntryId(3), "1.ndjson", 9, "rot", EntryId(3))


# --- what is waited for -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "has_master"),
    [
        (ev.LinkClosed(LINK, "cut"), False),
        (ev.StopRequested(), False),
        (ev.PersistFailed("EIO"), False),
        (ev.DamageFound(BAD), True),
    ],
)
def test_a_read_whose_entry_is_shown_is_met_when_the_rest_cannot_be_known(
    end: ev.Event, *, has_master: bool
) -> None:
    """What was durable here when it came is waited for as by any read, and no longer (P4)."""
    desk = desk_with(4, committed=2)
    assert not answered(desk.step(ReadRequested(ONE, min_id=EntryId(2), timeout=Tick(1000))))
    (answer,) = answered(desk.step(end))
    assert (answer.request, answer.committed_id) == (ONE, 2)
    assert (answer.is_met, answer.has_master) == (True, has_master)


def test_a_linearizable_read_does_not_wait_for_a_long_sync_of_the_master() -> None:
    """Entry 3 is durable here, and acknowledged to nobody: the master has just said so."""
    desk = desk_with(2, committed=2)
    desk.store(LOG[2], committed=2)
    assert sent(desk.step(ReadRequested(ONE, is_linearizable=True))) == [ReadBarrier(Epoch(1), 1)]
    (answer,) = answered(desk.receive(mark(1, 2)))
    assert (answer.request, answer.committed_id, answer.is_met) == (ONE, 2, True)


def test_a_linearizable_read_that_lost_its_master_still_waits_for_what_that_one_said() -> None:
    desk = desk_with(2, committed=2)
    desk.step(ReadRequested(ONE, is_linearizable=True, timeout=Tick(100)))
    assert not answered(desk.receive(mark(1, 3)))
    assert not answered(desk.step(ev.LinkClosed(LINK, "cut")))
    (answer,) = answered(desk.step(ev.Ticked(Tick(101))))
    assert (answer.committed_id, answer.is_met) == (2, False)


def test_a_master_answers_who_waits_for_its_entry_when_that_is_durable() -> None:
    world = serving_world()
    world.append("x", w=1)
    for number in (1, 2, 3):
        request = RequestId(90 + number)
        world.reads[request] = Read(0, EntryId(0))
        world.step(0, ReadRequested(request, min_id=EntryId(number)))
    world.append("y", w=1)

    def shown() -> list[int | None]:
        answers = [read.answer for read in world.reads.values()]
        assert all(answer is None or answer.is_met for answer in answers)
        return [None if answer is None else answer.committed_id for answer in answers]

    world.act(Action("disk", 0))
    assert shown() == [None, None, None], "written, and not durable"
    world.act(Action("disk", 0))
    assert shown() == [1, None, None]
    world.settle()
    assert shown() == [1, 2, None]


# --- how old it may be -----------------------------------------------------------------------


def test_of_two_words_of_the_master_the_node_is_level_with_the_first_that_it_shows() -> None:
    """Under load a later word always waits for an entry: it must not put off the earlier one."""
    desk = desk_with(1, committed=1)
    desk.step(ev.Ticked(Tick(40)))
    desk.receive(beat(2, at=20), beat(3, at=30))
    assert lag_of(desk) is None
    desk.store(LOG[1], committed=2)
    assert lag_of(desk) == 20
    desk.store(LOG[2], committed=3)
    assert lag_of(desk) == 20, "entry 4 may have been committed since tick 30: nobody remembers"


def test_a_read_whose_entry_comes_to_a_damaged_node_is_told_how_old_that_may_be() -> None:
    """While it is repaired it is level with nobody, and cannot ask: the entry alone is shown."""
    desk = desk_with(4, committed=1)
    desk.step(ev.Persisted(LOG[3].head))  # the last three are one write
    desk.receive(beat(1, at=1))
    assert not answered(desk.step(ReadRequested(ONE, min_id=EntryId(2), max_lag=Tick(50))))
    desk.step(ev.LinkClosed(LINK, "cut"))
    desk.step(ev.DamageFound(BAD))
    new = LinkId(2)
    desk.step(ev.LinkOpened(new))
    desk.receive(WELCOME, StreamStart(LOG[1].head), link=new)
    (answer,) = answered(desk.receive(news(2), link=new))
    assert (answer.request, answer.committed_id) == (ONE, 2)
    assert (answer.is_met, answer.has_master, answer.lag) == (False, True, None)


# --- the end ----------------------------------------------------------------------------------


def test_a_node_that_stops_lets_nobody_wait_who_comes_late() -> None:
    """A request that was read off its connection before the stop must not hold the stop up."""
    world = serving_world()
    late = ReadRequested(ONE, min_id=EntryId(9))
    for number in (0, 1):
        core = world.nodes[number].core
        core.step(ev.StopRequested())
        (answer,) = answered(core.step(late))
        assert (answer.request, answer.committed_id, answer.is_met) == (ONE, 0, False)
    level = desk_with(1, committed=1)
    level.receive(beat(1, at=1))
    level.step(ev.StopRequested())
    (answer,) = answered(level.step(ReadRequested(ONE, min_id=EntryId(1), max_lag=Tick(9))))
    assert (answer.committed_id, answer.is_met) == (1, True)
