"""Sending whole answers, problems among them, over plain ASGI.

NETWORK.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

import msgspec
from starlette.types import Receive, Scope, Send

from replog.http.body import CLOSE, DISCARD_S, DISCARDED_BYTES_MAX
from replog.http.problems import Problem

log = logging.getLogger("replog.http")

JSON_HEADER = (b"content-type", b"application/json")
NO_STORE = (b"cache-control", b"no-store")

LOGS_PATH = "/logs"

Headers = list[tuple[bytes, bytes]]


class WholeAnswer(msgspec.Struct, frozen=True):
    """A status, the headers with its content-length among them, and the body."""

    status: int
    headers: Headers
    body: bytes


BREAK_OFF = "replog.break_off"
"""What this project's own server takes beside the messages of ASGI, see `break_off`."""


async def send_answer(
    send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> None:
    """Send a whole answer; `headers` hold its content-length, but to HEAD and in a 304 may not."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_problem(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    """Answer `problem`. The rest of the request's body is thrown away, within bounds.

    A body that says that it is too large even for that gets `Connection: close`, and its
    client a moment to read the answer: closing at once would reset the connection, and the
    answer could be lost.
    """
    body = problem.body()
    headers = problem.all_headers(body)
    if announced_bytes(scope) <= DISCARDED_BYTES_MAX:
        await send_answer(send, problem.status, headers, body)
        return
    headers.append(CLOSE)
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await _discard(receive)
    await send({"type": "http.response.body", "body": b""})


async def break_off(scope: Scope, send: Send) -> None:
    """Drop the connection, and with it all that its client did not take.

    Returning from an answer that has no end also closes, but only once the client took the
    rest: one that is stuck never does. A server without this extension does just that.
    """
    if BREAK_OFF in scope.get("extensions", ()):
        await send({"type": BREAK_OFF})


def is_append(scope: Scope) -> bool:
    """Return whether a request wants something appended."""
    return bool(scope["method"] == "POST" and scope["path"] == LOGS_PATH)


def log_refused_append(scope: Scope, problem: Problem) -> None:
    """Say that an append was refused before it came to the node, which says its own."""
    host, port = scope.get("client") or ("unknown", 0)
    log.info(
        "append refused, nothing stored: %s (%d, from %s:%d)",
        problem.detail,
        problem.status,
        host,
        port,
        extra={"reason": problem.kind.name},
    )


def announced_bytes(scope: Scope) -> int:
    """Return how long the body of a request is by its head; 0 where that does not say it."""
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    return int(headers.get(b"content-length", b"0"))


async def _discard(receive: Receive) -> None:
    discarded = 0
    try:
        async with asyncio.timeout(DISCARD_S):
            while discarded <= DISCARDED_BYTES_MAX:
                event = await receive()
                if not event.get("more_body", False):
                    return  # the end, or a client that hung up
                discarded += len(event["body"])
    except TimeoutError:
        return
