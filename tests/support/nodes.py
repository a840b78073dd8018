"""Whole nodes in one process, over real WebSockets on loopback and real directories.

SHELL. `Nodes` starts them on the running event loop and ends them with the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from replog.config import Settings
from replog.core.effects import AppendOutcome, Stored
from replog.core.entry import EntryId
from replog.core.write_concern import WriteConcern
from replog.node.node import Node, start_node
from replog.replication.dial import LINK_PATH
from replog.replication.endpoint import FrameProtocol
from replog.replication.wire import FRAME_BYTES_MAX
from replog.storage.batch import encode_message
from replog.storage.filesystem import Filesystem
from replog.testing import free_ports
from tests.support.waiting import DEADLINE_S


async def until(
    condition: Callable[[], bool], what: str, explain: Callable[[], object] = str
) -> None:
    """Return when `condition` holds; AssertionError, with what `explain` says, if it never does."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {DEADLINE_S:g} s: {what} {explain()}")
        await asyncio.sleep(0.005)


class Server(uvicorn.Server):
    """A server that leaves the signal handlers of the test process alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class RunningNode:
    """A node and the server that takes its links."""

    def __init__(self, settings: Settings, node: Node) -> None:
        self.settings = settings
        self.node = node
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def directory(self) -> Path:
        return Path(self.settings.data_dir)

    async def serve(self) -> None:
        async def replication(websocket: WebSocket) -> None:
            await self.node.accept_link(websocket)

        config = uvicorn.Config(
            Starlette(routes=[WebSocketRoute(LINK_PATH, replication)]),
            host="127.0.0.1",
            port=self.settings.port,
            ws=FrameProtocol,
            ws_max_size=FRAME_BYTES_MAX,
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
        )
        self._server = Server(config)
        self._serving = asyncio.ensure_future(self._server.serve())
        server = self._server
        await until(lambda: server.started, "the server listens")

    async def stop(self) -> None:
        await self.node.stop()
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
            self._server = None

    # --- what tests ask -----------------------------------------------------------------

    async def append(
        self, *texts: str, w: WriteConcern | None = None, timeout_s: float | None = None
    ) -> AppendOutcome:
        messages = tuple(map(encode_message, texts))
        return await self.node.append(messages, concern=w, timeout_s=timeout_s)

    async def stored(self, *texts: str, w: WriteConcern | None = None) -> Stored:
        outcome = await asyncio.wait_for(self.append(*texts, w=w), DEADLINE_S)
        assert isinstance(outcome, Stored), outcome
        return outcome

    async def read(self) -> bytes:
        """Return the lines of everything that a read shows now."""
        point = await asyncio.wait_for(self.node.read_point(), DEADLINE_S)
        chunks = [chunk async for chunk in self.node.entries(EntryId(1), point.committed_id)]
        return b"".join(chunks)

    async def ids(self) -> list[int]:
        lines = (await self.read()).splitlines()
        return [int(line.split(b":", 1)[1].split(b",", 1)[0]) for line in lines]

    def segments(self) -> dict[str, bytes]:
        """Return what each file holds; one that goes meanwhile (a repair renames) is left out."""
        held: dict[str, bytes] = {}
        for path in (self.directory / "segments").iterdir():
            with contextlib.suppress(FileNotFoundError):
                held[path.name] = path.read_bytes()
        return held

    def link_states(self) -> list[str]:
        return [secondary.link for secondary in self.node.health().secondaries]

    async def linked(self) -> None:
        """Return when every secondary of this master streams."""
        await until(
            lambda: set(self.link_states()) <= {"streaming"},
            f"all links stream, not {self.link_states()}",
        )

    async def linked_some(self, count: int) -> None:
        """Return when `count` secondaries of this master stream."""
        await until(lambda: self.link_states().count("streaming") >= count, f"{count} stream")

    async def ready(self) -> None:
        await until(lambda: not self.node.readiness(), f"ready: {self.node.readiness()}")


class Nodes:
    """Starts nodes below one directory; leaving the context ends all of them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ports: dict[str, int] = {}
        self.running: dict[str, RunningNode] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        for name in list(self.running):
            await self.stop(name)

    def port(self, name: str) -> int:
        """Return the port of a node, the same one at every start."""
        while name not in self._ports:
            [port] = free_ports(1)
            if port not in self._ports.values():  # that of a node which does not run yet
                self._ports[name] = port
        return self._ports[name]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port(name)}"

    async def secondary(
        self, name: str, *, delay: float = 0.0, filesystem: Filesystem | None = None
    ) -> RunningNode:
        settings = self._settings(name, role="secondary", delay=delay)
        return await self._start(name, settings, filesystem)

    async def master(
        self,
        *secondaries: str,
        name: str = "master",
        urls: tuple[str, ...] | None = None,
        take_over: bool = False,
        accept_loss: bool = False,
        quorum: bool = False,
        filesystem: Filesystem | None = None,
    ) -> RunningNode:
        """Start a master of these secondaries (`urls` where they are behind proxies)."""
        settings = self._settings(
            name,
            role="master",
            secondaries=urls if urls is not None else tuple(map(self.url, secondaries)),
            take_over=take_over,
            accept_loss=accept_loss,
            quorum=quorum,
        )
        return await self._start(name, settings, filesystem)

    async def stop(self, name: str) -> None:
        await self.running.pop(name).stop()

    async def _start(
        self, name: str, settings: Settings, filesystem: Filesystem | None
    ) -> RunningNode:
        assert name not in self.running, name
        running = RunningNode(settings, await start_node(settings, filesystem=filesystem))
        self.running[name] = running
        await running.serve()
        return running

    def _settings(
        self,
        name: str,
        *,
        role: str,
        secondaries: tuple[str, ...] = (),
        delay: float = 0.0,
        take_over: bool = False,
        accept_loss: bool = False,
        quorum: bool = False,
    ) -> Settings:
        return Settings(
            role="master" if role == "master" else "secondary",
            host="127.0.0.1",
            port=self.port(name),
            data_dir=str(self._root / name),
            secondaries=secondaries,
            write_concern="all",
            advertise_url=self.url(name),
            quorum="majority" if quorum else "none",
            take_over=take_over,
            accept_loss=accept_loss,
            delay=delay,
            log_level="info",
            log_format="plain",
            default_timeout=None,
            message_bytes_max=1024 * 1024,
            waiting_appends_max=10_000,
            request_bytes_in_flight_max=64 * 1024 * 1024,
            batch_entries_max=10_000,
            batch_bytes_max=16 * 1024 * 1024,
            key_window=100_000,
            followers_max=2_000,
        )
