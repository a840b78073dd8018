"""`POST /logs`: one append from its body to its answer.

NETWORK. docs/http.md is the reference, `openapi_append.py` describes it in the OpenAPI document.
"""

from __future__ import annotations

import logging
from functools import partial

from starlette.types import Receive, Scope, Send

from replog.core.effects import AppendOutcome, Refused
from replog.http.answer import send_answer, send_problem
from replog.http.append_answer import problem_of
from replog.http.append_batch import Batch, parse_batch
from replog.http.append_request import AppendRequest, parse_append, parse_text
from replog.http.append_terms import (
    EXPECT_HEADER,
    KEY_HEADER,
    NOTHING_IN_HEADERS,
    HeaderTerms,
    header_terms,
)
from replog.http.body import (
    APPEND_KINDS,
    BodyKind,
    kind_of_body,
    read_body,
)
from replog.http.facade import ServedNode
from replog.http.hang_up import wait_for_answer
from replog.http.in_flight import BytesInFlight
from replog.http.limits import Limits
from replog.http.plain_heads import PlainAppend
from replog.http.problems import PROBLEMS, Problem, ProblemError
from replog.http.whole_append import Finish, WholeAppend, append_answer
from replog.node.views import Role

log = logging.getLogger("replog.http")

_JSON = BodyKind.JSON


class AppendRoutes:
    """The appends of one node, and the limits that all of them share."""

    def __init__(self, node: ServedNode, limits: Limits, default_timeout_s: float | None) -> None:
        self._node = node
        self._limits = limits
        self._object_bytes_max = limits.body_bytes_max
        self._batch_bytes_max = limits.batch_body_bytes_max
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
        headers = scope["headers"]
        fields = dict(headers)
        kind = kind_of_body(fields, APPEND_KINDS)
        given = NOTHING_IN_HEADERS
        if KEY_HEADER in fields or EXPECT_HEADER in fields:
            given = header_terms(headers)
        sizes = self._sizes(kind)
        body = await read_body(receive, fields, *sizes, budget=self._budget)
        size = len(body)
        try:
            request = _parse(body, kind, scope["query_string"], self._limits, given)
            del body  # only the messages are kept while it waits
            if self._waiting >= self._limits.waiting_appends_max:
                raise ProblemError(self._overloaded())
            outcome = await self._wait_for_outcome(request, receive)
        finally:
            self._budget.give_back(size)  # not after the answer, which a client may never take
        problem = problem_of(outcome)
        if problem is not None:  # the node has logged it
            del request
            await send_problem(scope, receive, send, problem)
            return
        assert not isinstance(outcome, Refused), outcome
        answer = append_answer(outcome, request)
        del request
        await send_answer(send, answer.status, answer.headers, answer.body)

    def begin(self, plain: PlainAppend, finish: Finish) -> WholeAppend | None:
        """Begin an append of one message; None where it must go through `append`.

        Args:
            finish: takes the answer, after this has returned.
        """
        body = plain.body
        size = len(body)
        if (
            not body.startswith(b"{")
            or size > self._object_bytes_max
            or self._waiting >= self._limits.waiting_appends_max
            or self._node.role is not Role.MASTER
        ):
            return None
        try:
            given = NOTHING_IN_HEADERS
            if plain.key is not None:
                given = header_terms(((KEY_HEADER, plain.key),))
            request = parse_append(body, plain.query, self._limits, given)
            self._budget.take(size)
        except ProblemError:
            return None
        except Exception:
            log.exception("a defect in the program: the append goes the ordinary way")
            return None
        self._waiting += 1
        ended = partial(self._ended, size)
        begun = WholeAppend(self._node, request, finish=finish, ended=ended)
        begun.begin(self._timeout_s(request))
        return begun

    def _timeout_s(self, request: AppendRequest) -> float | None:
        return self._default_timeout_s if request.timeout_s is None else request.timeout_s

    def _ended(self, size: int) -> None:
        self._waiting -= 1
        self._budget.give_back(size)

    def _sizes(self, kind: BodyKind) -> tuple[int, int]:
        """Return the limits of a body, and of one that begins as an array does."""
        if kind is _JSON:
            return self._object_bytes_max, self._batch_bytes_max
        if kind is BodyKind.LINES:
            return self._batch_bytes_max, 0
        return self._limits.message_bytes_max, 0

    async def _wait_for_outcome(self, request: AppendRequest, receive: Receive) -> AppendOutcome:
        self._waiting += 1
        try:
            waiting = self._node.append(
                request.messages,
                concern=request.concern,
                timeout_s=self._timeout_s(request),
                keys=request.keys,
                expect=request.expect,
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


def _parse(
    body: bytes, kind: BodyKind, query: bytes, limits: Limits, given: HeaderTerms
) -> AppendRequest:
    if kind is _JSON and not (body.startswith(b"[") or body.lstrip(b" \t\r\n").startswith(b"[")):
        return parse_append(body, query, limits, given)
    if kind is BodyKind.TEXT:
        return parse_text(body, query, limits, given)
    return parse_batch(Batch(body, kind is BodyKind.LINES), query, limits, given)


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
