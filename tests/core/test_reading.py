"""Reads that ask for more than what is committed here: an entry, the master's word, freshness.

PURE.
"""

from __future__ import annotations

import pytest

from replog.core import effects as do
from replog.core import events as ev
from replog.core.entry import EntryId, Epoch, Tick
from replog.core.events import LinkId, ReadRequested, RequestId
from replog.core.messages import Damage, Heartbeat, ReadBarrier, ReadMark
from replog.core.reading import ASK_AFTER
from tests.core.asking import ONE, THREE, TWO, answered, beat, desk_with, lag_of, mark, news
from tests.core.desk import LINK, LOG, Desk, sent
from tests.core.disk import frame
from tests.core.greetings import dormant
from tests.core.world import serving_world

# --- min_id -----------------------------------------------------------------------------------


def test_a_read_waits_until_the_entry_that_it_names_is_shown() -> None:
    desk = desk_with(2, committed=2)
    assert not answered(desk.step(ReadRequested(ONE, min_id=EntryId(3), timeout=Tick(100))))
    assert not answered(desk.store(LOG[2], committed=2)), "durable, and not committed yet"
    (answer,) = answered(desk.receive(news(3)))
    assert (answer.request, answer.committed_id, answer.is_met) == (ONE, 3, True)


@pytest.mark.parametrize("timeout", [0, 5])
def test_a_read_whose_entry_does_not_come_is_given_up_in_time(timeout: int) -> None:
    desk = desk_with(1, committed=1)
    effects = desk.step(ReadRequested(ONE, min_id=EntryId(2), timeout=Tick(timeout)))
    if timeout:
        assert not answered(effects)
        assert not answered(desk.step(ev.Ticked(Tick(timeout)))), "the first may be over"
        effects = desk.step(ev.Ticked(Tick(timeout + 1)))
    (answer,) = answered(effects)
    assert (answer.committed_id, answer.is_met) == (1, False)


def test_an_entry_is_waited_for_also_while_there_is_no_master() -> None:
    desk = desk_with(1, committed=1)
    desk.step(ev.LinkClosed(LINK, "cut"))
    assert not answered(desk.step(ReadRequested(ONE, min_id=EntryId(2))))
    desk.stream(link=LinkId(2))
    desk.receive(frame([LOG[1]], committed=EntryId(2)), link=LinkId(2))
    (answer,) = answered(desk.step(ev.Persisted(LOG[1].head)))
    assert (answer.committed_id, answer.is_met) == (2, True)


def test_a_master_waits_for_its_own_entry_too() -> None:
    world = serving_world()
    world.append("x", w=1)
    request = RequestId(99)
    effects = world.master.step(ReadRequested(request, min_id=EntryId(1), timeout=Tick(50)))
    assert not answered(effects), "it is not durable yet"
    late = world.master.step(ReadRequested(RequestId(98), min_id=EntryId(7), timeout=Tick(0)))
    assert [(a.request, a.is_met) for a in answered(late)] == [(98, False)]
    given = answered(world.master.step(ev.StopRequested()))
    assert [(a.request, a.is_met) for a in given] == [(99, False)]


# --- the master's word ------------------------------------------------------------------------


def test_a_linearizable_read_shows_what_the_master_had_committed_when_it_came() -> None:
    desk = desk_with(2, committed=1)
    effects = desk.step(ReadRequested(ONE, is_linearizable=True))
    assert sent(effects) == [ReadBarrier(Epoch(1), 1)]
    assert not answered(effects)
    assert not answered(desk.receive(mark(1, 3))), "the third entry is not here yet"
    assert not answered(desk.receive(news(2)))
    desk.store(LOG[2], committed=2)
    (answer,) = answered(desk.receive(news(3)))
    assert (answer.committed_id, answer.is_met, answer.has_master) == (3, True, True)


def test_a_read_never_joins_a_question_that_was_asked_before_it_came() -> None:
    desk = desk_with(1, committed=1)
    desk.step(ReadRequested(ONE, is_linearizable=True))
    assert not sent(desk.step(ReadRequested(TWO, is_linearizable=True))), "one at a time"
    assert not sent(desk.step(ReadRequested(THREE, is_linearizable=True)))
    effects = desk.receive(mark(1, 1))
    assert [answer.request for answer in answered(effects)] == [ONE]
    assert sent(effects) == [ReadBarrier(Epoch(1), 2)]
    assert not answered(desk.receive(mark(1, 1))), "an answer to a question of before"
    assert [a.request for a in answered(desk.receive(mark(2, 1)))] == [TWO, THREE]


@pytest.mark.parametrize(
    "end",
    [
        ev.LinkClosed(LINK, "cut"),
        ev.Received(LINK, mark(1, None)),
        ev.Ticked(Tick(600)),
        ev.StopRequested(),
    ],
)
def test_without_the_masters_word_a_linearizable_read_is_not_met(end: ev.Event) -> None:
    desk = desk_with(1, committed=1)
    desk.step(ReadRequested(ONE, is_linearizable=True))
    (answer,) = answered(desk.step(end))
    assert (answer.request, answer.is_met) == (ONE, False)


