"""The machine that figures were taken on.

DISK.
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

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
        system=f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
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


@dataclass(frozen=True, slots=True)
class Processors:
    """What the processors have done until now, in seconds of one processor.

    Attributes:
        all_s: all work, of every program and of the kernel; what a hypervisor took away counts.
        own_s: this process and those that it started and waited for.
    """

    all_s: float
    own_s: float
    at: float

    @classmethod
    def now(cls) -> Self:
        own = os.times()
        own_s = own.user + own.system + own.children_user + own.children_system
        return cls(_all_work_s(), own_s, time.perf_counter())

    def others_percent_since(self, before: Self) -> float:
        """Return how much of all processors went to others; 0 where the system does not tell."""
        others_s = (self.all_s - before.all_s) - (self.own_s - before.own_s)
        whole_s = (self.at - before.at) * (os.cpu_count() or 1)
        return max(0.0, 100 * others_s / whole_s)


def _all_work_s() -> float:
    path = Path("/proc/stat")
    if not path.exists():
        return 0.0
    user, nice, system, _idle, _waiting, irq, soft_irq, stolen = map(
        int, path.read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + soft_irq + stolen) / os.sysconf("SC_CLK_TCK")


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
