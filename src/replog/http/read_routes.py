"""`GET /logs` and `HEAD /logs`: what is committed, or a part of it, in constant memory.

NETWORK. docs/http.md is the reference, `openapi.py` describes it in the OpenAPI document.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError, ReplogError
from replog.http.answer import JSON_HEADER, NO_STORE, send_answer
from replog.http.body import ClientGone
from replog.http.facade import ServedNode
from replog.http.hang_up import wait_for_answer
from replog.http.problems import PROBLEMS, Problem, ProblemError
from replog.http.query import parse_query, whole_number
from replog.http.stream import EndWatch, array_pieces
from replog.node.serving import ReadInterruptedError

log = logging.getLogger("replog.http")

READ_PARAMETERS = ("from", "limit")

_MASTER_UNREACHABLE = (b"log-master", b"unreachable")


class ReadRoutes:
    """The reads of one node."""

    def __init__(self, node: ServedNode) -> None:
        self._node = node

    async def read(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `GET /logs` or `HEAD /logs`; raises as `AppendRoutes.append` does."""
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
