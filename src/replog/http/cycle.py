"""One request and its answer: uvicorn's cycle, which sends a whole answer in one write.

NETWORK. uvicorn writes head and body apart, and uvloop sends each write at once: two system
calls and two packets for every small answer (docs/decisions/0044 has the numbers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from replog.http.answer import BREAK_OFF

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent


UNCOPIED_BYTES = 16 * 1024
"""A chunk from here on goes to the transport as it is, between its size and its end: thousands
of stuck followers hold one and the same stretch then, and a long read is copied once less."""


def _is_sized(start: HTTPResponseStartEvent) -> bool:
    return any(name.lower() == b"content-length" for name, _ in start.get("headers", ()))


class NodeCycle(RequestResponseCycle):
    """Holds the head of an answer until its body comes.

    Invariant: `_start` is None but between the two messages of an answer's beginning.
    `_ends_by_close`: an answer of unknown length goes to an HTTP/1.0 client, which knows no
    chunks (RFC 9112, section 6.1).
    """

    _start: HTTPResponseStartEvent | None = None
    _ends_by_close: bool = False

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == BREAK_OFF:  # our extension of ASGI
            self.disconnected = True
            self.transport.abort()
            return
        if message["type"] == "http.response.start" and not self.response_started:
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            if message["type"] == "http.response.body" and self._is_ordinary():
                body = message.get("body", b"")
                head = None if message.get("more_body", False) else self._head(start, len(body))
                if head is not None:
                    await self._send_whole(head + body)
                    return
            if self.scope["http_version"] == "1.0" and not _is_sized(start):
                self._ends_by_close = True
                self.chunked_encoding = self.keep_alive = False
            await super().send(start)
        if self._ends_by_close and message["type"] == "http.response.body":
            self.expected_content_length = len(message.get("body", b""))
        if message["type"] == "http.response.body" and self._is_long_chunk(message):
            await self._send_uncopied(message["body"])
        else:
            await super().send(message)

    def _is_long_chunk(self, message: HTTPResponseBodyEvent) -> bool:
        """Whether it is a long one of which more come, behind a head that has been sent."""
        is_under_way = self.response_started and not self.response_complete
        is_chunk = self.chunked_encoding is True and self._has_body() and is_under_way
        is_long = len(message.get("body", b"")) >= UNCOPIED_BYTES
        return is_chunk and is_long and message.get("more_body", False)

    async def _send_uncopied(self, chunk: bytes) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self.transport.writelines((b"%x\r\n" % len(chunk), chunk, b"\r\n"))

    def _has_body(self) -> bool:
        return self.scope["method"] != "HEAD"

    def _is_ordinary(self) -> bool:
        return self.keep_alive and self._has_body()

    def _head(self, start: HTTPResponseStartEvent, size: int) -> bytes | None:
        """Return the head of a whole answer; None where it is not one that may go on."""
        headers = [*self.default_headers, *start.get("headers", ())]
        is_sized = False
        for name, value in headers:
            if name == b"content-length":
                is_sized = int(value) == size
            elif name in (b"connection", b"transfer-encoding"):
                return None
        if not is_sized:
            return None
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        assert lines.count(b"\n") == len(headers), (headers, "a header holds a line end")
        return b"%b%b\r\n" % (STATUS_LINE[start["status"]], lines)

    async def _send_whole(self, answer: bytes) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(answer)
        self.message_event.set()
        self.on_response()
