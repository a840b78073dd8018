"""The entries of one read on their way to its client: whole, or piece by piece.

NETWORK.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from replog.core.errors import DamagedLogError, ReplogError
from replog.http.answer import break_off, send_answer
from replog.http.compression import GZIP_HEADER, gzip_pieces, gzipped
from replog.http.hang_up import wait_for_answer
from replog.http.large_reads import LargeRead, LargeReads
from replog.http.problems import PROBLEMS, Problem, ProblemError
from replog.http.stream import Pieces
from replog.node.serving import ReadInterruptedError

log = logging.getLogger("replog.http")

LARGE_BYTES: Final = 256 * 1024
"""What is longer is counted, for a client that does not take it holds it here (P10)."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and the way to its answer."""

    scope: Scope
    receive: Receive
    send: Send

    @property
    def is_head(self) -> bool:
        return bool(self.scope["method"] == "HEAD")


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """A 200 that is to be sent.

    Attributes:
        headers: all but the length and the content coding.
        is_gzip: whether the body is to be compressed.
    """

    exchange: Exchange
    headers: list[tuple[bytes, bytes]]
    is_gzip: bool
    large_reads: LargeReads

    async def send_whole(self, body: bytes) -> None:
        """Send a body that is at hand."""
        if self.is_gzip:
            body = await gzipped(body)
        await self._send_whole(body)

    async def send_pieces(self, pieces: Pieces) -> None:
        """Send all pieces, or break the connection off: never a shorter answer that is valid.

        Raises:
            ProblemError: nothing could be read, so that nothing was sent; or overloaded.
            ClientGone: the client hung up in the middle: the rest is read for nobody.
        """
        async with aclosing(gzip_pieces(pieces) if self.is_gzip else pieces) as sent:
            try:
                piece, is_last = await anext(sent)
            except DamagedLogError as error:
                raise ProblemError(Problem(PROBLEMS["damaged"], str(error))) from error
            except ReadInterruptedError as error:
                raise ProblemError(Problem(PROBLEMS["stopping"], str(error))) from error
            if self.exchange.is_head and not is_last:
                await send_answer(self.exchange.send, 200, self._headers(), b"")
            elif is_last and (len(piece) <= LARGE_BYTES or self.exchange.is_head):
                await self._send_whole(piece)
            else:
                await self._send_large(piece, sent, is_last=is_last)

    async def _send_whole(self, body: bytes) -> None:
        headers = [*self._headers(), (b"content-length", b"%d" % len(body))]
        body = b"" if self.exchange.is_head else body
        await send_answer(self.exchange.send, 200, headers, body)

    async def _send_large(self, piece: bytes, pieces: Pieces, *, is_last: bool) -> None:
        headers = self._headers()
        if is_last:
            headers.append((b"content-length", b"%d" % len(piece)))
        send = self.exchange.send
        with self.large_reads.one() as read:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            rest = self._send_rest(piece, pieces, read, is_last=is_last)
            try:
                await wait_for_answer(rest, self.exchange.receive, watch_after_s=0)
            except ReplogError as error:
                # R13: returning without an end makes the server cut the connection.
                _log_broken_off(error)
                return
            # Sent once the client took nearly all: until then it counts.
            await send({"type": "http.response.body", "body": b""})
        if read.is_cut:
            await break_off(self.exchange.scope, send)

    async def _send_rest(
        self, piece: bytes, pieces: Pieces, read: LargeRead, *, is_last: bool
    ) -> None:
        send = self.exchange.send
        await _send_piece(send, piece, read)
        while not is_last:
            piece, is_last = await anext(pieces)
            await _send_piece(send, piece, read)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        return [*self.headers, GZIP_HEADER] if self.is_gzip else list(self.headers)


async def _send_piece(send: Send, piece: bytes, read: LargeRead) -> None:
    for start in range(0, len(piece), LARGE_BYTES):  # mostly one: a chunk is not much longer
        body = piece if len(piece) <= 2 * LARGE_BYTES else piece[start : start + LARGE_BYTES]
        await send({"type": "http.response.body", "body": body, "more_body": True})
        read.moved()
        if body is piece:
            return


def _log_broken_off(error: ReplogError) -> None:
    level = logging.INFO if isinstance(error, ReadInterruptedError) else logging.ERROR
    log.log(level, "a read was broken off in the middle: %s", error)
