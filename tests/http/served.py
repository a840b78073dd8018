"""A real server on a free loopback port, in a thread of its own, around a fake node.

NETWORK.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

import httpx2
import uvloop

from replog.http.app import App, create_app
from replog.http.limits import Deadlines, Limits
from replog.http.server import serve
from replog.node.views import Role
from tests.http.fake_node import FakeNode
from tests.http.raw import Connection, request_bytes
from tests.support.waiting import DEADLINE_S, wait_until

_T = TypeVar("_T")


class Served:
    """Serves while the context is open; `node` is looked at and changed through `on_loop`."""

    node: FakeNode
    app: App
    port: int

    def __init__(
        self,
        role: Role = Role.MASTER,
        *,
        limits: Limits | None = None,
        deadlines: Deadlines | None = None,
        sweep_interval_s: float = 1.0,
        grace_s: float = 0.5,
        default_timeout_s: float | None = None,
    ) -> None:
        self._role = role
        self._limits = limits
        self._deadlines = deadlines
        self._sweep_interval_s = sweep_interval_s
        self._grace_s = grace_s
        self._default_timeout_s = default_timeout_s
        self._is_listening = threading.Event()
        self._is_asked_to_stop = False
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_listening.wait(DEADLINE_S), "the server does not listen"
        if self.failure is not None:
            raise self.failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        assert self.app.log_routes.appends.waiting == 0
        assert self.app.log_routes.appends.bytes_in_flight == 0
        assert self.node.open_reads == 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> Connection:
        return Connection(self.port)

    @contextmanager
    def waiting_append(self, *, known: bool) -> Iterator[Connection]:
        """A connection whose append waits for more nodes than can be reached.

        Args:
            known: its head came before, so that it is begun as a whole.
        """
        append = request_bytes(
            "POST", "/logs", b'{"message":"x"}', {"Content-Type": "application/json"}
        )
        if known:
            with self.connect() as connection:
                connection.send(append)
                assert connection.answer().status == 200
        self.on_loop(lambda: setattr(self.node, "reachable", 1))
        with self.connect() as connection:
            connection.send(append)
            wait_until(lambda: self.on_loop(lambda: self.node.waiting) == 1, "the append waits")
            yield connection
        assert self.on_loop(lambda: self.node.begun_appends) == int(known)

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=DEADLINE_S)

    def on_loop(self, call: Callable[[], _T]) -> _T:
        """Return what `call` gives, called in the server's thread."""

        async def run() -> _T:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(DEADLINE_S)

    def request_stop(self) -> None:
        """Ask once: after the first time, the loop may be closed at any moment."""
        if not self._is_asked_to_stop:
            self._is_asked_to_stop = True
            self._loop.call_soon_threadsafe(self._stop.set)

    def stop(self) -> None:
        """Stop the server and wait until it is gone."""
        if self._thread.is_alive():
            self.request_stop()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the server does not stop"

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self._is_listening.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.node = FakeNode(self._role)
        self.app = create_app(
            self.node, limits=self._limits, default_timeout_s=self._default_timeout_s
        )
        await serve(
            self.app,
            self.node,
            port=0,
            stop=self._stop,
            on_listening=self._note_port,
            deadlines=self._deadlines,
            sweep_interval_s=self._sweep_interval_s,
            grace_s=self._grace_s,
        )

    def _note_port(self, port: int) -> None:
        self.port = port
        self._is_listening.set()
