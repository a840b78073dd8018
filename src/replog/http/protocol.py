"""One HTTP connection: uvicorn's, with the deadlines that it lacks.

NETWORK. Deadlines are counted in sweeps over all connections, one a second, so that no request
sets a timer. An append that came as a whole, under a head that came before, is begun at once.
"""

from __future__ import annotations

import asyncio
import logging
from math import ceil
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from replog.http.answer import WholeAnswer
from replog.http.body import CLOSE
from replog.http.limits import Deadlines
from replog.http.parsing import MessageProtocol, Reading
from replog.http.plain_heads import PlainHeads
from replog.http.unread import bound_unread

if TYPE_CHECKING:
    from starlette.types import Scope

    from replog.http.append_routes import AppendRoutes

log = logging.getLogger("replog.http")


class NodeProtocol(MessageProtocol):
    """A node's connection, which has beside the bounds of its messages:

    - a deadline for headers, for progress of a body, for taking answers, and for idleness;
    - appends that came as a whole begun without a task.
    """

    deadlines = Deadlines()
    sweep_interval_s = 1.0
    appends: AppendRoutes | None = None
    """What takes appends that came as a whole; None where the application is not a node's."""
    plain_heads = PlainHeads()

    _unsent_bytes = 0

    # --- what arrives ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        bound_unread(transport, after_s=self.deadlines.unread_s)

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        is_between = self._reading is Reading.NOTHING and not self._is_busy
        if is_between and self._begin_append(data):
            return
        self._messages_begun = 0
        self._parse(data, 0)
        is_one = is_between and self._messages_begun == 1 and self.cycle is not cycle
        if is_one and self._reading is Reading.NOTHING and self.cycle.keep_alive:
            self.plain_heads.learn(data, cast("Scope", self.scope))

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
        arrived = self._body_bytes - self._body_bytes_at_check
        if arrived >= self.deadlines.progress_bytes:
            self._body_bytes_at_check = self._body_bytes
            self._sweeps = 0
        elif self._is_over(self.deadlines.body_s):
            self._refuse(
                "request-timeout",
                f"The body stopped arriving for {self.deadlines.body_s:g} seconds. Nothing was "
                "stored: send the request again.",
            )

    def _is_over(self, seconds: float) -> bool:
        return self._sweeps > ceil(seconds / self.sweep_interval_s)
