"""Requests that wait for the core, as a unit: what is asked at once leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from replog.core.effects import AnswerRead
from replog.core.entry import EntryId
from replog.core.events import Event, ReadRequested, RequestAbandoned
from replog.node.clients import Clients, NodeFailedError
from replog.node.stepper import Stepper
from replog.node.views import ANY, ReadPoint


class Core:
    """Answers reads at once, or never."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.events: list[Event] = []
        self.clients = Clients(cast(Stepper, self))

    def handle(self, *events: Event) -> None:
        self.events += events
        for event in events:
            if self.answers and isinstance(event, ReadRequested):
                answer = AnswerRead(event.request, EntryId(7), True, True, None)
                self.clients.answer_read(answer)


def test_a_read_point_at_once_is_the_one_that_is_waited_for() -> None:
    async def story() -> None:
        core = Core(answers=True)
        point = core.clients.read_point_now()
        assert point == ReadPoint(EntryId(7), has_master=True)
        assert point == await core.clients.read_point(ANY)
        assert [type(event) for event in core.events] == [ReadRequested] * 2

    asyncio.run(story())


def test_a_read_that_would_wait_is_taken_back() -> None:
    async def story() -> None:
        core = Core(answers=False)
        assert core.clients.read_point_now() is None
        asked, left = core.events
        assert isinstance(asked, ReadRequested)
        assert left == RequestAbandoned(asked.request)
        core.clients.answer_read(AnswerRead(asked.request, EntryId(7), True, True, None))

    asyncio.run(story())


def test_a_node_that_failed_has_no_read_point() -> None:
    async def story() -> None:
        core = Core(answers=True)
        core.clients.give_up("a defect")
        assert core.clients.read_point_now() is None
        assert core.events == []
        with pytest.raises(NodeFailedError):
            await core.clients.read_point(ANY)

    asyncio.run(story())
