"""What a body takes while it arrives (P10)."""

from __future__ import annotations

import asyncio
import tracemalloc

from starlette.types import Message

from replog.http.body import read_body
from replog.http.in_flight import BytesInFlight

SIZE = 1 << 20


def test_a_body_of_which_more_is_to_come_is_held_once() -> None:
    """As long as it takes, a client decides: what is held twice is memory times two."""

    async def story() -> None:
        is_asked, more = asyncio.Event(), asyncio.Event()
        calls = 0

        async def receive() -> Message:
            nonlocal calls
            calls += 1
            if calls > 2:
                is_asked.set()
                await more.wait()
            return {"type": "http.request", "body": bytes(SIZE), "more_body": calls < 3}

        budget = BytesInFlight(8 * SIZE)
        tracemalloc.start()
        try:
            reading = asyncio.ensure_future(read_body(receive, {}, 4 * SIZE, budget=budget))
            await is_asked.wait()
            assert budget.arriving == budget.held == 2 * SIZE
            assert tracemalloc.get_traced_memory()[0] < 2.5 * SIZE
        finally:
            tracemalloc.stop()
        more.set()
        assert await reading == bytes(3 * SIZE)
        assert (budget.arriving, budget.held) == (0, 3 * SIZE)

    asyncio.run(story())
