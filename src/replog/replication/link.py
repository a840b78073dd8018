"""One connection between two nodes: messages out in order, messages in in order, one end.

NETWORK. Both ends of a link run the same code over a `Connection`, which the dialling side
(`dial`) and the serving side (`endpoint`) each make from their WebSocket library.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from replog.core.entry import EntryId
from replog.core.errors import WireError
from replog.core.events import LinkId, SecondaryIndex
from replog.core.messages import Message, Welcome
from replog.replication import wire
from replog.replication.pace import Pace

READS_MAX: Final = 64
"""About what a window takes: reads of a few segments, which are verified again if need be."""

OUTGOING_BYTES_MAX: Final = 192 * 1024 * 1024
"""More than this waiting for one peer ends the link (P10). The window of the stream and one
batch of the format's limit stay below, so only a peer that asks and never reads gets here."""

LONG_FRAME_BYTES: Final = 256 * 1024
"""What is as long takes the node a while: it is not passed on in the call that brings it."""

CLOSE_WITHIN_S: Final = 0.2
"""How long the last frames and the closing handshake may take before the socket is dropped."""


Take = Callable[[str | bytes], bool]
"""Takes a frame that just came; False leaves it to be received."""


class ConnectionLostError(Exception):
    """The peer or the network ended the connection; the text says how."""


class Connection(Protocol):
    """A WebSocket, however it came about. Frames arrive whole and in order, or not at all."""

    def try_send(self, frame: str | bytes) -> bool:
        """Send one frame where that needs no waiting; return whether it did."""

    async def send(self, frame: str | bytes, *, rest_s: float = 0.0) -> None:
        """Send one frame; returns when there is room for the next.

        Args:
            rest_s: how long to rest before each part of a frame that goes in several.

        Raises:
            ConnectionLostError: the connection is gone.
        """

    async def receive(self) -> str | bytes:
        """Return the next frame.

        Raises:
            ConnectionLostError: the connection is gone.
        """

    def offer_to(self, take: Take) -> None:
        """Offer a frame to `take` as it comes, where no other frame waits to be received."""

    def expect_batches(self) -> None:
        """Take frames of any length from now on: the peer said that it is a master."""

    async def close(self, reason: str) -> None:
        """End the connection in an orderly way; returns when it is gone."""

    def abort(self) -> None:
        """Drop the connection at once."""


class LinkOwner(Protocol):
    """The node, as its links see it. Every call is made on the event loop."""

    def new_link_id(self) -> LinkId:
        """Return an id that no link of this process had before (R2)."""

    def link_opened(self, link: Link, secondary: SecondaryIndex | None) -> None:
        """A connection stands; messages may be sent on it from now on."""

    def received_now(self, link: Link, message: Message) -> bool:
        """A message came: take it, or return False where that needs waiting (`received`)."""

    async def received(self, link: Link, message: Message) -> None:
        """A message came. The next one is not read before this returns: the way to slow
        down a peer that sends faster than this node stores."""

    def received_bad(self, link: Link, reason: str) -> None:
        """A frame came that is no message (R5)."""

    def link_closed(self, link: Link, reason: str) -> None:
        """The connection is gone. Called once for each `link_opened`, and nothing after it."""

    def dial_failed(self, secondary: SecondaryIndex, reason: str) -> None:
        """A secondary could not be reached (R1)."""


