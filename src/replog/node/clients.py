"""The requests of clients that wait for the core: appends, receipts, reads.

SHELL. Each one is an event with a number, and a future that its answer fulfils.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import count

from replog.core.effects import AnswerRead, AppendOutcome, RefusalReason, Refused
from replog.core.entry import TICK_S, EntryId, ticks
from replog.core.errors import ReplogError
from replog.core.events import (
    AcksAwaited,
    AppendRequested,
    Event,
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


class NodeFailedError(ReplogError):
    """The node ends over a defect, and nobody knows any more what became of the request."""


class Clients:
    """Who waits for an answer of this node."""

    def __init__(self, stepper: Stepper) -> None:
        self._failure: NodeFailedError | None = None
        self._stepper = stepper
        self._ids = map(RequestId, count(1))
        self._appends: dict[RequestId, asyncio.Future[AppendOutcome]] = {}
        self._reads: dict[RequestId, asyncio.Future[ReadPoint]] = {}
        self._timed = 0

    @property
    def is_timed(self) -> bool:
        """Whether somebody waits for a time that is due to the hundredth of a second."""
        return self._timed > 0

    # --- asking -------------------------------------------------------------------------

    async def append(
        self,
        messages: tuple[bytes, ...],
        *,
        keys: tuple[str | None, ...],
        expect: EntryId | None,
        concern: WriteConcern | None,
        timeout_s: float | None,
    ) -> AppendOutcome:
        """See `Node.append`."""
        request = next(self._ids)
        timeout = None if timeout_s is None else ticks(timeout_s)
        event = AppendRequested(request, messages, concern, timeout, keys, expect)
        return await self._outcome(request, event, is_timed=timeout is not None)

    async def acks(
        self, id: EntryId, *, concern: WriteConcern | None, timeout_s: float | None
    ) -> AppendOutcome:
        """Return the outcome as that of an append of the stored entry `id` (P2)."""
        request = next(self._ids)
        timeout = None if timeout_s is None else ticks(timeout_s)
        event = AcksAwaited(request, id, concern, timeout)
        return await self._outcome(request, event, is_timed=timeout is not None)

    async def _outcome(self, request: RequestId, event: Event, *, is_timed: bool) -> AppendOutcome:
        if self._failure is not None:
            return Refused(RefusalReason.STOPPING, "the node ends; nothing was stored")
        waiting: asyncio.Future[AppendOutcome] = asyncio.get_running_loop().create_future()
        self._appends[request] = waiting
        self._timed += is_timed
        try:
            self._stepper.handle(event)
            return await waiting
        finally:
            self._timed -= is_timed
            if self._appends.pop(request, None) is not None:
                self._stepper.handle(RequestAbandoned(request))

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
        waiting: asyncio.Future[ReadPoint] = asyncio.get_running_loop().create_future()
        self._reads[request] = waiting
        is_timed = timeout is not None or max_lag is not None
        self._timed += is_timed
        try:
            self._stepper.handle(event)
            return await waiting
        finally:
            self._timed -= is_timed
            if self._reads.pop(request, None) is not None:
                self._stepper.handle(RequestAbandoned(request))

    # --- answering ----------------------------------------------------------------------

    def answer_append(self, request: RequestId, outcome: AppendOutcome) -> None:
        """Give the outcome to who waits for it, if anybody still does."""
        if isinstance(outcome, Refused):
            reason = outcome.reason
            level = logging.INFO if reason in _OF_THE_REQUEST else logging.WARNING
            _log.log(level, "append refused: %s", outcome.detail, extra={"reason": reason.value})
        waiting = self._appends.pop(request, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    def answer_read(self, answer: AnswerRead) -> None:
        """Let a read go on, if anybody still waits for it."""
        waiting = self._reads.pop(answer.request, None)
        if waiting is not None and not waiting.done():
            lag_s = None if answer.lag is None else answer.lag * TICK_S
            waiting.set_result(
                ReadPoint(answer.committed_id, answer.has_master, answer.is_met, lag_s)
            )

    def give_up(self, reason: str) -> None:
        """The core is gone, and its answers with it: who waits gets a `NodeFailedError`.

        What it knew of ids cannot be trusted after a defect, so that nobody is told one: an
        append that waits may be stored or not. One that comes from now on is not.
        """
        self._failure = NodeFailedError(reason)
        everybody: list[asyncio.Future[AppendOutcome] | asyncio.Future[ReadPoint]]
        everybody = [*self._appends.values(), *self._reads.values()]
        for waiting in everybody:
            if not waiting.done():
                waiting.set_exception(NodeFailedError(reason))
                waiting.exception()  # the one whose event was the defect does not come to look
        self._appends.clear()
        self._reads.clear()