def test_a_secondary_that_has_no_master_says_so_at_once() -> None:
    desk = Desk(2, note=2)
    (answer,) = answered(desk.step(ReadRequested(ONE, is_linearizable=True)))
    assert (answer.is_met, answer.has_master) == (False, False)


def test_a_master_that_reigns_tells_what_it_has_committed_and_another_one_does_not() -> None:
    world = serving_world()
    world.append("x", w=1)
    world.settle()
    link = next(iter(world.wires))
    epoch = world.master.reign.epoch
    asked = ev.Received(link, ReadBarrier(epoch, 1))
    assert sent(world.master.step(asked)) == [ReadMark(epoch, 1, EntryId(1))]
    assert not sent(world.master.step(ev.Received(link, ReadBarrier(Epoch(epoch - 1), 1))))
    world.master.reign.superseded = "epoch 9 was opened by node n"
    assert sent(world.master.step(asked)) == [ReadMark(epoch, 1, None)]
    (answer,) = answered(world.master.step(ReadRequested(ONE, is_linearizable=True)))
    assert not answer.is_met


def test_a_master_that_has_not_heard_its_secondaries_yet_gives_no_word() -> None:
    world = dormant()
    (answer,) = answered(world.master.step(ReadRequested(ONE, is_linearizable=True)))
    assert not answer.is_met


# --- lag --------------------------------------------------------------------------------------


def test_lag_counts_from_when_the_node_was_level_last() -> None:
    desk = desk_with(1, committed=1)
    desk.step(ev.Ticked(Tick(10)))
    assert lag_of(desk) is None, "nobody has said that entry 1 is the last"
    desk.receive(beat(1, at=8))
    assert lag_of(desk) == 2, "the master may have spoken as early as tick 8"
    desk.step(ev.Ticked(Tick(30)))
    desk.receive(beat(2, at=29))
    assert lag_of(desk) == 22, "entry 2 is committed and not here"
    desk.step(ev.Ticked(Tick(40)))
    desk.store(LOG[1], committed=1)
    desk.receive(news(2))
    assert lag_of(desk) == 11, "it is level as of tick 29, when entry 2 was the last"


def test_a_heartbeat_tells_the_tick_that_the_master_repeats() -> None:
    desk = desk_with(1, committed=1)
    beats = [word for word in sent(desk.step(ev.Ticked(Tick(60)))) if isinstance(word, Heartbeat)]
    assert [word.at for word in beats] == [60]
    world = serving_world()
    link = next(iter(world.wires))
    world.step(0, ev.Received(link, Heartbeat(world.master.reign.epoch, at=Tick(7))))
    effects = world.master.step(ev.Ticked(Tick(world.now + 60)))
    told = {
        e.link: e.message.at
        for e in effects
        if isinstance(e, do.Send) and isinstance(e.message, Heartbeat)
    }
    assert told[link] == 7


def test_a_damaged_node_is_level_with_nobody() -> None:
    desk = desk_with(2, committed=2)
    desk.receive(beat(2, at=1))
    assert lag_of(desk) is not None
    desk.step(ev.DamageFound(Damage(LOG[0].head, EntryId(2), "1.ndjson", 9, "rot", EntryId(2))))
    assert lag_of(desk) is None


def test_a_damaged_master_gives_no_word() -> None:
    world = serving_world()
    world.append("x", "y", w=1)
    world.settle()
    world.nodes[0].core.step(ev.DamageFound(world.nodes[0].disk.rot(1, 2)))
    for read in (ReadRequested(ONE, is_linearizable=True), ReadRequested(TWO, max_lag=Tick(9))):
        (answer,) = answered(world.master.step(read))
        assert (answer.is_met, answer.lag) == (False, None)


def test_a_node_that_was_never_level_knows_no_lag() -> None:
    desk = Desk(2, note=1)
    desk.stream()
    desk.step(ev.Ticked(Tick(5)))
    desk.receive(beat(3, at=4))
    assert lag_of(desk) is None


def test_a_read_within_its_lag_is_answered_at_once_and_another_asks_the_master() -> None:
    desk = desk_with(1, committed=1)
    desk.step(ev.Ticked(Tick(1)))
    desk.receive(beat(1, at=1))
    desk.step(ev.Ticked(Tick(21)))
    (answer,) = answered(desk.step(ReadRequested(ONE, max_lag=Tick(20))))
    assert (answer.is_met, answer.lag) == (True, 20)
    effects = desk.step(ReadRequested(TWO, max_lag=Tick(19)))
    assert sent(effects) == [ReadBarrier(Epoch(1), 1)]
    assert not answered(effects)
    (answer,) = answered(desk.receive(mark(1, 1)))
    assert (answer.request, answer.is_met, answer.lag) == (TWO, True, 0)


