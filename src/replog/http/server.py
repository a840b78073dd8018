"""Listening, serving and stopping: uvicorn as this node needs it.

SHELL. uvicorn's own `Server.serve` takes over signals and raises them again at its end, polls
ten times a second, and waits for streams without limit; here an event stops it, in bounded
time (docs/decisions/0043).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

import uvicorn
from starlette.types import ASGIApp
from websockets.exceptions import InvalidState

from replog.core.errors import ConfigurationError
from replog.http.app import App
from replog.http.behind import Behind
from replog.http.facade import ServedNode
from replog.http.limits import Deadlines
from replog.http.plain_heads import PlainHeads
from replog.http.protocol import NodeProtocol
from replog.replication.endpoint import FrameProtocol
from replog.replication.wire import FRAME_BYTES_MAX

log = logging.getLogger("replog.http")

BACKLOG = 2048

STOP_GRACE_S = 0.3
"""How long running answers may take after a stop; then they are broken off."""

SWEEP_AT_ONCE_S = 0.001
SWEEP_REST_S = 0.002
"""Connections are swept for so long at once, and then the loop rests. It must, for a thread waits
up to 5 ms for the interpreter of a loop that only gives way, and each sync needs it twice: with
10,000 idle connections honest appends took three times as long while they were swept."""

CLOSED_AT_ONCE = 16
"""So many connections are closed at once: letting go of one takes the loop for some 0.15 ms, in
its next turn, and 10,000 idle ones may be due in the same sweep."""

_CLOSE_S = 0.1
"""How long the requests of dropped connections may take to end."""

_POLL_S = 0.005


def listen(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen at every address of `host`, port 0 being any free one.

    They listen already: a second process gets its error at once, and clients that come
    before `serve` wait instead of being refused.

    Raises:
        ConfigurationError: one line that says what to do.
    """
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigurationError(
            f"The host {host!r} is no address of this machine ({error}). Use 127.0.0.1 for this "
            "machine only, 0.0.0.0 for all networks."
        ) from error
    listeners: list[socket.socket] = []
    failure: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        if port == 0 and listeners:
            address = (address[0], port_of(listeners), *address[2:])  # noqa: PLW2901  # same port
        try:
            listeners.append(_listen_at(family, address))
        except OSError as error:
            failure = error
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                break  # an address family that this machine lacks is no failure, the rest is
    if not listeners or (failure is not None and failure.errno == errno.EADDRINUSE):
        assert failure is not None
        for listener in listeners:
            listener.close()
        raise _listen_error(host, port, failure) from failure
    return listeners


def port_of(listeners: Sequence[socket.socket]) -> int:
    """Return the port that `listeners` share."""
    port: int = listeners[0].getsockname()[1]
    return port


async def serve(
    app: ASGIApp,
    node: ServedNode,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    stop: asyncio.Event,
    listeners: Sequence[socket.socket] | None = None,
    on_listening: Callable[[int], None] | None = None,
    deadlines: Deadlines | None = None,
    sweep_interval_s: float = 1.0,
    grace_s: float = STOP_GRACE_S,
) -> None:
    """Serve `app` until `stop` is set; return when every connection is gone.

    On the stop no connection is taken any more, `node.stopping` is set, so that the node
    answers its waiting appends and reads; what is still running after `grace_s` is broken
    off. Signals are the caller's.

    Args:
        listeners: from `listen`; without them `host` and `port` are listened at first.
        on_listening: called once with the port, when requests are answered.

    Raises:
        ConfigurationError: the port cannot be listened at.
    """
    sockets = list(listeners) if listeners is not None else listen(host, port)

    class Protocol(NodeProtocol):
        pass

    Protocol.plain_heads = PlainHeads()
    Protocol.behind = Behind()
    Protocol.appends = app.log_routes.appends if isinstance(app, App) else None
    Protocol.deadlines = deadlines or Deadlines()
    Protocol.sweep_interval_s = sweep_interval_s
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws=FrameProtocol,
        ws_max_size=FRAME_BYTES_MAX,
        ws_per_message_deflate=False,  # loopback and data centres: it costs more than it saves
        ws_ping_interval=None,  # heartbeats are R11's
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
    )
    server = _Server(config, node, stop, grace_s=grace_s, sweep_interval_s=sweep_interval_s)
    try:
        await server.startup(sockets=sockets)
        if on_listening is not None:
            on_listening(port_of(sockets))
        await server.main_loop()
    finally:
        await server.shutdown(sockets=sockets)


class _Server(uvicorn.Server):
    """uvicorn's listening and protocols, without its signals, polling and endless stop."""

    def __init__(
        self,
        config: uvicorn.Config,
        node: ServedNode,
        stop: asyncio.Event,
        *,
        grace_s: float,
        sweep_interval_s: float,
    ) -> None:
        super().__init__(config)
        config.load()
        self.lifespan = config.lifespan_class(config)
        self.servers = []
        self._node = node
        self._stop = stop
        self._grace_s = grace_s
        self._sweep_interval_s = sweep_interval_s

    async def main_loop(self) -> None:
        """Renew the date header and sweep the connections, once an interval, until the stop."""
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            due = loop.time() + self._sweep_interval_s
            await self.on_tick(0)
            await self._sweep()
            await self._rest(due - loop.time())

    async def _sweep(self) -> None:
        """Sweep all connections, with rests; behind a stop without."""
        connections = self.server_state.connections
        began, closed = monotonic(), 0
        for connection in list(connections):
            if isinstance(connection, NodeProtocol) and connection in connections:
                connection.sweep()
                closed += connection.transport.is_closing()
            if closed >= CLOSED_AT_ONCE or monotonic() - began > SWEEP_AT_ONCE_S:
                await self._rest(SWEEP_REST_S)
                began, closed = monotonic(), 0

    async def _rest(self, seconds: float) -> None:
        """Return after so long, or at the stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End everything within `grace_s` and a little."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        self._node.stopping.set()
        for connection in list(self.server_state.connections):
            with suppress(InvalidState):  # a link that is being closed already
                connection.shutdown()
        if not await self._is_quiet_within(self._grace_s):
            state = self.server_state
            log.info("stop: breaking off %d connections", len(state.connections))
            for connection in list(state.connections):
                connection.transport.abort()  # its request ends as on any hang-up
            await self._is_quiet_within(_CLOSE_S)

    async def _is_quiet_within(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        state = self.server_state
        while state.connections or state.tasks:
            if loop.time() >= end:
                return False
            await asyncio.sleep(_POLL_S)
        return True


def _listen_at(family: int, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit both: answers leave at once, and a host that vanished
        # without a word is noticed in the end.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener


def _listen_error(host: str, port: int, failure: OSError) -> ConfigurationError:
    match failure.errno:
        case errno.EADDRINUSE:
            return ConfigurationError(
                f"Port {port} on {host} is taken by another process. Stop that one, or choose "
                "another port with --port."
            )
        case errno.EACCES:
            return ConfigurationError(
                f"Port {port} on {host} needs more rights than this user has. Choose a port from "
                "1024 on with --port."
            )
        case _:
            return ConfigurationError(
                f"Cannot listen at {host} port {port}: {failure.strerror}. Choose another --host "
                "or --port."
            )
