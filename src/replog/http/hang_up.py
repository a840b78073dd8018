"""Waiting for a node's answer while noticing that the client hung up.

NETWORK. Nearly every answer comes within milliseconds, so a watcher (a task) is started only
for those that wait longer: a short wait costs one timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

from replog.http.body import ClientGone

WATCH_AFTER_S = 0.3

_Answer = TypeVar("_Answer")


async def wait_for_answer(
    answer: Awaitable[_Answer], receive: Receive, *, watch_after_s: float = WATCH_AFTER_S
) -> _Answer:
    """Await `answer`; cancel it where the client hangs up first.

    The request's body must have been read whole: what is received next is a hang-up.

    Args:
        watch_after_s: a hang-up is noticed only then. 0 is for an answer that is being sent: a
            server drops what is sent to a client that is gone without a word, so that much
            would be read for nobody meanwhile.

    Raises:
        ClientGone: the client hung up; `answer` was cancelled and has ended.
    """
    watch = _Watch(receive)
    timer = asyncio.get_running_loop().call_later(watch_after_s, watch.start)
    try:
        return await answer
    except asyncio.CancelledError:
        if not watch.has_hung_up:
            raise  # the server ends this request
        watch.waiter.uncancel()
        raise ClientGone from None
    finally:
        timer.cancel()
        watch.stop()


class _Watch:
    """Cancels the task that made it once the client hangs up."""

    __slots__ = ("has_hung_up", "receive", "task", "waiter")

    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.waiter = task
        self.receive = receive
        self.task: asyncio.Task[None] | None = None
        self.has_hung_up = False

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.task = None

    async def _watch(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        if self.task is not None:  # not stopped meanwhile: the answer is still awaited
            self.has_hung_up = True
            self.waiter.cancel()