def test_a_read_whose_lag_cannot_be_reached_is_given_up_after_that_long() -> None:
    desk = desk_with(1, committed=1)
    desk.step(ev.Ticked(Tick(100)))
    desk.step(ReadRequested(ONE, max_lag=Tick(10)))
    desk.receive(mark(1, 2))
    assert not answered(desk.step(ev.Ticked(Tick(110))))
    (answer,) = answered(desk.step(ev.Ticked(Tick(111))))
    assert not answer.is_met


def test_a_read_that_waited_for_an_entry_is_not_older_than_it_asked_in_the_end() -> None:
    desk = desk_with(1, committed=1)
    desk.step(ev.Ticked(Tick(5)))
    desk.receive(beat(1, at=5))
    assert not answered(desk.step(ReadRequested(ONE, min_id=EntryId(2), max_lag=Tick(20))))
    desk.step(ev.Ticked(Tick(50)))
    desk.store(LOG[1], committed=1)
    effects = desk.receive(news(2))
    assert not answered(effects), "it was level 45 ticks ago"
    assert sent(effects) == [ReadBarrier(Epoch(1), 1)]
    (answer,) = answered(desk.receive(mark(1, 2)))
    assert (answer.committed_id, answer.is_met, answer.lag) == (2, True, 0)


def test_what_a_lost_link_said_last_is_not_what_the_next_one_is_level_with() -> None:
    desk = desk_with(1, committed=1)
    desk.step(ev.Ticked(Tick(10)))
    desk.receive(beat(2, at=9))
    desk.step(ev.Ticked(Tick(50)), ev.LinkClosed(LINK, "cut"))
    desk.stream(link=LinkId(2))
    desk.step(ev.Ticked(Tick(60)))
    desk.receive(beat(1, at=55), link=LinkId(2))
    assert lag_of(desk) == 5


# --- who hangs up -----------------------------------------------------------------------------


def test_who_hangs_up_is_not_answered_and_takes_no_room() -> None:
    desk = desk_with(1, committed=1)
    for number in range(10, 1010):
        request = RequestId(number)
        desk.step(
            ReadRequested(request, min_id=EntryId(9), timeout=Tick(10_000)),
            ev.RequestAbandoned(request),
        )
    fresh = desk.core.reading._fresh
    assert len(fresh) == 0
    assert len(fresh._by_id) < 200
    assert len(fresh._by_deadline) < 200


# --- a master that is long in a sync ---------------------------------------------------------


def test_a_read_behind_a_long_sync_of_the_master_asks_what_is_committed() -> None:
    """A batch is durable here before the master's own sync ends: nobody was told of it (P4)."""
    desk = desk_with(2, committed=2, now=100)
    desk.store(LOG[2], committed=2)
    assert not answered(desk.step(ReadRequested(ONE))), "it may have been acknowledged"
    assert ReadBarrier(Epoch(1), 1) not in sent(desk.step(ev.Ticked(Tick(99 + ASK_AFTER)))), (
        "news may come"
    )
    assert ReadBarrier(Epoch(1), 1) in sent(desk.step(ev.Ticked(Tick(100 + ASK_AFTER))))
    (answer,) = answered(desk.receive(mark(1, 2)))
    assert (answer.request, answer.committed_id, answer.is_met) == (ONE, 2, True)


def test_a_read_behind_a_long_sync_waits_for_what_the_master_calls_committed() -> None:
    desk = desk_with(2, committed=2, now=100)
    desk.store(LOG[2], committed=2)
    desk.step(ReadRequested(ONE))
    desk.step(ev.Ticked(Tick(100 + ASK_AFTER)))
    (answer,) = answered([*desk.receive(mark(1, 3)), *desk.receive(news(3))])
    assert (answer.request, answer.committed_id) == (ONE, 3)


def test_what_the_master_was_asked_before_a_read_arrived_lets_it_not_go_on() -> None:
    desk = desk_with(2, committed=2, now=100)
    desk.store(LOG[2], committed=2)
    desk.step(ReadRequested(ONE))
    desk.step(ev.Ticked(Tick(100 + ASK_AFTER)))
    desk.step(ReadRequested(TWO))
    assert [answer.request for answer in answered(desk.receive(mark(1, 2)))] == [ONE]
    assert ReadBarrier(Epoch(1), 2) in sent(desk.step(ev.Ticked(Tick(100 + 2 * ASK_AFTER))))
    assert [answer.request for answer in answered(desk.receive(mark(2, 2)))] == [TWO]


def test_a_read_behind_a_long_sync_waits_on_where_the_master_may_not_say() -> None:
    """Another one may reign: only the link's end is an answer then (R8, R11)."""
    desk = desk_with(2, committed=2, now=100)
    desk.store(LOG[2], committed=2)
    desk.step(ReadRequested(ONE))
    desk.step(ev.Ticked(Tick(100 + ASK_AFTER)))
    assert not answered(desk.receive(mark(1, None)))
    (answer,) = answered(desk.step(ev.LinkClosed(LINK, "gone")))
    assert not answer.has_master
