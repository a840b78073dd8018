"""`GET` and `HEAD` of `/logs` and `/logs/{id}`: what is committed, or a part of it.

NETWORK. docs/http.md is the reference, `openapi_read.py` describes it in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from starlette.types import Receive, Scope, Send

from replog.core.entry import GENESIS, EntryId
from replog.core.errors import DamagedLogError
from replog.http.answer import NO_STORE, Headers, WholeAnswer, send_answer
from replog.http.body import read_nothing
from replog.http.compression import WORTH_BYTES
from replog.http.etag import entity_tag, is_known
from replog.http.facade import ServedNode
from replog.http.followers import Followers
from replog.http.hang_up import wait_for_answer
from replog.http.large_reads import LargeReads
from replog.http.problems import PROBLEMS, Problem, ProblemError, refusal
from replog.http.query import entry_id
from replog.http.read_answer import Exchange, ReadAnswer
from replog.http.read_request import (
    Form,
    ReadRequest,
    Wish,
    parse_freshness,
    parse_read,
    parse_wish,
)
from replog.http.stream import Pieces, array_pieces, entry_pieces, line_pieces
from replog.node.views import ANY, Freshness, ReadPoint

_MASTER_UNREACHABLE = (b"log-master", b"unreachable")
_FIRST = (b"log-first", b"1")
_VARY = (b"vary", b"Accept, Accept-Encoding")
NO_CACHE = (b"cache-control", b"no-cache")
_LEVELS = {
    False: (b"log-level", b"committed"),
    True: (b"log-level", b"master"),
}
_MEDIA_TYPES = {form: (b"content-type", form.media_type) for form in Form}


class _Range(msgspec.Struct, frozen=True, gc=False):
    """Entries that are there: `first` to `last`, or one alone that is no list."""

    first: EntryId
    last: EntryId
    form: Form
    is_one: bool = False

    @property
    def name(self) -> str:
        """What tells it in an entity tag from the same entries in another form."""
        return f"{self.form.value[0]}{'.entry' if self.is_one else ''}"

    def body(self, lines: bytes) -> bytes:
        if self.form is Form.LINES:
            return lines
        if self.is_one:
            return lines[:-1]
        return b"[%b]" % lines[:-1].replace(b"\n", b",")

    def pieces(self, chunks: AsyncIterator[bytes]) -> Pieces:
        if self.form is Form.LINES:
            return line_pieces(chunks, first=self.first, last=self.last)
        if self.is_one:
            return entry_pieces(chunks, self.first)
        return array_pieces(chunks, first=self.first, last=self.last)


class ReadRoutes:
    """The reads of one node."""

    def __init__(self, node: ServedNode, followers: Followers) -> None:
        self._node = node
        self._followers = followers
        self.large_reads = LargeReads()
        self._head = GENESIS
        self._head_header = (b"log-head", b"")

    async def read(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `GET /logs` or `HEAD /logs`; raises as `AppendRoutes.append` does."""
        request = parse_read(scope["query_string"])
        wish = parse_wish(scope["headers"])
        await read_nothing(receive)
        if request.wait_s is not None and request.first is not None:
            await self._followers.wait_until_visible(request.first, request.wait_s, receive)
        point = await self._point(request.freshness, receive)
        first = await self._first(request, point.committed_id)
        last = point.committed_id
        if request.limit is not None:
            last = EntryId(min(last, first + request.limit - 1))
        headers = self._headers(request.freshness, point, wish.form)
        if request.limit and last < point.committed_id:
            headers.append((b"link", request.next_link(last + 1)))
        exchange = Exchange(scope, receive, send)
        if last < first:
            body = b"[]" if wish.form is Form.JSON else b""
            await self._start([*headers, NO_STORE], exchange).send_whole(body)
            return
        is_full = request.is_repeatable and last - first + 1 == request.limit
        range_ = _Range(first, last, wish.form)
        await self._send(range_, wish, headers, exchange, is_fixed=is_full)

    async def entry(self, scope: Scope, receive: Receive, send: Send, text: str) -> None:
        """Answer `GET /logs/{id}`, the id given as `text`; raises as `AppendRoutes.append`."""
        entry = entry_id(text)
        freshness = parse_freshness(scope["query_string"])
        wish = parse_wish(scope["headers"])
        await read_nothing(receive)
        if freshness is ANY and scope["method"] == "GET":
            whole = self.entry_now(entry, wish)
            if whole is not None:
                await send_answer(send, whole.status, whole.headers, whole.body)
                return
        point = await self._point(freshness, receive)
        if entry > point.committed_id:
            raise refusal(
                "unknown-id",
                f"Entry {entry} is not here: this node shows everything up to "
                f"{point.committed_id}. Give min_id={entry} to wait for it.",
                committed=point.committed_id,
            )
        headers = self._headers(freshness, point, wish.form)
        range_ = _Range(entry, entry, wish.form, is_one=True)
        exchange = Exchange(scope, receive, send)
        await self._send(range_, wish, headers, exchange, is_fixed=True)

    def entry_now(self, entry: EntryId, wish: Wish) -> WholeAnswer | None:
        """Return what `entry` answers a GET without parameters, where nothing is to be awaited.

        None leaves it to the rest of `entry`: what is refused, compressed or known to the
        client, and what takes a wait or a long read.
        """
        point = self._node.read_point_now()
        if point is None or entry > point.committed_id or wish.known:
            return None
        page = self._node.page_at_hand(entry, entry)
        if page is None or (wish.may_gzip and len(page.lines) > WORTH_BYTES):
            return None
        range_ = _Range(entry, entry, wish.form, is_one=True)
        body = range_.body(page.lines)
        answer = self._headers(ANY, point, wish.form)
        answer.append(NO_CACHE)
        answer.append((b"etag", self._tag(range_, page.hash, is_gzip=False)))
        answer.append((b"content-length", b"%d" % len(body)))
        return WholeAnswer(200, answer, body)

    # --- from where to where ------------------------------------------------------------

    async def _point(self, freshness: Freshness, receive: Receive) -> ReadPoint:
        """Return where the read ends, when this node is as fresh as it asks.

        Raises:
            ProblemError: not-fresh, no-master or too-far-behind.
        """
        point = await wait_for_answer(self._node.read_point(freshness), receive)
        if point.is_met:
            return point
        committed = point.committed_id
        if freshness.min_id > committed:
            raise refusal(
                "not-fresh",
                f"Entry {freshness.min_id} did not get here in time: this node shows everything "
                f"up to {committed}.",
                committed=committed,
            )
        if freshness.is_linearizable:
            raise refusal(
                "no-master",
                "The master did not say in time what is committed, so this node cannot either.",
                committed=committed,
            )
        lag_ms = None if point.lag_s is None else round(point.lag_s * 1000)
        since = "not since it started" if lag_ms is None else f"{lag_ms} ms ago"
        raise refusal(
            "too-far-behind",
            f"This node was last level with its master {since}, which is longer than the read "
            "allows.",
            committed=committed,
            lag_ms=lag_ms,
        )

    async def _first(self, request: ReadRequest, committed: EntryId) -> EntryId:
        if request.first is not None:
            return request.first
        if request.last is not None:
            return EntryId(max(1, committed + 1 - request.last))
        assert request.since_ms is not None, request
        try:
            return await self._node.first_since(request.since_ms)
        except DamagedLogError as error:
            raise _damaged(error) from error

    # --- the answer ---------------------------------------------------------------------

    def _headers(self, freshness: Freshness, point: ReadPoint, form: Form) -> Headers:
        head = self._node.head
        if head is not self._head:
            self._head = head
            self._head_header = (b"log-head", f"{head.last_id};{head.hash.hex()}".encode())
        headers = [
            _MEDIA_TYPES[form],
            (b"log-committed", b"%d" % point.committed_id),
            self._head_header,
            _FIRST,
            _LEVELS[freshness.is_linearizable],
            _VARY,
        ]
        if point.lag_s is not None:
            headers.append((b"log-lag", b"%.3f" % point.lag_s))
        if not point.has_master:
            headers.append(_MASTER_UNREACHABLE)
        return headers

    async def _send(
        self, range_: _Range, wish: Wish, headers: Headers, exchange: Exchange, *, is_fixed: bool
    ) -> None:
        """Send the entries, or word that the client has them where they are `is_fixed`."""
        page = self._node.page_at_hand(range_.first, range_.last)
        body = None if page is None else range_.body(page.lines)
        is_gzip = wish.may_gzip and (body is None or len(body) >= WORTH_BYTES)
        if is_fixed:
            hash_ = await self._hash_at(range_.last) if page is None else page.hash
            tag = self._tag(range_, hash_, is_gzip=is_gzip)
            other_coding = self._tag(range_, hash_, is_gzip=not is_gzip) if wish.known else tag
            for known in (tag, other_coding):
                if is_known(known, wish.known):
                    not_modified = [*headers[1:], NO_CACHE, (b"etag", known)]
                    await send_answer(exchange.send, 304, not_modified, b"")
                    return
            headers = [*headers, NO_CACHE, (b"etag", tag)]
        else:
            headers = [*headers, NO_STORE]
        answer = self._start(headers, exchange, is_gzip=is_gzip)
        if body is not None:
            await answer.send_whole(body)
        else:
            chunks = self._node.entries(range_.first, range_.last)
            await answer.send_pieces(range_.pieces(chunks))

    def _start(self, headers: Headers, exchange: Exchange, *, is_gzip: bool = False) -> ReadAnswer:
        return ReadAnswer(exchange, headers, is_gzip, self.large_reads)

    def _tag(self, range_: _Range, hash_: bytes, *, is_gzip: bool) -> bytes:
        log_id = self._node.log_id
        assert log_id is not None, "a log that has entries has an id"
        first, last = range_.first, range_.last
        return entity_tag(log_id, first, last, hash_, form=range_.name, is_gzip=is_gzip)

    async def _hash_at(self, id: EntryId) -> bytes:
        try:
            return await self._node.hash_at(id)
        except DamagedLogError as error:
            raise _damaged(error) from error


def _damaged(error: DamagedLogError) -> ProblemError:
    return ProblemError(Problem(PROBLEMS["damaged"], str(error)))
