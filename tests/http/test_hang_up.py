"""Waiting for an answer while its client may hang up, as a unit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message

from replog.http.body import ClientGone
from replog.http.hang_up import wait_for_answer
from tests.support.waiting import DEADLINE_S


def _run(story: Callable[[], Awaitable[None]]) -> None:
    async def within_the_deadline() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await story()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"

    asyncio.run(within_the_deadline())


class _Client:
    """A client whose `receive` says so when it is first watched."""

    def __init__(self) -> None:
        self.is_watched = asyncio.Event()
        self.hangs_up = asyncio.Event()

    async def receive(self) -> Message:
        self.is_watched.set()
        await self.hangs_up.wait()
        return {"type": "http.disconnect"}


def test_an_answer_at_once_watches_nobody() -> None:
    async def story() -> None:
        client = _Client()
        assert await wait_for_answer(asyncio.sleep(0, "answer"), client.receive) == "answer"
        assert not client.is_watched.is_set()

    _run(story)


def test_a_late_answer_leaves_no_watcher() -> None:
    async def story() -> None:
        client = _Client()
        assert await wait_for_answer(client.is_watched.wait(), client.receive) is True
        await asyncio.sleep(0)  # the cancelled watcher ends

    _run(story)


def test_a_hang_up_cancels_the_answer_and_not_its_request() -> None:
    async def story() -> None:
        client = _Client()
        ended = asyncio.Event()

        async def answer() -> None:
            try:
                await client.is_watched.wait()
                client.hangs_up.set()
                await asyncio.Event().wait()
            finally:
                ended.set()

        with pytest.raises(ClientGone):
            await wait_for_answer(answer(), client.receive)
        assert ended.is_set()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    _run(story)


def test_a_server_that_ends_the_request_is_no_hang_up() -> None:
    async def story() -> None:
        client = _Client()
        waiting = asyncio.ensure_future(wait_for_answer(asyncio.Event().wait(), client.receive))
        await client.is_watched.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    _run(story)
