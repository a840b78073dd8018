"""The master's side of the links: dials one secondary, again and again, without limit (R1).

NETWORK. One task per configured secondary runs `Dialler.run`.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from replog.core.errors import ConfigurationError
from replog.core.events import SecondaryIndex
from replog.replication.link import Connection, ConnectionLostError, Link, LinkOwner, Take
from replog.replication.wire import FRAME_BYTES_MAX

LINK_PATH: Final = "/replication"

CONNECT_WITHIN_S: Final = 2.0
"""A host that is off answers nothing: longer than a lost SYN's first repeat, no longer than
the longest pause between two dials."""

BACK_OFF_FIRST_S: Final = 0.1
BACK_OFF_LONGEST_S: Final = 2.0
_STEADY_S: Final = 1.0
"""A link that stood this long was good: the next dial is a first one again."""

_SEND_BUFFER_BYTES: Final = 1024 * 1024
"""What a connection takes before `send` waits: one full batch, so that the next one is
encoded while this one travels."""

_FRAGMENT_BYTES: Final = 128 * 1024
"""What is sent in one go: masking it and handing it to the kernel takes some 0.2 ms."""

_AT_ONCE_BYTES: Final = 4 * _FRAGMENT_BYTES
"""A longer frame goes in fragments, and the event loop looks after others in between; what
clients wait for is seldom as long."""

_WHOLE: Final = frozenset({Opcode.TEXT, Opcode.BINARY})


def link_url(url: str) -> str:
    """Return where the node at `url` (http or https) takes links.

    Raises:
        ConfigurationError: `url` is no URL of a node.
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ConfigurationError(
            f"{url!r} is not the URL of a node; write it like http://127.0.0.1:8001"
        )
    path = parts.path.rstrip("/") + LINK_PATH
    return urlunsplit((scheme, parts.netloc, path, "", ""))


def back_off(generator: random.Random) -> Iterator[float]:
    """Yield the pauses between dials: doubling, with jitter, without end (R1).

    The jitter keeps the masters of many clusters from dialling a returned host in step.
    """
    pause = BACK_OFF_FIRST_S
    while True:
        yield max(BACK_OFF_FIRST_S, pause * generator.uniform(0.6, 1.0))
        pause = min(BACK_OFF_LONGEST_S, 2 * pause)


async def dial(url: str) -> Connection:
    """Open a connection to the node at `url` (its HTTP URL).

    Raises:
        ConnectionLostError: it cannot be reached; the text says why.
    """
    try:
        connection = await connect(
            link_url(url),
            compression=None,
            open_timeout=CONNECT_WITHIN_S,
            ping_interval=None,  # R11: only our heartbeats decide
            max_size=FRAME_BYTES_MAX,
            write_limit=_SEND_BUFFER_BYTES,
            create_connection=_FrameConnection,
            proxy=None,  # a proxy meant for the web must not come between two nodes
            user_agent_header="replog",
        )
    except (OSError, UnicodeError, WebSocketException) as error:
        raise ConnectionLostError(_why_unreachable(error)) from error
    assert isinstance(connection, _FrameConnection), connection
    return DialledConnection(connection)


class Dialler:
    """Keeps one secondary linked: dials, runs the link, pauses, dials again."""

    def __init__(self, secondary: SecondaryIndex, url: str, owner: LinkOwner) -> None:
        self._secondary = secondary
        self._url = url
        self._owner = owner
        self._generator = random.Random()  # noqa: S311 - jitter, no secret

    async def run(self) -> None:
        """Run until cancelled."""
        pauses = back_off(self._generator)
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            if await self._link_once() and loop.time() - started >= _STEADY_S:
                pauses = back_off(self._generator)
            await asyncio.sleep(next(pauses))

    async def _link_once(self) -> bool:
        """Dial, and run the link to its end; return whether there was one."""
        try:
            connection = await dial(self._url)
        except ConnectionLostError as error:
            self._owner.dial_failed(self._secondary, str(error))
            return False
        link = Link(self._owner.new_link_id(), connection, name=self._url)
        await link.run(self._owner, self._secondary)
        return True


class _FrameConnection(ClientConnection):
    """The websockets library's client, with ways to send and to receive that make no task."""

    take: Take | None = None

    def process_event(self, event: Event) -> None:
        if (
            self.take is not None
            and isinstance(event, Frame)
            and event.opcode in _WHOLE
            and event.fin
            and not len(self.recv_messages.frames)
            and (content := _content(event)) is not None
            and self.take(content)
        ):
            return
        super().process_event(event)

    def try_send(self, frame: str | bytes) -> bool:
        if len(frame) > _AT_ONCE_BYTES:
            return False
        if self.paused or self.protocol.state is not State.OPEN or self.transport.is_closing():
            return False
        if isinstance(frame, bytes):
            self.protocol.send_binary(frame)
        else:
            self.protocol.send_text(frame.encode())
        self.send_data()
        return True


async def _fragments(frame: bytes, rest_s: float) -> AsyncIterator[memoryview]:
    """Yield the parts of a frame in order; everybody else has a turn before each."""
    whole = memoryview(frame)
    for start in range(0, len(frame), _FRAGMENT_BYTES):
        await asyncio.sleep(rest_s)
        yield whole[start : start + _FRAGMENT_BYTES]


def _content(frame: Frame) -> str | bytes | None:
    """Return what is in a whole message; None for one that the library refuses."""
    data = bytes(frame.data)
    if frame.opcode is not Opcode.TEXT:
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


class DialledConnection:
    """A `Connection` over the websockets library's client."""

    def __init__(self, connection: _FrameConnection) -> None:
        self._connection = connection
        self.try_send = connection.try_send

    def offer_to(self, take: Take) -> None:
        self._connection.take = take

    def expect_batches(self) -> None:
        """Nothing to do: who was dialled is a node of this log."""

    async def send(self, frame: str | bytes, *, rest_s: float = 0.0) -> None:
        try:
            if isinstance(frame, bytes) and len(frame) > _AT_ONCE_BYTES:
                await self._connection.send(_fragments(frame, rest_s))
            else:
                await self._connection.send(frame)
        except ConnectionClosed as error:
            raise ConnectionLostError(_why_closed(error)) from error

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            raise ConnectionLostError(_why_closed(error)) from error

    async def close(self, reason: str) -> None:
        await self._connection.close(reason=close_reason(reason))

    def abort(self) -> None:
        self._connection.transport.abort()


def close_reason(reason: str) -> str:
    """Return `reason` cut to what fits into a closing frame (RFC 6455: 123 bytes)."""
    return reason.encode()[:123].decode(errors="ignore")


def closed_by_the_other(code: int, reason: str) -> str:
    """Return why a link ended that the other node closed (1012: RFC 6455's "service restart")."""
    return f"closed by the other end: {reason or ('it stops' if code == 1012 else code)}"


def _why_unreachable(error: OSError | UnicodeError | WebSocketException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_WITHIN_S:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there"
    if isinstance(error, socket.gaierror):
        return f"the name does not resolve: {error.strerror}"
    if isinstance(error, UnicodeError):
        return f"it is no name of a host: {error}"
    if isinstance(error, InvalidStatus):
        return f"it answers HTTP {error.response.status_code} to a link: is it a replog node?"
    return f"{type(error).__name__}: {error}"


def _why_closed(error: ConnectionClosed) -> str:
    if error.rcvd is not None and (error.rcvd_then_sent or error.sent is None):
        return closed_by_the_other(error.rcvd.code, error.rcvd.reason)
    return "the connection broke off"
