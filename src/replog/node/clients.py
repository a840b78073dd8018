"""The requests of clients that wait for the core: appends, receipts, reads.

SHELL. Each one is an event with a number, and a future that its answer fulfils.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final, Protocol

from replog.core.effects import AnswerRead, AppendOutcome, RefusalReason, Refused
from replog.core.entry import NO_ENTRY, TICK_S, EntryId, ticks
from replog.core.errors import ReplogError
from replog.core.events import (
    AcksAwaited,
    AppendRequested,
    AppendsRequested,
    ReadRequested,
    RequestAbandoned,
    RequestId,
)
from replog.core.write_concern import WriteConcern
from replog.node.stepper import Stepper
from replog.node.views import Freshness, ReadPoint

_log = logging.getLogger("replog.node")


_OF_THE_REQUEST = frozenset(
    {
        RefusalReason.BAD_WRITE_CONCERN,
        RefusalReason.UNKNOWN_ID,
        RefusalReason.PRECONDITION_FAILED,
        RefusalReason.KEY_REUSED,
        RefusalReason.TOO_LARGE,
    }
)
"""Refusals that are the client's to mend: nothing for an operator to do."""


Answered = Callable[[AppendOutcome | None], None]
"""Takes the outcome of an append; None where the node fails and nobody knows it any more."""


GATHERING_S_MAX: Final = 0.001
"""After so long appends are handed over though more arrive."""


GATHERED_ENTRIES_MAX: Final = 64
"""An append of more messages is worth a batch of its own: the nodes work on it while the next
one is read. Four clients with a thousand entries each lost a tenth by being gathered."""


class Begin(Protocol):
    """Begins a request whose outcome is that of an append."""

    def __call__(self, *, answered: Answered) -> RequestId: ...


class NodeFailedError(ReplogError):
    """The node ends over a defect, or its disk, and does not know what to answer."""


