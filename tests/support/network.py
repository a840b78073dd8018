"""A network between nodes that can hold, lose, delay, corrupt and cut what passes.

NETWORK. One thread with an event loop of its own serves all proxies. Whoever calls waits until
what was asked for holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

QUEUED_BYTES_MAX = 4 * 1024 * 1024
"""What one direction of a connection takes while nothing passes, as two kernels would."""
PIECE_BYTES = 1024
"""A slow line passes so much at once."""
_RESET = struct.pack("ii", 1, 0)

T = TypeVar("T")


class Way:
    """What happens to the bytes of all connections of a proxy in one direction.

    Attributes:
        is_held: nothing passes now, and nothing is lost: as if packets were sent again later.
        is_lost: what comes now vanishes, and with it all that follows on the same connection.
        delay_s: how long each byte travels.
        bytes_per_s: how many pass, where that is limited.
        keeps_ends: that one end closed is not told to the other one.
        corrupt_after: so many bytes pass from now on until one bit is turned over, once.
        corrupted: how many bits were.
    """

    def __init__(self) -> None:
        self.corrupted = 0
        self.pass_all()

    def pass_all(self) -> None:
        self.is_held = False
        self.is_lost = False
        self.delay_s = 0.0
        self.bytes_per_s: float | None = None
        self.keeps_ends = False
        self.corrupt_after: int | None = None
        self.bit = 0

    def corrupt(self, data: bytes) -> bytes:
        if self.corrupt_after is None:
            return data
        if self.corrupt_after >= len(data):
            self.corrupt_after -= len(data)
            return data
        changed = bytearray(data)
        changed[self.corrupt_after] ^= 1 << self.bit
        self.corrupt_after = None
        self.corrupted += 1
        return bytes(changed)


class Stream:
    """One direction of one connection: takes from one end, gives to the other, in order."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.is_held = False
        self.keeps_end = False
        self.is_dead = False
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.has_ended = False
        self.was_reset = False
        self.is_over = False
        self._is_sink_full = False
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued_bytes = 0
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def held(self) -> int:
        """How many bytes came and have not gone on yet."""
        return self._queued_bytes

    def take(self, data: bytes) -> None:
        way = self.way
        if self.is_dead or way.is_lost:
            self.is_dead = True
            return
        data = way.corrupt(data)
        now = asyncio.get_running_loop().time()
        size = len(data) if way.bytes_per_s is None else PIECE_BYTES
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            due = max(now + way.delay_s, self._free_at)
            self._free_at = due + (len(piece) / way.bytes_per_s if way.bytes_per_s else 0.0)
            self._queue.append((due, piece))
        self._queued_bytes += len(data)
        if self._queued_bytes > QUEUED_BYTES_MAX and self.source is not None:
            self.source.pause_reading()
        self.flush()

    def end(self, *, is_reset: bool) -> None:
        if not self.has_ended:
            self.has_ended = True
            self.was_reset = is_reset
            self.flush()

    def sink_is_full(self, is_full: bool) -> None:
        self._is_sink_full = is_full
        self.flush()

    def flush(self) -> None:
        """Give on what may pass now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.sink is None or self.is_held or self.way.is_held or self.is_dead:
            return
        loop = asyncio.get_running_loop()
        while self._queue and not self._is_sink_full:
            due, data = self._queue[0]
            if due > loop.time():
                self._timer = loop.call_at(due, self.flush)
                return
            self._queue.popleft()
            self._queued_bytes -= len(data)
            self.sink.write(data)
        if self.source is not None and self._queued_bytes <= QUEUED_BYTES_MAX:
            self.source.resume_reading()
        is_told = not self.keeps_end and not self.way.keeps_ends and not self.way.is_lost
        if self.has_ended and not self._queue and is_told and not self.is_over:
            self.is_over = True
            if self.was_reset:
                reset(self.sink)
            elif self.sink.can_write_eof() and not self.sink.is_closing():
                self.sink.write_eof()


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
        self._dialling: asyncio.Task[None] | None = None

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

    def cut(self) -> None:
        """Reset both ends."""
        for end in (self.onward.source, self.back.source):
            if end is not None:
                reset(end)
        self._proxy.passages_open.discard(self)

    def left(self) -> None:
        """One end is gone: forget the connection once nothing is left to be told."""
        if self.onward.has_ended and self.back.has_ended:
            self._proxy.passages_open.discard(self)


def reset(transport: asyncio.Transport) -> None:
    """End a connection with a reset: what it has not sent is dropped."""
    known = transport.get_extra_info("socket")
    if not transport.is_closing() and known is not None:
        with contextlib.suppress(OSError):
            known.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


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
            reset(transport)
            return
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
