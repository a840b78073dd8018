"""How much waits for a client that takes nothing, and for how long.

NETWORK. Some megabytes fit between a node and a client that stopped reading: work and memory
for nobody, and until they are full, nothing waits in this process that a sweep could see
(docs/decisions/0089). Where the system cannot do it (macOS), sweeps see it later.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from math import ceil

KERNEL_BYTES_MAX = 64 * 1024
"""How much of its answers the kernel holds for a client that has no room for more of them."""

BUFFER_BYTES_MAX = 16 * 1024
"""… and this process beside it, before whoever makes them has to wait."""


def bound_unread(transport: asyncio.Transport, *, after_s: float) -> None:
    """Bound what waits for a client, and end its connection after `after_s` with none taken."""
    transport.set_write_buffer_limits(high=BUFFER_BYTES_MAX)
    _set(transport, "TCP_USER_TIMEOUT", ceil(1000 * after_s))
    _set(transport, "TCP_NOTSENT_LOWAT", KERNEL_BYTES_MAX)


def keep_unread(transport: asyncio.Transport) -> None:
    """Let what waits for a client wait without end, and be as much as elsewhere."""
    transport.set_write_buffer_limits()
    _set(transport, "TCP_USER_TIMEOUT", 0)


def _set(transport: asyncio.Transport, option: str, value: int) -> None:
    if sys.platform != "linux":
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