class Clients:
    """Who waits for an answer of this node.

    Outcomes are told after the step that brought them, all of a batch in one turn of the loop:
    what the step wants done for the next batch comes first.
    """

    def __init__(self, stepper: Stepper) -> None:
        self._failure: NodeFailedError | None = None
        self._stepper = stepper
        self._loop = asyncio.get_running_loop()
        self._ids = map(RequestId, count(1))
        self._appends: dict[RequestId, Answered] = {}
        self._arrived: list[AppendRequested] = []
        self._gathered = 0
        self._gathers_until = 0.0
        self._together = 1  # when appends were last handed over
        self._outcomes: deque[tuple[RequestId, AppendOutcome | None]] = deque()
        self._reads: dict[RequestId, asyncio.Future[ReadPoint]] = {}
        self._timed: set[RequestId] = set()

    @property
    def is_timed(self) -> bool:
        """Whether somebody waits for a time that is due to the hundredth of a second."""
        return bool(self._timed)

    @property
    def waiting_longest(self) -> RequestId | None:
        """Who has waited longest for the outcome of an append, if somebody does."""
        return next(iter(self._appends), None)

    # --- asking -------------------------------------------------------------------------

    def begin_append(
        self,
        messages: tuple[bytes, ...],
        *,
        keys: tuple[str | None, ...],
        expect: EntryId | None,
        concern: WriteConcern | None,
        timeout_s: float | None,
        answered: Answered,
    ) -> RequestId:
        """See `Node.begin_append`."""
        request = next(self._ids)
        timeout = None if timeout_s is None else ticks(timeout_s)
        append = AppendRequested(request, messages, concern, timeout, keys, expect)
        if self._is_waiting(request, answered, is_timed=timeout is not None):
            self._arrived.append(append)
            if len(messages) > GATHERED_ENTRIES_MAX:
                self._hand_over()
            elif len(self._arrived) == 1:
                is_alone = self._together == len(self._appends) == 1
                self._gathered = int(is_alone)
                self._gathers_until = self._loop.time() + GATHERING_S_MAX
                self._loop.call_soon(self._gather)
        return request

    def _gather(self) -> None:
        """Let appends that arrive at the same time make one batch.

        Clients that were answered together ask again together, one after another: the core
        hears of all at the first turn of the loop that brings no further one. Handed over one
        by one, the first would make a batch of its own, and the others wait for its sync.
        Only a lone client, which came alone the last time as well, waits for no empty turn.
        """
        if len(self._arrived) > self._gathered and self._loop.time() < self._gathers_until:
            self._gathered = len(self._arrived)
            self._loop.call_soon(self._gather)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        if not arrived:
            return  # a long append took them along
        appends = tuple([append for append in arrived if append.request in self._appends])
        self._together = len(appends)
        if len(appends) == 1:
            self._stepper.handle(appends[0])
        elif appends:
            self._stepper.handle(AppendsRequested(appends))

    def begin_acks(
        self,
        id: EntryId,
        *,
        concern: WriteConcern | None,
        timeout_s: float | None,
        answered: Answered,
    ) -> RequestId:
        """Have the outcome told as that of an append of the stored entry `id` (P2)."""
        request = next(self._ids)
        timeout = None if timeout_s is None else ticks(timeout_s)
        event = AcksAwaited(request, id, concern, timeout)
        if self._is_waiting(request, answered, is_timed=timeout is not None):
            self._stepper.handle(event)
        return request

    def _is_waiting(self, request: RequestId, answered: Answered, *, is_timed: bool) -> bool:
        """Let `request` wait for the core's answer; False where there is no core any more."""
        self._appends[request] = answered
        if self._failure is not None:
            refused = Refused(RefusalReason.STOPPING, "the node ends; nothing was stored")
            self._tell_later(request, refused)
            return False
        if is_timed:
            self._timed.add(request)
        return True

    def abandon(self, request: RequestId) -> None:
        """Its client hung up: it is told nothing more. What is stored stays stored."""
        if self._appends.pop(request, None) is not None:
            self._timed.discard(request)
            self._stepper.handle(RequestAbandoned(request))

    async def outcome(self, begin: Begin) -> AppendOutcome:
        """Begin and wait for what comes of it; who is cancelled has hung up.

        Raises: NodeFailedError.
        """
        waiting: asyncio.Future[AppendOutcome | None] = self._loop.create_future()

        def answered(outcome: AppendOutcome | None) -> None:
            if not waiting.done():
                waiting.set_result(outcome)

        request = begin(answered=answered)
        try:
            outcome = await waiting
        finally:
            self.abandon(request)
        if outcome is None:
            raise self._failure or NodeFailedError("the node ends over a defect")
        return outcome

    async def read_point(self, freshness: Freshness) -> ReadPoint:
        """See `Node.read_point`."""
        if self._failure is not None:
            raise self._failure
        request = next(self._ids)
        max_lag, timeout = freshness.max_lag_s, freshness.timeout_s
        event = ReadRequested(
            request,
            freshness.min_id,
            freshness.is_linearizable,
            None if max_lag is None else ticks(max_lag),
            None if timeout is None else ticks(timeout),
        )
        waiting: asyncio.Future[ReadPoint] = self._loop.create_future()
        self._reads[request] = waiting
        if timeout is not None or max_lag is not None:
            self._timed.add(request)
        try:
            self._stepper.handle(event)
            return await waiting
        finally:
            self._timed.discard(request)
            if self._reads.pop(request, None) is not None:
                self._stepper.handle(RequestAbandoned(request))

    def read_point_now(self) -> ReadPoint | None:
        """Return what `read_point` does, where the core says it at once; else None."""
        if self._failure is not None:
            return None
        request = next(self._ids)
        waiting: asyncio.Future[ReadPoint] = self._loop.create_future()
        self._reads[request] = waiting
        self._stepper.handle(ReadRequested(request, NO_ENTRY, False, None, None))  # noqa: FBT003
        if waiting.done():
            return waiting.result()
        del self._reads[request]
        self._stepper.handle(RequestAbandoned(request))
        return None

    # --- answering ----------------------------------------------------------------------

    def answer_append(self, request: RequestId, outcome: AppendOutcome) -> None:
        """Give the outcome to who waits for it, if anybody still does."""
        if isinstance(outcome, Refused):
            reason = outcome.reason
            level = logging.INFO if reason in _OF_THE_REQUEST else logging.WARNING
            _log.log(level, "append refused: %s", outcome.detail, extra={"reason": reason.value})
        self._tell_later(request, outcome)

    def _tell_later(self, request: RequestId, outcome: AppendOutcome | None) -> None:
        if not self._outcomes:
            self._loop.call_soon(self._tell)
        self._outcomes.append((request, outcome))

    def _tell(self) -> None:
        outcomes = self._outcomes
        try:
            while outcomes:
                request, outcome = outcomes.popleft()
                answered = self._appends.pop(request, None)
                if answered is not None:
                    self._timed.discard(request)
                    answered(outcome)
        finally:
            if outcomes:  # telling one met a defect, which is not the others'
                self._loop.call_soon(self._tell)

    def answer_read(self, answer: AnswerRead) -> None:
        """Let a read go on, if anybody still waits for it."""
        waiting = self._reads.pop(answer.request, None)
        if waiting is not None and not waiting.done():
            lag_s = None if answer.lag is None else answer.lag * TICK_S
            waiting.set_result(
                ReadPoint(answer.committed_id, answer.has_master, answer.is_met, lag_s)
            )

    def fail_read(self, request: RequestId, reason: str) -> None:
        """The node ends, and must not show any more what this read is to show."""
        waiting = self._reads.pop(request, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(NodeFailedError(reason))

    def give_up(self, reason: str) -> None:
        """The core is gone, and its answers with it: who waits gets a `NodeFailedError`.

        What it knew of ids cannot be trusted after a defect, so that nobody is told one: an
        append that waits may be stored or not. One that comes from now on is not.
        """
        self._failure = NodeFailedError(reason)
        self._arrived.clear()
        for request in self._appends:
            self._tell_later(request, None)
        for waiting in self._reads.values():
            if not waiting.done():
                waiting.set_exception(NodeFailedError(reason))
                waiting.exception()  # the one whose event was the defect does not come to look
        self._reads.clear()
