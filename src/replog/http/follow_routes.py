"""`GET /logs/stream`: the log as it grows, entry by entry, without an end.

NETWORK. docs/http.md is the reference, `openapi_follow.py` describes it in the OpenAPI document.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable

from starlette.types import Receive, Scope, Send

from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError
from replog.http.accept import preferred
from replog.http.answer import NO_STORE, break_off, send_answer
from replog.http.body import CLOSE, read_nothing
from replog.http.facade import ServedNode
from replog.http.followers import Follower, Followers, Reason
from replog.http.hang_up import wait_for_answer
from replog.http.json_body import quoted
from replog.http.problems import refusal
from replog.http.query import parse_query, whole_number
from replog.http.sse import StreamForm, bye
from replog.http.stretches import Stretches
from replog.node.serving import ReadInterruptedError

log = logging.getLogger("replog.http")

FOLLOW_PARAMETERS = ("from",)

LAST_EVENT_ID = "Last-Event-ID"
"""The header in which a browser says, by itself, what it had before it connected again."""

OFFERED = (
    StreamForm.EVENTS.value,
    StreamForm.LINES.value,
    "application/jsonl",
    "application/ndjson",
)
"""Media types that `Accept` may ask for; the last two are other names of lines."""

_ID = re.compile(rb"0|[1-9][0-9]{0,14}")

BYE_S = 1.0
"""How long a client that took nothing for long may take to make room for a last word."""


class FollowRoutes:
    """Those who follow the log of one node.

    Attributes:
        followers: who they are, long polls included.
    """

    def __init__(self, node: ServedNode, followers: Followers) -> None:
        self._node = node
        self.followers = followers
        self._stretches = Stretches(node.entries)

    async def follow(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `GET` or `HEAD /logs/stream`; raises as `AppendRoutes.append` does."""
        parameters = parse_query(scope["query_string"], known=FOLLOW_PARAMETERS)
        form = _form(scope["headers"])
        first = whole_number(parameters, "from", minimum=1)
        resumed = _last_event_id(scope["headers"])
        await read_nothing(receive)
        if resumed is not None:
            first = resumed + 1
        if first is None:  # not `shown_id`: a node that has just started shows less (R7)
            point = await wait_for_answer(self._node.read_point(), receive)
            first = point.committed_id + 1
        headers = [
            (b"content-type", form.value.encode()),
            NO_STORE,
            (b"vary", b"accept"),
            (b"x-accel-buffering", b"no"),  # nginx would hold entries back
            (b"log-committed", b"%d" % self._node.feed.shown_id),
        ]
        if scope["method"] == "HEAD":
            await send_answer(send, 200, headers, b"")
            return
        with self.followers.joined(EntryId(first)) as follower:
            start = {"type": "http.response.start", "status": 200, "headers": [*headers, CLOSE]}
            await send(start)
            stream = _Stream(self.followers, self._stretches, follower, form, send)
            await wait_for_answer(stream.send_all(), receive)
        if stream.is_stuck:
            await break_off(scope, send)


class _Stream:
    """The entries on their way to one follower.

    Attributes:
        is_stuck: its client takes nothing any more, so that no end could be sent.
    """

    def __init__(
        self,
        followers: Followers,
        stretches: Stretches,
        follower: Follower,
        form: StreamForm,
        send: Send,
    ) -> None:
        self._followers = followers
        self._stretches = stretches
        self._follower = follower
        self._form = form
        self._send = send
        self.is_stuck = False

    async def send_all(self) -> None:
        """Send what is visible until the node ends it; a hang-up cancels this."""
        try:
            reason = await self._send_visible()
        except ReadInterruptedError:
            reason = Reason.STOPPING
        except DamagedLogError as error:
            log.error(  # noqa: TRY400  # damage is no defect of the program
                "a stream ends at entry %d: %s", self._follower.next_id, error
            )
            reason = Reason.DAMAGED
        except asyncio.CancelledError:
            if not self._follower.take_back_cancel():
                raise
            log.info("a stream ends at entry %d: its client is slow", self._follower.next_id)
            reason = Reason.SLOW
        await self._end(reason)

    async def _send_visible(self) -> Reason:
        follower, followers = self._follower, self._followers
        await self._send_body(self._form.beginning(follower.next_id))
        while True:
            await follower.wait()
            if follower.reason is not None:
                return follower.reason
            if follower.next_id > followers.shown_id:
                await self._send_body(self._form.heartbeat)
                continue
            stretch = await self._stretches.stretch(follower.next_id, followers.shown_id)
            body, last = stretch.body(self._form), stretch.last
            del stretch  # a client that takes nothing must not hold its other form too
            await self._send_body(body)
            follower.next_id = EntryId(last + 1)  # not before: `bye` tells it

    async def _send_body(self, body: bytes) -> None:
        self._follower.sending_since = asyncio.get_running_loop().time()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        self._follower.sending_since = None
        self._follower.is_idle = False

    async def _end(self, reason: Reason) -> None:
        """End the answer as whole, with a last word. Lines have no word for damage: the
        connection breaks off in their middle (R13)."""
        if self._form is StreamForm.EVENTS:
            body = bye(reason, self._follower.next_id)
        elif reason is Reason.DAMAGED:
            return
        else:
            body = b""
        try:
            async with asyncio.timeout(BYE_S):
                await self._send({"type": "http.response.body", "body": body})
        except TimeoutError:
            self.is_stuck = True


def _form(headers: Iterable[tuple[bytes, bytes]]) -> StreamForm:
    accept = b",".join(value for name, value in headers if name == b"accept")
    media_type = preferred(accept, OFFERED)
    if media_type is None:
        raise refusal(
            "not-acceptable",
            f"A stream is {OFFERED[0]} or {OFFERED[1]}, and Accept takes neither. Leave it out, or "
            "name one of the two.",
        )
    return StreamForm.EVENTS if media_type == StreamForm.EVENTS.value else StreamForm.LINES


def _last_event_id(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the entry after which a client goes on that was here before."""
    given = [value for name, value in headers if name == b"last-event-id"]
    if not given:
        return None
    if len(given) > 1 or _ID.fullmatch(given[0]) is None:
        raise refusal(
            "bad-header",
            f"The header {LAST_EVENT_ID} is {quoted(given[0].decode('latin-1'))}, and must be the "
            "id of the last entry that was received; 0 is none.",
            header=LAST_EVENT_ID,
        )
    return int(given[0])
