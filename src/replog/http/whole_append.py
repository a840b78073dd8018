"""An append whose request is here as a whole: from its body to its answer without a task.

NETWORK. Nearly every append is one message on the node's own terms, in one packet. Such a request
needs nothing of what ASGI is for (docs/decisions/0082); all others, and all errors, go that way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from replog.core.effects import AppendOutcome, Pending, Refused, Stored
from replog.core.events import RequestId
from replog.http.answer import JSON_HEADER, Headers, WholeAnswer
from replog.http.append_answer import answer_body, problem_of
from replog.http.append_request import AppendRequest
from replog.http.facade import ServedNode
from replog.http.problems import internal_error

Finish = Callable[[WholeAnswer], None]
"""Takes an answer, once."""

_REPLAYED = (b"idempotency-replayed", b"true")


def append_answer(outcome: Stored | Pending, request: AppendRequest) -> WholeAnswer:
    """Return the answer to an append that is stored, on so many nodes or not yet."""
    body = answer_body(outcome, request)
    headers: Headers = [JSON_HEADER, (b"content-length", b"%d" % len(body))]
    if isinstance(outcome, Stored):
        headers.append((b"log-acks", b"%d/%d" % (outcome.acks, outcome.nodes)))
    if outcome.is_replayed:
        headers.append(_REPLAYED)
    return WholeAnswer(200 if isinstance(outcome, Stored) else 202, headers, body)


class WholeAppend:
    """One such append, which its protocol has in the place of uvicorn's cycle.

    Attributes:
        disconnected: the client hung up; set by the protocol, as are `keep_alive` and the two
            about the response.
        keep_alive: False once the server stops: the connection ends with the answer.
    """

    __slots__ = (
        "_ended",
        "_finish",
        "_id",
        "_node",
        "_request",
        "disconnected",
        "keep_alive",
        "response_complete",
        "response_started",
    )

    def __init__(
        self,
        node: ServedNode,
        request: AppendRequest,
        *,
        finish: Finish,
        ended: Callable[[], None],
    ) -> None:
        """Prepare; `ended` is called once it waits no more, answered or not."""
        self._node = node
        self._request: AppendRequest | None = request
        self._finish = finish
        self._ended = ended
        self._id: RequestId | None = None
        self.disconnected = self.response_started = self.response_complete = False
        self.keep_alive = True

    def begin(self, timeout_s: float | None) -> None:
        """Hand the messages to the node, which answers later."""
        request = self._request
        assert request is not None, "an append is begun once"
        self._id = self._node.begin_append(
            request.messages,
            concern=request.concern,
            timeout_s=timeout_s,
            keys=request.keys,
            expect=request.expect,
            answered=self._answered,
        )

    @property
    def message_event(self) -> Self:
        """Where uvicorn's cycle has an event that its task waits for."""
        return self

    def set(self) -> None:
        """Take word that something happened to the connection: here only a hang-up matters."""
        if self.disconnected and not self.response_complete:
            self.response_complete = True
            self._request = None
            self._ended()
            if self._id is not None:
                self._node.abandon(self._id)

    def _answered(self, outcome: AppendOutcome | None) -> None:
        request, self._request = self._request, None  # an idle connection holds no message
        if self.response_complete or request is None:
            return  # nobody is there
        self._ended()
        self.response_started = self.response_complete = True
        if outcome is None:
            problem = internal_error()
        else:
            not_stored = problem_of(outcome)
            if not_stored is None:
                assert not isinstance(outcome, Refused), outcome
                self._finish(append_answer(outcome, request))
                return
            problem = not_stored  # the node has logged it
        body = problem.body()
        self._finish(WholeAnswer(problem.status, problem.all_headers(body), body))
