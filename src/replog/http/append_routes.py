"""`POST /logs`: one append from its body to its answer.

NETWORK. docs/http.md is the reference, `openapi.py` describes it in the OpenAPI document.
"""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from replog.core.effects import AppendOutcome, Pending, Refused, Stored
from replog.http.answer import JSON_HEADER, send_answer, send_problem
from replog.http.append_request import AppendRequest, parse_append
from replog.http.body import BytesInFlight, read_body, require_json
from replog.http.facade import ServedNode
from replog.http.hang_up import wait_for_answer
from replog.http.limits import Limits
from replog.http.pending import pending_body
from replog.http.problems import PROBLEMS, Problem, ProblemError
from replog.node.views import Role


class AppendRoutes:
    """The appends of one node, and the limits that all of them share."""

    def __init__(self, node: ServedNode, limits: Limits, default_timeout_s: float | None) -> None:
        self._node = node
        self._limits = limits
        self._default_timeout_s = default_timeout_s
        self._budget = BytesInFlight(limits.request_bytes_max)
        self._waiting = 0

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def bytes_in_flight(self) -> int:
        return self._budget.held

    async def append(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `POST /logs`.

        Raises:
            ProblemError: it is refused before it comes to the node.
            ClientGone: there is nobody to answer.
        """
        if self._node.role is not Role.MASTER:
            raise ProblemError(_not_the_master(self._node.master_url))
        fields = require_json(scope["headers"])
        size_max = self._limits.body_bytes_max
        body = await read_body(receive, fields, size_max=size_max, budget=self._budget)
        size = len(body)
        try:
            request = parse_append(body, scope["query_string"], self._limits)
            del body  # only the message is kept while it waits
            if self._waiting >= self._limits.waiting_appends_max:
                raise ProblemError(self._overloaded())
            outcome = await self._wait_for_outcome(request, receive)
            if isinstance(outcome, Refused):  # the node has logged it
                problem = Problem(PROBLEMS[outcome.reason.value], outcome.detail)
                await send_problem(scope, receive, send, problem)
            else:
                await _answer_stored(send, outcome, request.message)
        finally:
            self._budget.give_back(size)

    async def _wait_for_outcome(self, request: AppendRequest, receive: Receive) -> AppendOutcome:
        timeout_s = request.timeout_s
        if timeout_s is None:
            timeout_s = self._default_timeout_s
        self._waiting += 1
        try:
            waiting = self._node.append(
                (request.message,), concern=request.concern, timeout_s=timeout_s
            )
            return await wait_for_answer(waiting, receive)
        finally:
            self._waiting -= 1

    def _overloaded(self) -> Problem:
        return Problem(
            PROBLEMS["overloaded"],
            f"{self._waiting} appends are waiting, which is the limit. Nothing of this one was "
            "stored: wait for answers, then send it again.",
        )


async def _answer_stored(send: Send, outcome: Stored | Pending, message: bytes) -> None:
    match outcome:
        case Stored(first_id, _, acks, nodes):
            body = b'{"status":"success","log":{"id":%d,"message":%b}}' % (first_id, message)
            length = (b"content-length", b"%d" % len(body))
            counted = (b"log-acks", b"%d/%d" % (acks, nodes))
            await send_answer(send, 200, (JSON_HEADER, length, counted), body)
        case Pending():
            body = pending_body(outcome, message)
            length = (b"content-length", b"%d" % len(body))
            await send_answer(send, 202, (JSON_HEADER, length), body)


def _not_the_master(master_url: str | None) -> Problem:
    where = (
        f"append at {master_url}/logs"
        if master_url is not None
        else "its master has not told its URL yet, so append at the node that you started as master"
    )
    return Problem(
        PROBLEMS["not-the-master"],
        f"This node is a secondary and takes no appends: {where}.",
        members={"master": master_url},
        headers=((b"allow", b"GET, HEAD"),),
    )
