"""A server that takes links as a node's does, and nothing else.

NETWORK.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from replog.replication.dial import LINK_PATH
from replog.replication.endpoint import FrameProtocol
from replog.replication.wire import FRAME_BYTES_MAX
from replog.testing import free_ports
from tests.support.nodes import Server, until
from tests.support.waiting import DEADLINE_S


@asynccontextmanager
async def serving(serve: Callable[[WebSocket], Awaitable[None]]) -> AsyncIterator[int]:
    """Run `serve` on each WebSocket that is opened at the port that is yielded."""
    [port] = free_ports(1)
    server = Server(
        uvicorn.Config(
            Starlette(routes=[WebSocketRoute(LINK_PATH, serve)]),
            port=port,
            ws=FrameProtocol,
            ws_max_size=FRAME_BYTES_MAX,
            ws_ping_interval=None,
            lifespan="off",
            log_config=None,
        )
    )
    running = asyncio.ensure_future(server.serve())
    await until(lambda: server.started, "the server listens")
    try:
        yield port
    finally:
        server.should_exit = True
        await asyncio.wait_for(running, DEADLINE_S)
