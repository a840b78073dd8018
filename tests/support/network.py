"""A network between nodes that can hold, lose, delay, corrupt and cut what passes.

NETWORK. One thread with an event loop of its own serves all proxies. Whoever calls waits until
what was asked for holds.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from tests.support.streams import Stream, Way, reset

T = TypeVar("T")


class Passage:
    """One connection through a proxy.

    Attributes:
        onward: what the dialler sends.
        back: what it is answered.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.onward = Stream(proxy.onward)
        self.back = Stream(proxy.back)
        self.onward.is_held = proxy.holds_new
        self.onward.opposite, self.back.opposite = self.back, self.onward
        self._dialling: asyncio.Task[None] | None = None
        self._is_cut = False
        self._open = 0

    def hold(self) -> None:
        """Keep what the dialler sends from now on, and show the listener nothing of its end."""
        self._proxy.do(lambda: setattr(self.onward, "is_held", True))

    def release(self) -> None:
        """Hand over all that was held, in order."""

        def release() -> None:
            self.onward.is_held = False
            self.flush()

        self._proxy.do(release)

    def hang_up_dialler(self) -> None:
        """Break the dialler's end only: the listener does not learn of it."""

        def hang_up() -> None:
            self.onward.keeps_end = True
            assert self.onward.source is not None
            reset(self.onward.source)

        self._proxy.do(hang_up)

    # --- on the loop of the network -------------------------------------------------------

    def flush(self) -> None:
        """Let pass what may pass now; the listener is dialled when the first byte may."""
        onward = self.onward
        may_dial = not onward.is_held and not onward.way.is_held and not onward.is_dead
        if onward.sink is None and self._dialling is None and may_dial:
            self._dialling = asyncio.ensure_future(self._dial())
        onward.flush()
        self.back.flush()

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _Listener(self), "127.0.0.1", self._proxy.target)
        except OSError:
            self.cut()

    def opened(self, transport: asyncio.Transport) -> bool:
        """One end is connected: return whether it may stay so, it is reset if not."""
        self._open += 1
        if self._is_cut:
            reset(transport)
        return not self._is_cut

    def cut(self) -> None:
        """Reset both ends, now or as soon as they are connected."""
        self._is_cut = True
        for end in (self.onward.source, self.back.source):
            if end is not None:
                reset(end)
        self._proxy.passages_open.discard(self)

    def left(self) -> None:
        """One end is gone: forget the connection once both are."""
        self._open -= 1
        if self._open == 0 and self.back.source is not None:
            self._proxy.passages_open.discard(self)


class _End(asyncio.Protocol):
    """One end of a passage: what it sends goes into `stream`, what it is sent comes of `other`."""

    def __init__(self, passage: Passage, stream: Stream, other: Stream) -> None:
        self._passage = passage
        self._stream = stream
        self._other = other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._stream.source = transport
        self._other.sink = transport
        if self._passage.opened(transport):
            self._passage.flush()

    def data_received(self, data: bytes) -> None:
        self._stream.take(data)

    def eof_received(self) -> bool:
        self._stream.end(is_reset=False)
        return True  # the other direction stays open

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream.end(is_reset=exc is not None)
        self._passage.left()

    def pause_writing(self) -> None:
        self._other.sink_is_full(True)

    def resume_writing(self) -> None:
        self._other.sink_is_full(False)


class _Dialler(_End):
    def __init__(self, proxy: Proxy) -> None:
        passage = Passage(proxy)
        self._proxy = proxy
        super().__init__(passage, passage.onward, passage.back)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._proxy.connections += 1
        if self._proxy.refuses_new:
            self._passage.cut()
        else:
            self._passage.onward.is_dead = self._proxy.onward.is_lost  # its first packet was
            self._proxy.passages.append(self._passage)
            self._proxy.passages_open.add(self._passage)
        super().connection_made(transport)


class _Listener(_End):
    def __init__(self, passage: Passage) -> None:
        super().__init__(passage, passage.back, passage.onward)


class Proxy:
    """Listens on a port of its own and passes every connection on to `target`.

    Attributes:
        url: under which the node is reached through it.
        onward, back: what happens in each direction; see `change`.
        refuses_new: new connections are reset.
        holds_new: new connections keep what their dialler sends until `Passage.release`.
        passages: every connection so far, in order.
        connections: how many dials there were, refused ones included.
    """

    def __init__(self, network: Network, target: int) -> None:
        self._network = network
        self.target = target
        self.onward = Way()
        self.back = Way()
        self.refuses_new = False
        self.holds_new = False
        self.connections = 0
        self.passages: list[Passage] = []
        self.passages_open: set[Passage] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Dialler(self), "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def do(self, act: Callable[[], T]) -> T:
        """Return what `act` returns on the loop of the network."""
        return self._network.do(act)

    def change(self, change: Callable[[Proxy], object]) -> None:
        """Let `change` set what happens from now on, all at once."""

        def act() -> None:
            change(self)
            self._flush()

        self.do(act)

    def pass_all(self) -> None:
        """End every fault. A connection that lost bytes stays dead until an end gives it up."""

        def act() -> None:
            self.refuses_new = False
            for way in (self.onward, self.back):
                way.pass_all()
            self._flush()

        self.do(act)

    def hold(self, *, onward: bool = True, back: bool = True) -> None:
        """Let nothing pass, as packets that are lost and sent again: a partition."""

        def act() -> None:
            self.onward.is_held, self.back.is_held = onward, back
            self._flush()

        self.do(act)

    def lose(self, *, onward: bool = True, back: bool = True, new: bool = True) -> None:
        """Let bytes vanish while connections stay, which are dead for ever: a black hole.

        Args:
            new: new connections are taken and hear nothing; else they pass.
        """

        def act() -> None:
            for passage in self.passages_open:
                passage.onward.is_dead |= onward
                passage.back.is_dead |= back
            self.onward.is_lost, self.back.is_lost = onward and new, back and new

        self.do(act)

    def cut(self) -> None:
        """Reset every connection; new ones are taken unless `refuse` was said."""
        self.do(self._cut)

    def refuse(self) -> None:
        """Reset every connection, and new ones, until `pass_all`."""

        def act() -> None:
            self.refuses_new = True
            self._cut()

        self.do(act)

    def _cut(self) -> None:
        for passage in list(self.passages_open):
            passage.cut()

    def _flush(self) -> None:
        for passage in list(self.passages_open):
            passage.flush()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.refuses_new = True  # what was accepted this moment
        self._cut()


class Network:
    """The thread that all its proxies live on."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network")
        self.proxies: list[Proxy] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        for proxy in self.proxies:
            await proxy.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)

    def proxy(self, target: int) -> Proxy:
        """Return a new proxy to the port `target` of this host."""
        proxy = Proxy(self, target)
        asyncio.run_coroutine_threadsafe(proxy.serve(), self._loop).result()
        self.proxies.append(proxy)
        return proxy

    def do(self, act: Callable[[], T]) -> T:
        """Return what `act` returns on the loop of this network."""

        async def run() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()
