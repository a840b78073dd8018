"""The pump that wakes followers, as a unit."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message

from replog.core.entry import EntryId
from replog.http.followers import SLICE, Follower, Followers, Patience, Reason
from replog.http.problems import ProblemError
from tests.http.fake_node import FakeNode
from tests.support.nodes import until
from tests.support.waiting import DEADLINE_S

FIRST = EntryId(1)


def _run(story: Callable[[FakeNode, Followers], Awaitable[None]]) -> None:
    async def within_the_deadline() -> None:
        node = FakeNode()
        followers = Followers(node, followers_max=200)
        async with asyncio.timeout(DEADLINE_S):
            await story(node, followers)
        assert len(followers) == 0
        await asyncio.sleep(0)  # what was cancelled ends
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"
        assert node.feed._listeners == ()

    asyncio.run(within_the_deadline())


async def _follow(followers: Followers, next_id: int, woken: list[int]) -> Reason | None:
    """Wait as a follower does, and note what it is shown each time."""
    with followers.joined(EntryId(next_id)) as follower:
        while follower.reason is None:
            await follower.wait()
            woken.append(followers.shown_id)
            follower.next_id = EntryId(max(follower.next_id, followers.shown_id + 1))
        return follower.reason


async def _all_wait(followers: Followers, count: int) -> None:
    await until(lambda: sum(one.is_waiting for one in followers._members) == count, f"{count} wait")


async def _ended(*tasks: asyncio.Task[Reason | None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_only_those_for_whom_there_is_something_are_woken() -> None:
    async def story(node: FakeNode, followers: Followers) -> None:
        near: list[int] = []
        far: list[int] = []
        tasks = (
            asyncio.create_task(_follow(followers, 1, near)),
            asyncio.create_task(_follow(followers, 5, far)),
        )
        for shown in range(1, 5):
            await _all_wait(followers, 2)
            node.feed.show(EntryId(shown))
            await until(lambda: len(near) == shown, "the near one is woken")  # noqa: B023
        assert (near, far) == ([1, 2, 3, 4], [])
        await _all_wait(followers, 2)
        node.feed.show(EntryId(5))
        await until(lambda: bool(far), "the far one is woken")
        assert far == [5]
        await _ended(*tasks)

    _run(story)


def test_many_are_woken_in_slices_with_the_loop_free_in_between() -> None:
    """All are shown the same end, also those whose slice comes after the log went on."""

    async def story(node: FakeNode, followers: Followers) -> None:
        count = 5 * SLICE
        woken: list[int] = []
        tasks = [asyncio.create_task(_follow(followers, 1, woken)) for _ in range(count)]
        await _all_wait(followers, count)
        node.feed.show(FIRST)
        steps = []
        while len(woken) < count:
            before = len(woken)
            await asyncio.sleep(0)
            steps.append(len(woken) - before)
            if sum(steps) == SLICE:
                node.feed.show(EntryId(2))
        assert max(steps) <= SLICE
        assert set(woken[:count]) == {1}
        await until(lambda: len(woken) == 2 * count, "all are woken again")
        assert set(woken[count:]) == {2}
        await _ended(*tasks)

    _run(story)


def test_one_who_joins_behind_is_woken_though_nothing_new_comes() -> None:
    async def story(node: FakeNode, followers: Followers) -> None:
        node.feed.show(EntryId(3))
        woken: list[int] = []
        task = asyncio.create_task(_follow(followers, 2, woken))
        await until(lambda: bool(woken), "it is woken")
        assert woken == [3]
        await _ended(task)

    _run(story)


def test_a_long_poll_that_was_answered_early_is_forgotten_at_once() -> None:
    """Its timer would keep it for up to 300 seconds."""

    async def story(node: FakeNode, followers: Followers) -> None:
        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        poll = asyncio.create_task(followers.wait_until_visible(FIRST, 300, receive))
        await _all_wait(followers, 1)
        node.feed.show(FIRST)
        await poll
        gc.collect()
        assert not [one for one in gc.get_objects() if isinstance(one, Follower)]

    _run(story)


def test_a_stop_wakes_all_at_once_and_takes_nobody_more() -> None:
    async def story(node: FakeNode, followers: Followers) -> None:
        tasks = [asyncio.create_task(_follow(followers, 1, [])) for _ in range(150)]
        await _all_wait(followers, 150)
        node.stopping.set()
        assert await asyncio.gather(*tasks) == 150 * [Reason.STOPPING]
        with pytest.raises(ProblemError, match="stops"), followers.joined(FIRST):
            pass

    _run(story)


def test_a_pump_starts_again_after_the_last_one_left() -> None:
    async def story(node: FakeNode, followers: Followers) -> None:
        for shown in (1, 2, 3):
            woken: list[int] = []
            task = asyncio.create_task(_follow(followers, shown, woken))
            await _all_wait(followers, 1)
            node.feed.show(EntryId(shown))
            await until(lambda: bool(woken), "it is woken")  # noqa: B023
            await _ended(task)
            assert len(followers) == 0

    _run(story)


def test_only_a_send_that_lasts_is_cancelled_as_slow() -> None:
    async def story(node: FakeNode, followers: Followers) -> None:
        del node
        followers.patience = Patience(beat_s=0.01, stalled_s=0.03)
        loop = asyncio.get_running_loop()

        async def send(*, takes: asyncio.Event) -> str:
            with followers.joined(FIRST) as follower:
                follower.sending_since = loop.time()
                try:
                    await takes.wait()
                except asyncio.CancelledError:
                    assert follower.take_back_cancel()
                    task = asyncio.current_task()
                    assert task is not None
                    assert task.cancelling() == 0
                    return str(follower.reason)
                return "sent"

        idle = asyncio.create_task(_follow(followers, 1, []))
        done = asyncio.Event()
        done.set()
        assert await send(takes=done) == "sent"
        assert await asyncio.create_task(send(takes=asyncio.Event())) == "slow"
        assert not idle.done()
        await _ended(idle)

    _run(story)


def test_a_cancellation_from_elsewhere_is_not_taken_back() -> None:
    async def story(node: FakeNode, followers: Followers) -> None:
        del node
        seen: list[Follower] = []

        async def follow() -> None:
            with followers.joined(FIRST) as follower:
                seen.append(follower)
                try:
                    await follower.wait()
                except asyncio.CancelledError:
                    assert not follower.take_back_cancel()
                    raise

        task = asyncio.create_task(follow())
        await until(lambda: bool(seen), "it follows")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    _run(story)
