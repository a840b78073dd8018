"""`POST /logs`, `GET /logs` and `HEAD /logs` as plain ASGI, in front of FastAPI.

NETWORK. docs/http.md is their reference, `openapi.py` describes them in the OpenAPI document.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from replog.core.effects import AppendOutcome, Pending, Refused, Stored
from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError, ReplogError
from replog.http.answer import JSON_HEADER, NO_STORE, log_refused_append, send_answer, send_problem
from replog.http.append_request import AppendRequest, parse_append
from replog.http.body import BytesInFlight, ClientGone, read_body, require_json
from replog.http.facade import ServedNode
from replog.http.hang_up import wait_for_answer
from replog.http.limits import Limits
from replog.http.pending import pending_body
from replog.http.problems import PROBLEMS, Problem, ProblemError
from replog.http.query import parse_query, whole_number
from replog.http.stream import EndWatch, array_pieces
from replog.node.serving import ReadInterruptedError
from replog.node.views import Role

log = logging.getLogger("replog.http")

LOGS_PATH = "/logs"

READ_PARAMETERS = ("from", "limit")

_MASTER_UNREACHABLE = (b"log-master", b"unreachable")


class LogRoutes:
    """The routes at `/logs` of one node, and the limits that all their requests share."""

    def __init__(self, node: ServedNode, limits: Limits, default_timeout_s: float | None) -> None:
        self._node = node
        self._limits = limits
        self._default_timeout_s = default_timeout_s
        self._budget = BytesInFlight(limits.request_bytes_max)
        self._waiting = 0

    @property
    def waiting_appends(self) -> int:
        return self._waiting

    @property
    def bytes_in_flight(self) -> int:
        return self._budget.held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        try:
            if method == "POST":
                await self._append(scope, receive, send)
            elif method in ("GET", "HEAD"):
                await self._read(scope, receive, send)
            else:
                await send_problem(scope, receive, send, self._method_not_allowed(method))
        except ProblemError as error:
            if method == "POST":
                log_refused_append(scope, error.problem)
            await send_problem(scope, receive, send, error.problem)
        except ClientGone:
            return

    def _method_not_allowed(self, method: str) -> Problem:
        allow = "GET, HEAD, POST" if self._node.role is Role.MASTER else "GET, HEAD"
        return Problem(
            PROBLEMS["method-not-allowed"],
            f"/logs takes {allow} here, not {method}.",
            headers=((b"allow", allow.encode()),),
        )

    # --- append ----------------------------------------------------------------------------

    async def _append(self, scope: Scope, receive: Receive, send: Send) -> None:
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

    # --- read ------------------------------------------------------------------------------

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        parameters = parse_query(scope["query_string"], known=READ_PARAMETERS)
        first = EntryId(whole_number(parameters, "from", minimum=1) or 1)
        limit = whole_number(parameters, "limit", minimum=0)
        await _read_whole_request(receive)
        point = await wait_for_answer(self._node.read_point(), receive)
        last = point.committed_id
        if limit is not None:
            last = EntryId(min(last, first + limit - 1))
        headers = [JSON_HEADER, NO_STORE, (b"log-committed", b"%d" % point.committed_id)]
        if not point.has_master:
            headers.append(_MASTER_UNREACHABLE)
        if limit and last < point.committed_id:
            link = b'</logs?from=%d&limit=%d>; rel="next"' % (last + 1, limit)
            headers.append((b"link", link))
        if scope["method"] == "HEAD":
            await send_answer(send, 200, headers, b"")
        elif last < first:
            await send_answer(send, 200, [*headers, (b"content-length", b"2")], b"[]")
        else:
            stream = _Stream(self._node.entries(first, last), count=last - first + 1)
            await stream.send_to(receive, send, headers)


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


@dataclass(frozen=True, slots=True)
class _Stream:
    """The entries of one read on their way to its client."""

    chunks: AsyncIterator[bytes]
    count: int

    async def send_to(
        self, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]
    ) -> None:
        """Send all entries as one array, or break the connection off: never a shorter one."""
        async with aclosing(array_pieces(self.chunks, count=self.count)) as pieces:
            await self._send_pieces(pieces, receive, send, headers)

    async def _send_pieces(
        self,
        pieces: AsyncGenerator[tuple[bytes, bool], None],
        receive: Receive,
        send: Send,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        try:
            piece, is_last = await anext(pieces)
        except DamagedLogError as error:
            raise ProblemError(Problem(PROBLEMS["damaged"], str(error))) from error
        except ReadInterruptedError as error:
            raise ProblemError(Problem(PROBLEMS["stopping"], str(error))) from error
        if is_last:  # the whole array at once: its length is known
            length = (b"content-length", b"%d" % len(piece))
            await send_answer(send, 200, [*headers, length], piece)
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with EndWatch(receive) as client:
            try:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                async for piece, is_last in pieces:
                    if client.is_gone:
                        return
                    event = {"type": "http.response.body", "body": piece, "more_body": not is_last}
                    await send(event)
            except ReplogError as error:
                # R13: returning without an end makes the server cut the connection.
                _log_broken_off(error)


async def _read_whole_request(receive: Receive) -> None:
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise ClientGone
        if not event.get("more_body", False):
            return


def _log_broken_off(error: ReplogError) -> None:
    level = logging.INFO if isinstance(error, ReadInterruptedError) else logging.ERROR
    log.log(level, "a read was broken off in the middle: %s", error)


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
