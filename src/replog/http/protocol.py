"""One HTTP connection: uvicorn's, with the deadlines and bounds that it lacks.

NETWORK. Deadlines are counted in sweeps over all connections, one a second, so that no request
sets a timer. An append that came as a whole, under a head that came before, is begun at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from enum import Enum, auto
from math import ceil
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from replog.http.answer import BREAK_OFF, WholeAnswer, is_append, log_refused_append
from replog.http.body import CLOSE, DISCARDED_BYTES_MAX
from replog.http.cycle import NodeCycle
from replog.http.limits import Deadlines
from replog.http.plain_heads import PlainHeads
from replog.http.problems import PROBLEMS, Problem

if TYPE_CHECKING:
    from starlette.types import Scope
    from uvicorn._types import ASGI3Application

    from replog.http.append_routes import AppendRoutes

log = logging.getLogger("replog.http")

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


class NodeProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with:

    - a deadline for headers, for progress of a body, for taking answers, and for idleness;
    - a bound on headers, on trailers and chunk framing, and on the rest of a refused body;
    - problems (RFC 9457) instead of plain text;
    - a hang-up told to every request of the connection, pipelined ones included.

    Invariant: `_sweeps` counts the sweeps since the last thing that the client had to do.
    """

    deadlines = Deadlines()
    sweep_interval_s = 1.0
    appends: AppendRoutes | None = None
    """What takes appends that came as a whole; None where the application is not a node's."""
    plain_heads = PlainHeads()

    _reading = Reading.NOTHING
    _has_asked = False
    _sweeps = 0
    _messages_begun = 0
    _head_bytes = 0
    _body_raw_bytes = 0
    _body_bytes = 0
    _body_bytes_at_check = 0
    _discarded_bytes = 0
    _unsent_bytes = 0
    _running: RequestResponseCycle | None = None

    # --- what arrives ----------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        before, cycle = self._reading, self.cycle
        is_between = before is Reading.NOTHING and not self._is_busy
        if is_between and self._begin_append(data):
            return
        self._messages_begun = 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._on_upgrade(memoryview(data)[offer.args[0] :])
        except httptools.HttpParserError:
            self._on_invalid()
            return
        if self._reading is Reading.NOTHING:
            is_one = is_between and self._messages_begun == 1 and self.cycle is not cycle
            if is_one and self.cycle.keep_alive:
                self.plain_heads.learn(data, cast("Scope", self.scope))
            return
        if self.cycle is not cycle or (before is Reading.BODY and self._reading is Reading.HEADERS):
            return  # this read holds the end of something else too, and is not counted
        size = len(data)
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

    def _on_upgrade(self, rest: memoryview) -> None:
        """Go on behind a head that offers an upgrade; `rest` is what came with it.

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
                return
            else:
                return
        if self._is_busy or self.pipeline:
            self._on_invalid()  # the connection would be another's before its answers are sent
            return
        self.handle_websocket_upgrade()

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

    # --- appends that come as a whole --------------------------------------------------------

    def _begin_append(self, data: bytes) -> bool:
        """Begin the append that `data` is, between two messages; False where it is none."""
        plain = self.plain_heads.append_in(data)
        if plain is None or self.appends is None or self.flow.write_paused:
            return False
        begun = self.appends.begin(plain, self._finish_append)
        if begun is None:
            return False
        self.cycle = self._running = cast(RequestResponseCycle, begun)
        return True

    def _finish_append(self, answer: WholeAnswer) -> None:
        """Send a whole answer, which is the only one on its way, and go on."""
        if self.transport.is_closing():
            return
        running = self._running
        is_last = running is not None and not running.keep_alive
        if is_last:
            answer.headers.append(CLOSE)
        self.transport.write(self._whole(answer))
        if is_last:
            self.transport.close()
        self.on_response_complete()

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

    def send_400_response(self, msg: str) -> None:
        self._refuse(
            "bad-request", f"{msg.rstrip('.')}. Send HTTP/1.1, with the URL percent-encoded."
        )

    def connection_lost(self, exc: Exception | None) -> None:
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)

    # --- deadlines -------------------------------------------------------------------------

    def sweep(self) -> None:
        """Count one sweep interval, and end the connection where the client was too slow."""
        self._sweeps += 1
        running = self._running
        unsent = self.transport.get_write_buffer_size()
        if unsent or self.transport.is_closing():
            self._sweep_unread(unsent)
            return
        self._unsent_bytes = 0
        if self.flow.read_paused:
            self._sweeps = 0  # the node does not read: that is not the client's delay
        elif self._reading is Reading.BODY:
            self._sweep_body()
        elif running is not None and not running.response_complete:
            return  # the node's turn
        elif self._reading is Reading.HEADERS:
            if self._is_over(self.deadlines.headers_s):
                self._refuse("request-timeout", "The headers did not arrive in time.")
        elif self._is_over(self.deadlines.idle_s if self._has_asked else self.deadlines.headers_s):
            self.transport.close()

    def _sweep_unread(self, unsent: int) -> None:
        """Whatever is on its way, a client that takes nothing of it is cut off in the end."""
        if unsent != self._unsent_bytes:
            self._unsent_bytes = unsent
            self._sweeps = 0
        elif self._is_over(self.deadlines.unread_s):
            log.info("a client took nothing of its answer for %g s", self.deadlines.unread_s)
            self.transport.abort()

    def resume_writing(self) -> None:
        self._unsent_bytes = 0  # much was taken, whatever was written since
        super().resume_writing()

    def _sweep_body(self) -> None:
        if not self._is_over(self.deadlines.body_s):
            return
        arrived = self._body_bytes - self._body_bytes_at_check
        if arrived >= self.deadlines.progress_bytes:
            self._body_bytes_at_check = self._body_bytes
            self._sweeps = 0
            return
        self._refuse(
            "request-timeout",
            f"The body stopped arriving for {self.deadlines.body_s:g} seconds. Nothing was "
            "stored: send the request again.",
        )

    def _is_over(self, seconds: float) -> bool:
        return self._sweeps > ceil(seconds / self.sweep_interval_s)

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
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
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
