"""Links to a secondary that no master opened: bounded in number and time (P10, R2, R11).

PURE.
"""

from __future__ import annotations

from replog.core import effects as do
from replog.core import events as ev
from replog.core.entry import GENESIS, EntryId, Epoch, LogId, NodeId, Tick, ticks
from replog.core.events import LinkId
from replog.core.joining import GREETING_MAX
from replog.core.messages import Fetch, Heartbeat, Welcome
from tests.core.desk import LINK, LOG, Desk, sent
from tests.core.world import World

STRANGER = LinkId(7)


def closed(effects: list[do.Effect]) -> list[LinkId]:
    return [effect.link for effect in effects if isinstance(effect, do.CloseLink)]


def at(desk: Desk, seconds: float) -> list[do.Effect]:
    return desk.step(ev.Ticked(Tick(ticks(seconds))))


def test_a_stranger_that_says_nothing_is_sent_away_and_the_master_stays() -> None:
    desk = Desk(2)
    desk.stream()
    desk.step(ev.LinkOpened(STRANGER))
    for second in range(1, 10):
        desk.receive(Heartbeat(Epoch(1)))
        assert not closed(at(desk, second))
    desk.receive(Heartbeat(Epoch(1)))
    assert closed(at(desk, 10)) == [STRANGER]
    assert desk.core.facts.link == LINK
    assert not sent(desk.receive(Fetch(GENESIS, None), link=STRANGER))


def test_a_master_that_has_to_keep_it_waiting_and_says_so_may() -> None:
    desk = Desk(2)
    desk.step(ev.LinkOpened(LINK))
    for second in range(1, 60):
        desk.receive(Heartbeat(Epoch(0)))
        assert not closed(at(desk, second))


def test_who_asks_for_batches_may_take_a_minute_to_store_them() -> None:
    desk = Desk(2)
    desk.step(ev.LinkOpened(STRANGER))
    desk.receive(Fetch(GENESIS, None), link=STRANGER)
    assert not closed(at(desk, 59))
    assert closed(at(desk, 60)) == [STRANGER]


def test_of_too_many_strangers_the_one_that_was_silent_longest_goes() -> None:
    desk = Desk(2)
    desk.stream()
    for number in range(GREETING_MAX):
        at(desk, number / 100)
        assert not closed(desk.step(ev.LinkOpened(LinkId(100 + number))))
    desk.receive(Fetch(GENESIS, None), link=LinkId(100))
    assert closed(desk.step(ev.LinkOpened(LinkId(500)))) == [101]
    newer = Welcome(LogId("log"), NodeId("n"), Epoch(2), "http://n", ())
    desk.receive(newer, link=LinkId(500))
    assert desk.core.facts.link == 500, "a master gets through"


def test_a_heartbeat_of_a_stranger_is_no_news_of_what_is_committed() -> None:
    desk = Desk(2)
    desk.stream()
    desk.step(ev.LinkOpened(STRANGER))
    desk.receive(Heartbeat(Epoch(1), committed_id=EntryId(2), at=Tick(1)), link=STRANGER)
    assert desk.core.visible == 0


def test_a_secondary_that_is_kept_waiting_hears_from_its_master() -> None:
    """Else it would take it for a stranger."""
    world = World(2)
    world.hold(1, LOG)
    world.nodes[1].disk.log_id = LogId("older")
    world.begin()
    world.run(4000, step=100)
    assert len(world.nodes[1].said) < 8, world.nodes[1].said
    assert len(world.nodes[0].said) < 8, world.nodes[0].said
