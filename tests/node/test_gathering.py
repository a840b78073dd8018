"""Appends from their arrival to the core and back to who asked, around a core that only hears."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from replog.core.effects import AppendOutcome, RefusalReason, Refused, Stored
from replog.core.entry import EntryId
from replog.core.events import (
    AppendRequested,
    AppendsRequested,
    Event,
    RequestAbandoned,
    RequestId,
)
from replog.node.clients import GATHERED_ENTRIES_MAX, Answered, Clients
from replog.node.stepper import Stepper
from tests.support.waiting import DEADLINE_S

STORED = Stored(EntryId(1), EntryId(1), 3, 3)


class Heard:
    """Stands for the stepper; `appends` are the requests of each event with appends."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def handle(self, *events: Event) -> None:
        self.events += events

    @property
    def appends(self) -> list[list[RequestId]]:
        found = []
        for event in self.events:
            if isinstance(event, AppendRequested):
                found.append([event.request])
            elif isinstance(event, AppendsRequested):
                found.append([append.request for append in event.appends])
        return found


def _run(story: Callable[[Heard, Clients], Awaitable[None]]) -> None:
    async def run() -> None:
        heard = Heard()
        async with asyncio.timeout(DEADLINE_S):
            await story(heard, Clients(cast(Stepper, heard)))

    asyncio.run(run())


def _nobody(outcome: AppendOutcome | None) -> None:
    del outcome


def _begin(
    clients: Clients, answered: Answered = _nobody, *, messages: tuple[bytes, ...] = (b'"x"',)
) -> RequestId:
    return clients.begin_append(
        messages, keys=(), expect=None, concern=None, timeout_s=None, answered=answered
    )


async def _handed_over(heard: Heard, events: int) -> None:
    while len(heard.appends) < events:  # noqa: ASYNC110 - there is no event of it
        await asyncio.sleep(0)


def test_appends_that_arrive_together_are_one_event() -> None:
    async def story(heard: Heard, clients: Clients) -> None:
        requests = [_begin(clients) for _ in range(3)]
        assert heard.appends == []
        await _handed_over(heard, 1)
        assert heard.appends == [requests]

    _run(story)


def test_those_that_arrive_turn_by_turn_are_waited_for_within_bounds() -> None:
    async def story(heard: Heard, clients: Clients) -> None:
        requests = [_begin(clients), _begin(clients)]
        while not heard.appends:
            await asyncio.sleep(0)
            requests.append(_begin(clients))
        assert heard.appends == [requests[:-1]]
        assert len(requests) > 3, "each turn brought one more"
        await _handed_over(heard, 2)
        assert heard.appends[1] == requests[-1:]

    _run(story)


def test_a_lone_client_waits_for_no_empty_turn() -> None:
    async def story(heard: Heard, clients: Clients) -> None:
        request = _begin(clients)
        await asyncio.sleep(0)
        assert heard.appends == [[request]]
        second = _begin(clients)  # while the first one waits: it is not alone
        await asyncio.sleep(0)
        assert heard.appends == [[request]]
        await _handed_over(heard, 2)
        for each in (request, second):
            clients.answer_append(each, STORED)
        await asyncio.sleep(0)
        pair = [_begin(clients), _begin(clients)]
        await _handed_over(heard, 3)
        for each in pair:
            clients.answer_append(each, STORED)
        await asyncio.sleep(0)
        _begin(clients)  # alone, but there were two the last time: others may follow
        await asyncio.sleep(0)
        assert heard.appends[2:] == [pair]
        await _handed_over(heard, 4)

    _run(story)


def test_a_long_append_takes_what_came_before_it_along_at_once() -> None:
    async def story(heard: Heard, clients: Clients) -> None:
        first = _begin(clients)
        second = _begin(clients, messages=(GATHERED_ENTRIES_MAX + 1) * (b'"x"',))
        assert heard.appends == [[first, second]]
        third = _begin(clients)
        await _handed_over(heard, 2)
        assert heard.appends[1:] == [[third]]

    _run(story)


def test_who_hangs_up_before_the_core_hears_is_not_handed_over() -> None:
    async def story(heard: Heard, clients: Clients) -> None:
        gone, stays = _begin(clients), _begin(clients)
        clients.abandon(gone)
        await _handed_over(heard, 1)
        assert heard.appends == [[stays]]
        assert RequestAbandoned(gone) in heard.events

    _run(story)


def test_outcomes_are_told_later_in_order_and_not_to_who_hung_up() -> None:
    async def story(heard: Heard, clients: Clients) -> None:
        told: list[int] = []
        requests = [_begin(clients, lambda _, n=n: told.append(n)) for n in range(4)]  # type: ignore[misc]
        await _handed_over(heard, 1)
        for request in requests:
            clients.answer_append(request, STORED)
        assert told == []
        clients.abandon(requests[1])
        await asyncio.sleep(0)
        assert told == [0, 2, 3]

    _run(story)


def test_who_fails_to_take_an_outcome_keeps_it_from_nobody_else() -> None:
    async def story(heard: Heard, clients: Clients) -> None:
        said: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: said.append(str(context["exception"])))

        def fail(outcome: AppendOutcome | None) -> None:
            del outcome
            raise RuntimeError("planted by the test")

        told: list[AppendOutcome | None] = []
        requests = [_begin(clients, fail), _begin(clients, told.append)]
        await _handed_over(heard, 1)
        for request in requests:
            clients.answer_append(request, STORED)
        while not told:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert said == ["planted by the test"]

    _run(story)


def test_after_a_defect_nobody_knows_and_who_comes_is_refused() -> None:
    async def story(heard: Heard, clients: Clients) -> None:
        told: list[AppendOutcome | None] = []
        _begin(clients, told.append)
        clients.give_up("planted by the test")
        _begin(clients, told.append)
        while len(told) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        refused = told[1]
        assert told[0] is None
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.STOPPING
        assert heard.appends == []

    _run(story)
