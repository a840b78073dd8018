"""Everybody who follows the log of one node, woken in rounds.

SHELL. A follower is a place in the log and a sleeping task: no queue. One pump wakes those for
whom something is visible, and rests in between for as long as keeps it to a seventh of the event
loop: one follower alone gets each entry at once, a thousand get what came meanwhile some times
a second (docs/decisions/0068).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from starlette.types import Receive

from replog.core.entry import NO_ENTRY, EntryId
from replog.http.facade import ServedNode
from replog.http.hang_up import wait_for_answer
from replog.http.problems import refusal

SLICE = 16
"""Followers that are woken together: they take the loop for less than half a millisecond."""

REST = 6.0
"""After a slice the pump rests so many times as long as that took."""

REST_S_MAX = 0.003
"""… but no longer: a round of 2,000 followers takes half a second even where the loop is busy."""


class Reason(StrEnum):
    """Why a node ends the stream of a follower."""

    STOPPING = "stopping"
    DAMAGED = "damaged"
    SLOW = "slow"
    TIME_UP = "time-up"
    """Of a long poll alone."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a stream is silent, and how long its client may be.

    Attributes:
        beat_s: one who got nothing between two beats gets a heartbeat at the second: a stream
            is silent for twice this at the most.
        stalled_s: what was sent must have left for the client after so long; looked at once
            a beat.
    """

    beat_s: float = 5.0
    stalled_s: float = 30.0


class Follower:
    """One who follows.

    Attributes:
        next_id: the entry that it waits for; it has all before it.
        reason: set where the node ends it.
    """

    __slots__ = ("_followers", "_task", "_waiting", "is_idle", "next_id", "reason", "sending_since")

    def __init__(self, followers: Followers, next_id: EntryId) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.next_id = next_id
        self.reason: Reason | None = None
        self.is_idle = True
        self.sending_since: float | None = None
        self._followers = followers
        self._task = task
        self._waiting: asyncio.Future[None] | None = None

    @property
    def is_waiting(self) -> bool:
        return self._waiting is not None and not self._waiting.done()

    async def wait(self) -> None:
        """Return when `next_id` is visible, at a beat if nothing was sent, or at the end."""
        if self.reason is not None:
            return
        self._waiting = asyncio.get_running_loop().create_future()
        self._followers.wake_pump_for(self)
        try:
            await self._waiting
        finally:
            self._waiting = None

    def wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def end(self, reason: Reason) -> None:
        """Let it end, as soon as it waits again; the first reason stands."""
        if self.reason is None:
            self.reason = reason
            self.wake()

    def end_stalled(self, *, before: float) -> None:
        """Cancel what it is sending, where that began before that time of the loop."""
        if self.sending_since is not None and self.sending_since < before and self.reason is None:
            self.reason = Reason.SLOW
            self._task.cancel()

    def take_back_cancel(self) -> bool:
        """Return whether a cancellation was `end_stalled`'s, and undo it then."""
        if self.reason is not Reason.SLOW or self.sending_since is None:
            return False
        self.sending_since = None
        self._task.uncancel()
        return True


class Followers:
    """The followers and long polls of one node.

    Attributes:
        shown_id: what followers are sent ends here, until the next round.
        patience: as it stands when the first one joins.
    """

    def __init__(self, node: ServedNode, *, followers_max: int) -> None:
        self._node = node
        self._followers_max = followers_max
        self._members: dict[Follower, None] = {}
        self._news = asyncio.Event()
        self._is_beat_due = False
        self._beat: asyncio.TimerHandle | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self.shown_id = NO_ENTRY
        self.patience = Patience()

    def __len__(self) -> int:
        return len(self._members)

    @contextmanager
    def joined(self, next_id: EntryId) -> Iterator[Follower]:
        """Make a follower of the running task, for as long as the context is open.

        Raises:
            ProblemError: overloaded or stopping.
        """
        if self._node.stopping.is_set():
            raise refusal("stopping", "The node stops; follow it again when it is back.")
        if len(self._members) >= self._followers_max:
            raise refusal(
                "overloaded",
                f"{self._followers_max} clients follow the log or wait for an entry, which is this "
                "node's limit. Follow another node, or try again later.",
            )
        follower = Follower(self, next_id)
        self._members[follower] = None
        if len(self._members) == 1:
            self._start()
        try:
            yield follower
        finally:
            del self._members[follower]
            if not self._members:
                self._stop()

    async def wait_until_visible(self, id: EntryId, seconds: float, receive: Receive) -> None:
        """Return when entry `id` is visible, `seconds` passed, or the node stops.

        The request's body must have been read whole.

        Raises:
            ProblemError: overloaded or stopping.
            ClientGone: the client hung up.
        """
        if id <= self._node.feed.shown_id or seconds <= 0:
            return
        with self.joined(id) as follower:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(seconds, follower.end, Reason.TIME_UP)
            try:
                await wait_for_answer(self._until_visible(follower), receive)
            finally:
                timer.cancel()

    async def _until_visible(self, follower: Follower) -> None:
        while follower.reason is None and follower.next_id > self._node.feed.shown_id:
            await follower.wait()

    # --- the pump -----------------------------------------------------------------------

    def wake_pump_for(self, follower: Follower) -> None:
        """Have a round made where something is visible already for one who begins to wait."""
        if follower.next_id <= self._node.feed.shown_id:
            self._news.set()

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._node.feed.subscribe(self._news.set)
        self._beat = loop.call_later(self.patience.beat_s, self._on_beat)
        self._tasks = (loop.create_task(self._pump()), loop.create_task(self._end_on_stop()))

    def _stop(self) -> None:
        self._node.feed.unsubscribe(self._news.set)
        assert self._beat is not None
        self._beat.cancel()
        for task in self._tasks:
            task.cancel()
        self._tasks = ()

    async def _pump(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._round()

    async def _round(self) -> None:
        """Wake everybody for whom there is something, a slice at a time.

        All of them are shown the same end, so that they stand at one place afterwards.
        """
        self.shown_id = self._node.feed.shown_id
        is_beat, self._is_beat_due = self._is_beat_due, False
        woken, started = 0, time.perf_counter()
        for follower in tuple(self._members):
            if not follower.is_waiting:
                continue
            if follower.next_id <= self.shown_id or (is_beat and follower.is_idle):
                follower.wake()
                woken += 1
                if woken % SLICE == 0:
                    await _rest(started)
                    started = time.perf_counter()
            elif is_beat:
                follower.is_idle = True
        await _rest(started)

    def _on_beat(self) -> None:
        loop = asyncio.get_running_loop()
        self._beat = loop.call_later(self.patience.beat_s, self._on_beat)
        before = loop.time() - self.patience.stalled_s
        for follower in self._members:
            follower.end_stalled(before=before)
        self._is_beat_due = True
        self._news.set()

    async def _end_on_stop(self) -> None:
        """End all at once: the server gives them 0.3 s together, and rounds are over."""
        await self._node.stopping.wait()
        for follower in self._members:
            follower.end(Reason.STOPPING)


async def _rest(started: float) -> None:
    """Let those who were woken have their turn, then everybody else."""
    await asyncio.sleep(0)
    taken = time.perf_counter() - started  # the loop's own clock stands still meanwhile
    await asyncio.sleep(min(REST_S_MAX, REST * taken))
