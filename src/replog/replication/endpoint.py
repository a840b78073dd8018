"""The secondary's side of a link: a WebSocket that the master opened at /replication.

NETWORK. Served by the node's HTTP server, which must take frames of `FRAME_BYTES_MAX` bytes
and leave compression and its own pings off.
"""

from __future__ import annotations

from starlette.websockets import WebSocket, WebSocketDisconnect

from replog.replication.dial import close_reason, closed_by_the_other
from replog.replication.link import ConnectionLostError, Link, LinkOwner


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

    async def send(self, frame: str | bytes) -> None:
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
        """Nothing to do: the server drops the socket when `serve_link` returns."""


def _why(code: int | None, reason: str | None) -> str:
    """Say why a WebSocket ended; 1005 and 1006 stand for no closing frame at all (RFC 6455)."""
    if code is None or code in (1005, 1006):
        return "the connection broke off"
    return closed_by_the_other(code, reason or "")
