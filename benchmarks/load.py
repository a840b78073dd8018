"""Load: many clients that append, and one that reads everything.

NETWORK.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass, field

from tests.support.connection import Connection


@dataclass(slots=True)
class Round:
    """What one round of appends came to."""

    elapsed_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    failures: int = 0
    """Answers other than 200, and connections that broke."""

    @property
    def per_second(self) -> float:
        return len(self.latencies_s) / self.elapsed_s

    def percentile_ms(self, percent: float) -> float:
        ranked = sorted(self.latencies_s)
        return 1000 * ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]


async def append_for(
    host: str, port: int, *, clients: int, seconds: float, request: bytes
) -> Round:
    """Let `clients` connections repeat `request` for `seconds`; each finishes its last one."""
    loop = asyncio.get_running_loop()
    result = Round()
    latencies = result.latencies_s
    end = time.perf_counter() + seconds

    def next_request() -> tuple[bytes, str] | None:
        return (request, "") if time.perf_counter() < end else None

    def answered(_label: str, status: int, _body: bytes, latency_s: float) -> None:
        if status == 200:
            latencies.append(latency_s)
        else:
            result.failures += 1

    start = time.perf_counter()
    opened = await asyncio.gather(
        *(
            loop.create_connection(lambda: Connection(next_request, answered), host, port)
            for _ in range(clients)
        )
    )
    finished = await asyncio.gather(*(connection.ended for _, connection in opened))
    result.elapsed_s = time.perf_counter() - start
    result.failures += finished.count(False)
    return result


@dataclass(frozen=True, slots=True)
class Read:
    """One `GET /logs`, read to its end and thrown away."""

    elapsed_s: float
    size: int

    @property
    def megabytes_per_second(self) -> float:
        return self.size / 1e6 / self.elapsed_s


def read_all(host: str, port: int) -> Read:
    """Read the whole log over one connection."""
    buffer = bytearray(1 << 20)
    start = time.perf_counter()
    with socket.create_connection((host, port), timeout=60) as connection:
        request = "GET /logs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        connection.sendall(request.encode())
        size, first, last = 0, b"", b""
        while received := connection.recv_into(buffer):
            first = first or bytes(buffer[: min(received, 12)])
            last = (last + bytes(buffer[max(0, received - 16) : received]))[-16:]
            size += received
    elapsed_s = time.perf_counter() - start
    if first != b"HTTP/1.1 200" or not last.endswith((b"]", b"]\r\n0\r\n\r\n")):
        raise SystemExit(f"GET /logs on port {port} broke off after {size} bytes: {first!r}")
    return Read(elapsed_s, size)
