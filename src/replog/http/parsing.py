"""What arrives on one connection, a message at a time: uvicorn's parsing, with bounds.

NETWORK.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from replog.http.answer import (
    BREAK_OFF,
    WholeAnswer,
    announced_bytes,
    is_append,
    log_refused_append,
)
from replog.http.behind import Behind, piece_end
from replog.http.body import CLOSE, DISCARDED_BYTES_MAX
from replog.http.cycle import NodeCycle
from replog.http.problems import PROBLEMS, Problem
from replog.http.unread import keep_unread

if TYPE_CHECKING:
    from starlette.types import Scope
    from uvicorn._types import ASGI3Application

HEADER_BYTES_MAX = 64 * 1024
"""Bytes of a request line and its headers (431 beyond it)."""

EXTENSIONS: dict[str, dict[object, object]] = {BREAK_OFF: {}}
"""What applications find in the scope of a request."""

FRAMING_FACTOR = 8
"""Bytes that chunked framing may take for each byte of a body: chunks of one byte take six."""


class Reading(Enum):
    """Which part of a request is arriving."""

    NOTHING = auto()
    HEADERS = auto()
    BODY = auto()


class MessageProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with:

    - a bound on headers, on trailers and chunk framing, on the rest of a refused body, and on
      what waits behind a request;
    - an upgrade that is not taken answered in HTTP/1.1;
    - trailers thrown away;
    - problems (RFC 9457) instead of plain text;
    - a hang-up told to every request of the connection, pipelined ones included.

    Invariants: `_sweeps` counts the sweeps since the last thing that the client had to do.
    Something is held only while a request is in the pipeline, and it is counted in `behind`.
    """

    behind = Behind()
    """Counts what is held, of all connections of a server."""

    _reading = Reading.NOTHING
    _has_asked = False
    _sweeps = 0
    _messages_begun = 0
    _head_bytes = 0
    _body_raw_bytes = 0
    _body_bytes = 0
    _body_bytes_at_check = 0
    _discarded_bytes = 0
    _held = b""
    _held_from = 0
    _running: RequestResponseCycle | None = None

    # --- a message at a time -----------------------------------------------------------------

    def _parse(self, data: bytes, start: int) -> None:
        """Parse `data` from `start` on, up to where a request waits behind another."""
        while start < len(data) and not self.transport.is_closing():
            if self.pipeline:
                self._hold(data, start)
                return
            end = piece_end(data, start, self._body_left())
            if not self._parse_piece(memoryview(data)[start:end]):
                return
            start = end

    def _parse_piece(self, piece: memoryview) -> bool:
        """Parse what holds few ends of messages; return whether more of the data may follow."""
        before, cycle = self._reading, self.cycle
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as offer:
            return self._on_upgrade(piece[offer.args[0] :])
        except httptools.HttpParserError:
            self._on_invalid()
            return False
        if self._reading is Reading.NOTHING:
            return True
        if self.cycle is not cycle or (before is Reading.BODY and self._reading is Reading.HEADERS):
            return True  # this piece holds the end of something else too, and is not counted
        size = len(piece)
        if self._reading is Reading.HEADERS:
            self._head_bytes += size
            if self._head_bytes > HEADER_BYTES_MAX:
                self._refuse(
                    "headers-too-large",
                    f"The headers are larger than {HEADER_BYTES_MAX} bytes; send fewer.",
                )
        else:
            self._body_raw_bytes += size
            if self._body_raw_bytes > HEADER_BYTES_MAX + FRAMING_FACTOR * self._body_bytes:
                self._refuse("bad-request", "The body is nearly all framing; use larger chunks.")
        return True

    def _body_left(self) -> int | None:
        """Return how much of a body is still to come; None where nobody knows."""
        if self._reading is not Reading.BODY:
            return 0
        announced = announced_bytes(cast("Scope", self.scope))
        return announced - self._body_bytes if announced else None

    def _hold(self, data: bytes, start: int) -> None:
        """Let `data` wait from `start` on until the answers before it are sent.

        Where too much waits, the connection ends: what follows was not begun, and its client
        sends it again (RFC 9112, section 9.3.2). An append is answered first.
        """
        self.flow.pause_reading()
        if self._held:
            data, start = self._held[self._held_from :] + data, 0
            self._let_go()
        if self.behind.take(len(data)):
            self._held, self._held_from = data, start
        else:
            self._end_crowded()

    def _end_crowded(self) -> None:
        running = self._running
        assert running is not None
        if isinstance(running, NodeCycle) and not is_append(cast("Scope", running.scope)):
            self.transport.abort()
        else:
            running.keep_alive = False

    def _go_on_with_held(self) -> None:
        data = self._held
        self._let_go()
        self._parse(data, self._held_from)

    def _let_go(self) -> None:
        self.behind.give_back(len(self._held))
        self._held = b""

    # --- what the parser finds ---------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._reading = Reading.HEADERS
        self._has_asked = True
        self._sweeps = 0
        self._head_bytes = 0
        self._messages_begun += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        parser = self.parser
        scope = self.scope
        scope["method"] = parser.get_method().decode("ascii")
        http_version = parser.get_http_version()
        if http_version != "1.1":
            scope["http_version"] = http_version
        if parser.should_upgrade():
            if scope["method"] == "CONNECT":
                raise ValueError("CONNECT is for proxies")
            return  # `_on_upgrade` comes next
        self.headers = _Trailers(maxlen=0)  # type: ignore[assignment]  # append is all
        url = httptools.parse_url(self.url)
        path = url.path or b"/"  # none in `http://host` (RFC 9112, section 3.2.2)
        scope["raw_path"] = path
        scope["path"] = unquote(path.decode("ascii"))
        scope["query_string"] = url.query or b""
        scope["extensions"] = EXTENSIONS
        self._reading = Reading.BODY  # not before: what is refused until here is no body
        self._sweeps = 0
        self._body_raw_bytes = self._body_bytes = 0
        self._body_bytes_at_check = self._discarded_bytes = 0
        self._begin_cycle(keep_alive=http_version != "1.0" and parser.should_keep_alive())

    def _begin_cycle(self, *, keep_alive: bool) -> None:
        before = self.cycle
        self.cycle = NodeCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:  # type: ignore[redundant-expr]  # None at first
            self._start_asgi_task(self.cycle, self.app)
        else:  # pipelined: one after the other, and nothing more is read meanwhile
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self.cycle.response_complete:  # refused: what still comes is thrown away
            self._discarded_bytes += len(body)
            if self._discarded_bytes > DISCARDED_BYTES_MAX:
                self.transport.close()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._reading = Reading.NOTHING
        self._sweeps = 0
        if self.parser.should_upgrade() or self.cycle.response_complete:
            return
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def _on_upgrade(self, rest: memoryview) -> bool:
        """Go on behind a head that offers an upgrade; return whether that is in HTTP.

        `rest` is what came with it.

        The parser takes the message for ended there, and a body for the next request: so
        where the offer is not taken (h2c, say) a new parser gets the same head without it
        (RFC 9110, section 7.8).
        """
        while not self._should_upgrade():
            head = self._head_without_offer()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
            try:
                self.parser.feed_data(head)
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as offer:  # the next request
                rest = rest[offer.args[0] :]
            except httptools.HttpParserError:
                self._on_invalid()
                return False
            else:
                return True
        if self._is_busy or self.pipeline:
            self._on_invalid()  # the connection would be another's before its answers are sent
            return False
        keep_unread(self.transport)  # a link: heartbeats judge it (R11)
        self.handle_websocket_upgrade()
        return False

    def _head_without_offer(self) -> bytes:
        parser = self.parser
        version = parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _on_invalid(self) -> None:
        self.logger.warning("Invalid HTTP request received.")
        self.send_400_response("Invalid HTTP request received.")

    @property
    def _is_busy(self) -> bool:
        running = self._running
        return running is not None and not running.response_complete

    # --- what is answered ------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """As uvicorn's, without a timer per request for idle connections."""
        self.server_state.total_requests += 1
        self._sweeps = 0
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            if self._held:
                self._go_on_with_held()

    def send_400_response(self, msg: str) -> None:
        self._refuse(
            "bad-request", f"{msg.rstrip('.')}. Send HTTP/1.1, with the URL percent-encoded."
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._tell_hang_up()
        self._let_go()
        super().connection_lost(exc)

    def _tell_hang_up(self) -> None:
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()

    def _refuse(self, name: str, detail: str) -> None:
        """Answer a problem, where that can be nobody else's answer, and close the connection.

        An append whose body is here may be stored: its client must never read a refusal that
        is meant for what followed it.
        """
        if self.transport.is_closing():
            return
        problem = Problem(PROBLEMS[name], detail)
        if self._reading is Reading.BODY and not self.cycle.response_complete:
            scope: Scope = dict(self.scope)
            if is_append(scope):
                log_refused_append(scope, problem)
        if self._may_answer():
            self.transport.write(self._problem_bytes(problem))
        self._tell_hang_up()
        self.transport.close()

    def _may_answer(self) -> bool:
        running = self._running
        is_reading_body = self._reading is Reading.BODY
        if running is None or running.response_complete:
            return not is_reading_body  # else its answer was sent before its body came
        return is_reading_body and running is self.cycle and not running.response_started

    def _problem_bytes(self, problem: Problem) -> bytes:
        body = problem.body()
        headers = [*problem.all_headers(body), CLOSE]
        return self._whole(WholeAnswer(problem.status, headers, body))

    def _whole(self, answer: WholeAnswer) -> bytes:
        headers = [*self.server_state.default_headers, *answer.headers]
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        return b"%b%b\r\n%b" % (STATUS_LINE[answer.status], lines, answer.body)


class _Trailers(deque[tuple[bytes, bytes]]):
    """Where headers behind a chunked body go: nowhere (`maxlen` is 0)."""
