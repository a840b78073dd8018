"""The machine that figures were taken on.

DISK.
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Measured, measured, table


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures depend on beside the program."""

    system: str
    processor: str
    processors: int
    python: str
    filesystem: str
    """Of the data directories."""
    sync_ms: Measured
    """One fdatasync after a write of 4 KiB, where the data directories are."""


def look_at_machine(directory: Path) -> Machine:
    return Machine(
        system=platform.platform(),
        processor=processor(),
        processors=os.cpu_count() or 0,
        python=platform.python_version(),
        filesystem=filesystem_of(directory),
        sync_ms=measured(time_syncs(directory / "sync")),
    )


def processor() -> str:
    """Return the processor's name as Linux tells it; elsewhere what Python knows."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def filesystem_of(directory: Path) -> str:
    """Return the type of the file system that `directory` is on, "" where nothing tells it."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return ""
    of = {Path(words[1]): words[2] for words in map(str.split, mounts.read_text().splitlines())}
    for parent in (directory.resolve(), *directory.resolve().parents):
        if parent in of:
            return of[parent]
    return ""


def time_syncs(path: Path, count: int = 200) -> list[float]:
    """Return the milliseconds of each of `count` syncs after a write."""
    sync = getattr(os, "fdatasync", os.fsync)
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(bytes(4096))
            started = time.perf_counter()
            sync(file.fileno())
            taken.append(1000 * (time.perf_counter() - started))
    path.unlink()
    return taken


def describe(machine: Machine) -> str:
    rows = [
        ["system", machine.system],
        ["processor", f"{machine.processors} × {machine.processor}"],
        ["Python", machine.python],
        ["file system", machine.filesystem],
        ["fdatasync, ms", machine.sync_ms.text(2)],
    ]
    return table("Machine", ["", ""], rows)