class Link:
    """One end of one connection.

    `send` and `close` never wait: a frame goes out at once where the connection takes it, else
    it is queued, and one task per link sends what is. Likewise what comes in is passed on at
    once where the node takes it and nothing is before it; else one task receives it.
    """

    def __init__(self, link_id: LinkId, connection: Connection, *, name: str) -> None:
        self.id = link_id
        self.name = name
        """The URL that was dialled, or the address that dialled: for people."""
        self.close_reason: str | None = None
        """Set as soon as either end wants the end; what arrives after that is dropped."""
        self.read_for: deque[EntryId] = deque(maxlen=READS_MAX)
        """Where what was read from the disk for this link last begins, for who doubts it."""
        self.pace = Pace()
        self._connection = connection
        self._codec = wire.Codec()
        self._decoded: Message | None = None
        """What the frame says that is to be received next, where that is known already."""
        self._outgoing: deque[tuple[str | bytes, float]] = deque()
        self._outgoing_bytes = 0
        self._is_sending = False
        self._owner: LinkOwner | None = None
        self._defect: Exception | None = None
        self._is_waiting = False
        """For the next frame, every one before it being passed on."""
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()

    def send(self, message: Message, *, rest_s: float = 0.0) -> int:
        """Send or queue `message`; return the bytes of its frame, 0 where the link is closed.

        Args:
            rest_s: how long to rest before each part of a long frame.
        """
        if self.close_reason is not None:
            return 0
        frame = self._codec.encode(message)
        is_first = not self._outgoing and not self._is_sending
        if is_first and self._connection.try_send(frame):
            return len(frame)
        self._outgoing.append((frame, rest_s))
        self._outgoing_bytes += len(frame)
        self._changed.set()
        if self._outgoing_bytes > OUTGOING_BYTES_MAX:
            self.close(f"{self._outgoing_bytes} bytes wait for a peer that does not take them")
        return len(frame)

    def close(self, reason: str) -> None:
        """End the link after what is queued; nothing that arrives from now on is passed on."""
        if self.close_reason is None:
            self.close_reason = reason
            self._changed.set()
            self._closing.set()

    async def run(self, owner: LinkOwner, secondary: SecondaryIndex | None = None) -> None:
        """Carry messages from the opening of the link to its end.

        Cancelling drops the connection at once.
        """
        owner.link_opened(self, secondary)
        receiving = asyncio.ensure_future(self._receive(owner))
        sending = asyncio.ensure_future(self._send_queued())
        closing = asyncio.ensure_future(self._closing.wait())
        tasks = (receiving, sending, closing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._finish(receiving, sending)
        finally:
            self.close("the node stops")
            for task in tasks:
                task.cancel()
            self._connection.abort()
            self._outgoing.clear()
            owner.link_closed(self, self.close_reason or "")
        for task in (receiving, sending):
            if task.done() and not task.cancelled():
                task.result()  # a defect of ours must not die with its task
        if self._defect is not None:
            raise self._defect

    async def _finish(self, receiving: asyncio.Task[None], sending: asyncio.Task[None]) -> None:
        """Let what was queued before the close (a `Refusal`) reach the peer, for a moment."""
        with contextlib.suppress(TimeoutError, ConnectionLostError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                if not receiving.done():
                    await asyncio.wait((sending,))
                await self._connection.close(self.close_reason or "")

    def _take(self, frame: str | bytes) -> bool:
        is_next = self._is_waiting and self.close_reason is None
        if not is_next or len(frame) >= LONG_FRAME_BYTES:
            return False
        assert self._owner is not None, "it waits"
        try:
            message = self._decode(frame)
            is_taken = self._owner.received_now(self, message)
        except WireError:
            return False  # whoever receives it tells
        except Exception as error:  # noqa: BLE001 - raised by `run`, as one met while receiving
            self._defect = error
            self.close("a defect in the program")
            return True
        self._decoded = None if is_taken else message
        return is_taken

    def _decode(self, frame: str | bytes) -> Message:
        """Decode a frame, each once: its check covers those before it. Raises: WireError."""
        message = self._codec.decode(frame)
        if isinstance(message, Welcome):
            self._connection.expect_batches()
        return message

    async def _receive(self, owner: LinkOwner) -> None:
        self._owner = owner
        self._connection.offer_to(self._take)
        try:
            while True:
                self._is_waiting = True
                frame = await self._connection.receive()
                self._is_waiting = False
                if self.close_reason is not None:
                    return  # R2: bytes of a link that has ended are nobody's news
                try:
                    message = self._decoded or self._decode(frame)
                    self._decoded = None
                except WireError as error:
                    owner.received_bad(self, str(error))
                else:
                    await owner.received(self, message)
        except ConnectionLostError as error:
            self.close(str(error))

    async def _send_queued(self) -> None:
        """Send what is queued, until the link is closed and the queue empty."""
        try:
            while True:
                self._is_sending = True
                while self._outgoing:
                    frame, rest_s = self._outgoing.popleft()
                    await self._connection.send(frame, rest_s=rest_s)
                    self._outgoing_bytes -= len(frame)
                self._is_sending = False
                if self.close_reason is not None:
                    return
                self._changed.clear()
                await self._changed.wait()
        except ConnectionLostError as error:
            self.close(str(error))
