"""One direction of a connection through a proxy, and what may happen to its bytes.

NETWORK. All of it happens on the event loop of `tests.support.network`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque

QUEUED_BYTES_MAX = 4 * 1024 * 1024
"""What one direction of a connection takes while nothing passes, as two kernels would."""
PIECE_BYTES = 1024
"""A slow line passes so much at once."""
_RESET = struct.pack("ii", 1, 0)


class Way:
    """What happens to the bytes of all connections of a proxy in one direction.

    Attributes:
        is_held: nothing passes now, and nothing is lost: as if packets were sent again later.
        is_lost: what comes now vanishes, and with it all that follows on the same connection.
        delay_s: how long each byte travels.
        bytes_per_s: how many pass, where that is limited.
        keeps_ends: that one end closed is not told to the other one.
        corrupt_after: so many bytes pass from now on until one bit is turned over, once.
        corrupt_behind: likewise, in the byte behind these bytes where they come in one piece.
        bit: which one of the byte.
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
        self.corrupt_behind: bytes | None = None
        self.bit = 0

    def corrupt(self, data: bytes) -> bytes:
        if self.corrupt_behind is not None and self.corrupt_behind in data:
            self.corrupt_after = data.index(self.corrupt_behind) + len(self.corrupt_behind)
            self.corrupt_behind = None
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
        self.opposite: Stream | None = None
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
            if not self.sink.is_closing():
                self.sink.write(data)
        if self.source is not None and self._queued_bytes <= QUEUED_BYTES_MAX:
            self.source.resume_reading()
        is_told = not self.keeps_end and not self.way.keeps_ends and not self.way.is_lost
        if self.has_ended and not self._queue and is_told and not self.is_over:
            self.is_over = True
            if self.was_reset:
                reset(self.sink)
            elif not self.sink.is_closing():
                with contextlib.suppress(OSError):  # reset by the other end this moment
                    self.sink.write_eof()
            self._close_if_both_are_over()

    def _close_if_both_are_over(self) -> None:
        """Asyncio keeps a connection open that has ended in both directions."""
        if self.opposite is not None and self.opposite.is_over:
            for end in (self.source, self.sink):
                if end is not None:
                    end.close()


def reset(transport: asyncio.Transport) -> None:
    """End a connection with a reset: what it has not sent is dropped."""
    known = transport.get_extra_info("socket")
    if not transport.is_closing() and known is not None:
        with contextlib.suppress(OSError):
            known.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
