"""The secondary's side of a link: a WebSocket that the master opened at /replication.

NETWORK. Served by the node's HTTP server, which must take frames of `FRAME_BYTES_MAX` bytes
and leave compression and its own pings off.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from replog.replication.dial import close_reason, closed_by_the_other
from replog.replication.link import ConnectionLostError, Link, LinkOwner, Take

if TYPE_CHECKING:
    from asyncio import BaseTransport

    from websockets.http11 import Request

FRAMES = "replog.frames"
"""The extension of ASGI that tells a WebSocket's application its "protocol"; a server without
it sends by ASGI alone."""

_READ_AHEAD_FRAMES = 16
_READ_AHEAD_FRAME_BYTES = 256 * 1024
"""What arrives while so many frames wait for the link, or one that is longer, stays with the
kernel: 4 MiB and one frame are about what a peer can make this node hold (P10)."""

GREETING_FRAME_BYTES_MAX = 64 * 1024
"""Until it said that it is a master, a peer's frames are no longer: 64 KiB is what a stranger can
make this node hold."""

GREETING_PIECE_BYTES = 4 * 1024
"""Until then what arrived is parsed in such pieces, and no more of it once the peer is dropped:
256 KiB of tiny frames, which one read may bring, take the event loop for a third of a second."""

DROP_AFTER_S = 1.0
"""A peer that does not close its end of a link that was closed here is dropped after so long."""


class FrameProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, with ways to send and to receive at once, and fewer system calls.

    uvicorn pauses reading behind every frame until the application took it.
    """

    take: Take | None = None
    _is_stranger = True

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.conn.max_message_size = GREETING_FRAME_BYTES_MAX

    def expect_batches(self) -> None:
        """See `Connection.expect_batches`."""
        self.conn.max_message_size = self.config.ws_max_size
        self._is_stranger = False

    def data_received(self, data: bytes) -> None:
        """Take what arrived; of a stranger in pieces, as far as a master could have sent it.

        A master greets, beats and waits for an answer: it sends neither pings nor many frames
        at once, and behind a close nothing but its own.
        """
        if not self._is_stranger:
            super().data_received(data)
            return
        if self.close_sent and len(data) > GREETING_PIECE_BYTES:
            self.transport.abort()
        for start in range(0, len(data), GREETING_PIECE_BYTES):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + GREETING_PIECE_BYTES])
            if self.queue.qsize() > _READ_AHEAD_FRAMES:
                self.transport.abort()

    def shutdown(self) -> None:
        """End the link; one that nobody has taken yet is refused, and whoever would have, told.

        uvicorn refuses it too, but lets the application answer it again, which is an error then.
        """
        if self.handshake_complete or self.close_sent:
            super().shutdown()
            return
        response = self.conn.reject(HTTPStatus.SERVICE_UNAVAILABLE, "this node stops\n")
        self.conn.send_response(response)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()
        self.disconnected = True

    def drop_soon(self) -> None:
        """Drop the socket, should the peer neither close it nor take what was sent."""
        self.loop.call_later(DROP_AFTER_S, self.transport.abort)

    def handle_ping(self) -> None:
        if self.writable.is_set() and not self._is_stranger:
            super().handle_ping()
        else:  # a stranger, or it takes no answers, which would pile up here (P10)
            self.transport.abort()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"][FRAMES] = {"protocol": self}

    def send_receive_event_to_app(self) -> None:
        if self.take is not None and not self.queue.qsize() and not self.close_sent:
            content = self._content()
            if content is not None and self.take(content):
                self.frames = []
                return
        was_paused, self.read_paused = self.read_paused, True
        is_long = sum(map(len, self.frames)) > _READ_AHEAD_FRAME_BYTES
        super().send_receive_event_to_app()
        self.read_paused = was_paused
        if was_paused or self.close_sent:
            return  # behind a close all is read and dropped, until the peer has closed as well
        if is_long or self.queue.qsize() >= _READ_AHEAD_FRAMES:
            self.read_paused = True
            self.transport.pause_reading()

    def _content(self) -> str | bytes | None:
        """Return the message that has just come; None for one that uvicorn refuses."""
        data = b"".join(self.frames)
        if self.curr_msg_data_type != "text":
            return data
        try:
            return data.decode()
        except UnicodeDecodeError:
            return None

    def try_send(self, frame: str | bytes) -> bool:
        """See `Connection.try_send`."""
        if self.close_sent or not self.writable.is_set() or self.transport.is_closing():
            return False
        if self.conn.state is not State.OPEN:
            return False
        if isinstance(frame, bytes):
            self.conn.send_binary(frame)
        else:
            self.conn.send_text(frame.encode())
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True


async def serve_link(websocket: WebSocket, owner: LinkOwner) -> None:
    """Accept `websocket` and run the link on it to its end."""
    await websocket.accept()
    client = websocket.client
    peer = f"{client.host}:{client.port}" if client is not None else "unknown"
    link = Link(owner.new_link_id(), ServedConnection(websocket), name=peer)
    await link.run(owner)


class ServedConnection:
    """A `Connection` over an ASGI WebSocket."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        extension = websocket.scope.get("extensions", {}).get(FRAMES, {})
        self._protocol: FrameProtocol | None = extension.get("protocol")

    def try_send(self, frame: str | bytes) -> bool:
        return self._protocol is not None and self._protocol.try_send(frame)

    def offer_to(self, take: Take) -> None:
        if self._protocol is not None:
            self._protocol.take = take

    def expect_batches(self) -> None:
        if self._protocol is not None:
            self._protocol.expect_batches()

    async def send(self, frame: str | bytes, *, rest_s: float = 0.0) -> None:
        del rest_s  # what is fetched goes in one part
        try:
            if isinstance(frame, bytes):
                await self._websocket.send_bytes(frame)
            else:
                await self._websocket.send_text(frame)
        except WebSocketDisconnect as error:
            raise ConnectionLostError("the connection broke off") from error

    async def receive(self) -> str | bytes:
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise ConnectionLostError(_why(event.get("code"), event.get("reason")))
        binary = event.get("bytes")
        frame: str | bytes = event["text"] if binary is None else bytes(binary)
        return frame

    async def close(self, reason: str) -> None:
        try:
            await self._websocket.close(reason=close_reason(reason))
        except (WebSocketDisconnect, RuntimeError) as error:  # RuntimeError: closed already
            raise ConnectionLostError("the connection is closed already") from error

    def abort(self) -> None:
        if self._protocol is not None:
            self._protocol.drop_soon()


def _why(code: int | None, reason: str | None) -> str:
    """Say why a WebSocket ended; 1005 and 1006 stand for no closing frame at all (RFC 6455)."""
    if code is None or code in (1005, 1006):
        return "the connection broke off"
    return closed_by_the_other(code, reason or "")
