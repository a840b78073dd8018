"""The life of an entry at DEBUG, and the time and order that a core is fed with."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from pathlib import Path

import pytest

from replog.core.effects import Effect, Level, Say
from replog.core.entry import EntryId, Epoch, Head
from replog.core.events import BatchesSent, Event, LinkClosed, LinkId, Received, Ticked
from replog.core.messages import Acknowledgement
from replog.node.stepper import Stepper
from replog.node.trail import Trail
from tests.support.nodes import Nodes, until


def test_the_life_of_an_entry_is_followed_over_all_nodes_by_its_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="replog.entry")

    def steps() -> list[str]:
        lines = [line.getMessage() for line in caplog.records if line.name == "replog.entry"]
        return [line.removeprefix("entry 2: ") for line in lines if line.startswith("entry 2: ")]

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            master = await nodes.master("s1")
            await master.stored("one")
            await master.stored("two")
            url = nodes.url("s1")
            await until(lambda: steps().count("shown") == 2, "both show it")
            told = steps()
            in_order = ["appended", f"sent to {url}", f"acknowledged by {url}", "answered"]
            assert [step for step in told if step in in_order] == in_order, "of the master"
            assert f"received from {nodes.url('master')}" in told
            assert f"acknowledged to {nodes.url('master')}" in told
            assert told.count("written") == told.count("stored") == told.count("committed") == 2

    asyncio.run(story())
    extra = [record for record in caplog.records if record.name == "replog.entry"]
    assert all(hasattr(record, "entry_id") for record in extra)


def test_an_entry_that_could_not_be_read_was_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="replog.entry")
    trail = Trail(EntryId(5), shown=EntryId(5), link_name=str)
    head = Head(Epoch(1), EntryId(5), bytes(32))
    trail.event(BatchesSent(LinkId(1), head, 0, EntryId(5), head))
    assert caplog.messages == []
    trail.event(BatchesSent(LinkId(1), head, 80, EntryId(5), head))
    assert caplog.messages == ["entry 5: sent to 1"]


def test_a_link_that_has_closed_is_forgotten() -> None:
    """P10: links come and go for as long as a node lives."""
    trail = Trail(EntryId(0), shown=EntryId(0), link_name=str)

    def live(number: int) -> None:
        head, link = Head(Epoch(1), EntryId(1), bytes(32)), LinkId(number)
        trail.event(BatchesSent(link, head, 80, EntryId(0), head))
        trail.event(Received(link, Acknowledgement(head)))
        trail.event(LinkClosed(link, ""))

    live(0)
    tracemalloc.start()
    try:
        for number in range(1, 5_001):
            live(number)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 100_000, "some bytes a link are kept"


failures: list[str] = []


class EchoCore:
    """Notes what it is fed with; answers every event but ticks with one line."""

    def __init__(self) -> None:
        self.fed: list[Event] = []

    def start(self) -> list[Effect]:
        return [Say(Level.INFO, "start")]

    def step(self, event: Event) -> list[Effect]:
        self.fed.append(event)
        return [] if isinstance(event, Ticked) else [Say(Level.INFO, str(event))]


def closed(number: int) -> LinkClosed:
    return LinkClosed(LinkId(number), "")


def test_what_an_effect_brings_about_waits_until_its_list_is_done() -> None:
    async def story() -> None:
        core, done = EchoCore(), list[str]()
        stepper = new_stepper()

        def perform(effect: Effect) -> None:
            assert isinstance(effect, Say)
            done.append(effect.text)
            if effect.text == str(closed(1)):
                stepper.handle(closed(2))
                done.append("performed")

        stepper.begin(core, perform)
        stepper.handle(closed(1), closed(3))
        assert done == [
            "start",
            *map(str, [closed(1)]),
            "performed",
            str(closed(3)),
            str(closed(2)),
        ]
        stepper.end()
        stepper.handle(closed(4))
        assert closed(4) not in core.fed

    asyncio.run(story())


def test_time_is_brought_up_to_date_before_every_event_and_never_goes_back() -> None:
    async def story() -> None:
        core = EchoCore()
        stepper = new_stepper()
        stepper.begin(core, lambda _: None)
        for number in range(5):
            await asyncio.sleep(0.015)
            stepper.handle(closed(number))
            place = core.fed.index(closed(number))
            assert isinstance(core.fed[place - 1], Ticked)
        ticks = [event.now for event in core.fed if isinstance(event, Ticked)]
        assert ticks == sorted(set(ticks))
        stepper.end()

    asyncio.run(story())


def test_a_defect_ends_the_node_and_nothing_reaches_the_core_after_it() -> None:
    async def story() -> None:
        failures.clear()
        core = EchoCore()
        stepper = new_stepper()

        def perform(effect: Effect) -> None:
            assert effect != Say(Level.INFO, str(closed(1))), "the defect"

        stepper.begin(core, perform)
        with pytest.raises(AssertionError, match="the defect"):
            stepper.handle(closed(1))
        assert len(failures) == 1
        stepper.handle(closed(2))
        assert closed(2) not in core.fed

    asyncio.run(story())


def test_the_timer_ticks_by_itself() -> None:
    async def story() -> None:
        core = EchoCore()
        stepper = new_stepper()
        stepper.begin(core, lambda _: None)
        await until(lambda: len(core.fed) >= 3, "three ticks")
        stepper.end()

    asyncio.run(story())


def new_stepper() -> Stepper:
    trail = Trail(EntryId(0), shown=EntryId(0), link_name=str)
    return Stepper(
        is_precise=lambda: False, on_tick=lambda _: None, failed=failures.append, trail=trail
    )
