"""A TCP proxy between two nodes that can be cut, paused and slowed down: the network's faults.

NETWORK. On the event loop of the test.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class Proxy:
    """Forwards connections to `(host, port)` of a node.

    Attributes:
        url: the URL under which the node is reached through it.
        connections: how many were opened through it so far.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._may_pass = asyncio.Event()
        self._may_pass.set()
        self._refuses = False
        self._delay_s = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection; new ones are taken unless `refuse` was said."""
        for writer in list(self._writers):
            writer.transport.abort()

    def refuse(self, refuses: bool = True) -> None:
        """Cut every connection, and drop new ones, until `refuse(False)`."""
        self._refuses = refuses
        if refuses:
            self.cut()

    def pause(self) -> None:
        """Let nothing pass, either way, while connections stay open: a paused host."""
        self._may_pass.clear()

    def resume(self) -> None:
        """Let pass what was held, and what follows."""
        self._may_pass.set()

    def delay(self, seconds: float) -> None:
        """Hold what arrives from now on this long, each way."""
        self._delay_s = seconds

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            onward = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, onward[1]}
        self.connections += 1
        for source, sink in ((reader, onward[1]), (onward[0], writer)):
            task = asyncio.ensure_future(self._forward(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._may_pass.wait()
                sink.write(data)
                await sink.drain()
        self._writers.discard(sink)
        sink.transport.abort() if self._refuses else sink.close()
