"""The most memory that a process held at any time.

DISK. Linux tells it; elsewhere what it holds now stands in.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster import Node

FORGET_HIGHEST = "5"
"""What proc(5) takes in `clear_refs` to begin the high-water mark anew."""


def forget_highest(pid: int) -> None:
    path = Path(f"/proc/{pid}/clear_refs")
    if path.exists():
        path.write_text(FORGET_HIGHEST)


def highest_mb(node: Node) -> float:
    status = Path(f"/proc/{node.pid}/status")
    if not status.exists():
        return node.memory_bytes() / 1e6
    (kib,) = [
        line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")
    ]
    return int(kib) * 1024 / 1e6
