"""Bodies of which more is to come, and who makes room where they are too many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from starlette.types import Message

from replog.http.body import read_body
from replog.http.in_flight import PATIENCE_S, BytesInFlight, PartialBody
from replog.http.problems import ProblemError
from tests.support.waiting import DEADLINE_S

LIMIT = 2_000
"""1,000 for bodies of which more is to come."""


class Upload:
    """One body: it brings `size` bytes at once, and the rest of it when it is let go."""

    def __init__(self, budget: BytesInFlight, size: int) -> None:
        self._pieces: asyncio.Queue[Message] = asyncio.Queue()
        self.bring(size)
        self.reading = asyncio.ensure_future(read_body(self._pieces.get, {}, LIMIT, budget=budget))

    def bring(self, size: int, *, is_last: bool = False) -> None:
        piece = {"type": "http.request", "body": bytes(size), "more_body": not is_last}
        self._pieces.put_nowait(piece)

    async def refused(self) -> str:
        with pytest.raises(ProblemError) as caught:
            await self.reading
        assert caught.value.problem.status == 503
        return caught.value.problem.detail


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def run(story: Callable[[BytesInFlight], Awaitable[None]], *, patience_s: float) -> None:
    """Run a story, in which a body of 600 bytes is slow after 40 ms where patience is 0."""

    async def told() -> None:
        await story(BytesInFlight(LIMIT, patience_s=patience_s))

    asyncio.run(asyncio.wait_for(told(), DEADLINE_S))


async def slow_one(budget: BytesInFlight, size: int = 600) -> Upload:
    slow = Upload(budget, size)
    await asyncio.sleep(0.1)  # it is older than its bytes allow, however much longer this takes
    return slow


def test_a_slow_body_makes_room_for_another() -> None:
    async def story(budget: BytesInFlight) -> None:
        slow = await slow_one(budget)
        other = Upload(budget, 500)
        await turns(1)
        assert budget.arriving == 500, "at once, not when the other task comes by"
        assert "less than 16384 bytes a second" in await slow.refused()
        assert (budget.arriving, budget.held) == (500, 500)
        assert slow.reading.cancelling() == 0, "a timeout around it would take it for its own"
        other.bring(100, is_last=True)
        assert len(await other.reading) == 600
        assert (budget.arriving, budget.held) == (0, 600), "its caller gives it back"

    run(story, patience_s=0)


def test_the_oldest_make_room_and_no_more_than_it_takes() -> None:
    async def story(budget: BytesInFlight) -> None:
        first, second, third = [await slow_one(budget, 300) for _ in range(3)]
        other = Upload(budget, 500)
        await first.refused()
        await second.refused()
        await turns()
        assert not third.reading.done()
        assert (budget.arriving, budget.held) == (800, 800)
        third.reading.cancel()
        other.reading.cancel()
        await asyncio.wait((third.reading, other.reading))
        assert (budget.arriving, budget.held) == (0, 0)

    run(story, patience_s=0)


def test_where_slow_ones_are_not_enough_none_is_cut_for_nothing() -> None:
    async def story(budget: BytesInFlight) -> None:
        slow = await slow_one(budget, 100)
        large = Upload(budget, 900)
        large.bring(101)
        assert "have reached the limit of 1000 bytes" in await large.refused()
        await turns()
        assert not slow.reading.done()
        slow.bring(0, is_last=True)
        assert len(await slow.reading) == 100

    run(story, patience_s=0)


def test_none_is_cut_where_bodies_that_are_here_take_the_room() -> None:
    async def story(budget: BytesInFlight) -> None:
        budget.take(1_500)
        slow = await slow_one(budget, 400)
        assert "have reached the limit of 2000 bytes" in await Upload(budget, 700).refused()
        await turns()
        assert not slow.reading.done()
        slow.bring(0, is_last=True)
        assert len(await slow.reading) == 400

    run(story, patience_s=0)


def test_nobody_makes_room_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PartialBody, "is_slow", lambda part, *_: part.size == 600)

    async def story(budget: BytesInFlight) -> None:
        slow, other = Upload(budget, 600), Upload(budget, 390)
        await turns()
        slow.bring(100)
        assert "have reached the limit of 1000 bytes" in await slow.refused()
        other.bring(0, is_last=True)
        assert len(await other.reading) == 390

    run(story, patience_s=0)


def test_a_young_body_does_not_make_room() -> None:
    async def story(budget: BytesInFlight) -> None:
        young = await slow_one(budget)
        assert "have reached the limit" in await Upload(budget, 500).refused()
        young.bring(0, is_last=True)
        assert len(await young.reading) == 600

    run(story, patience_s=PATIENCE_S)


def test_young_ones_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """2,000 that come at once would each look at all of those before it."""
    looked_at: list[PartialBody] = []
    age_s = PartialBody.age_s

    def look(part: PartialBody, now: float) -> float:
        looked_at.append(part)
        return age_s(part, now)

    monkeypatch.setattr(PartialBody, "age_s", look)

    async def story(budget: BytesInFlight) -> None:
        young = [Upload(budget, 90) for _ in range(10)]
        await turns()
        assert "have reached the limit" in await Upload(budget, 500).refused()
        assert len(looked_at) == 1
        for one in young:
            one.bring(0, is_last=True)
            await one.reading

    run(story, patience_s=PATIENCE_S)


def test_one_body_alone_may_be_larger_and_a_whole_one_asks_nobody() -> None:
    async def story(budget: BytesInFlight) -> None:
        alone = Upload(budget, 1_500)
        await turns()
        assert budget.arriving == 1_500
        whole = asyncio.Queue[Message]()
        whole.put_nowait({"type": "http.request", "body": bytes(400)})
        assert len(await read_body(whole.get, {}, LIMIT, budget=budget)) == 400
        alone.bring(0, is_last=True)
        assert len(await alone.reading) == 1_500
        assert (budget.arriving, budget.held) == (0, 1_900)

    run(story, patience_s=0)


def test_a_stop_is_no_refusal() -> None:
    async def story(budget: BytesInFlight) -> None:
        upload = Upload(budget, 10)
        await turns()
        upload.reading.cancel()
        with suppress(asyncio.CancelledError):
            await upload.reading
        assert upload.reading.cancelled()
        assert (budget.arriving, budget.held) == (0, 0)

    run(story, patience_s=0)
