"""What a process uses over time, read from Linux's /proc, and whether that grows.

SHELL.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

import msgspec

from proving.harness import Violation
from replog.storage.open_files import OPEN_FILES_MAX
from tests.support.cluster import resident_bytes

MIB = 1024 * 1024


class Usage(msgspec.Struct, frozen=True):
    """What one process used at one moment.

    Attributes:
        descriptors: but for those of segments.
        segment_files: a node keeps some open for the next small reads: more as the log grows, up
            to `OPEN_FILES_MAX`.
    """

    resident_bytes: int
    descriptors: int
    threads: int
    segment_files: int = 0

    @classmethod
    def of(cls, pid: int) -> Self:
        """Raises: OSError, ValueError: it has ended."""
        process = Path("/proc", str(pid))
        opened = _opened(process / "fd")
        segment_files = sum("/segments/" in target for target in opened)
        return cls(
            resident_bytes=resident_bytes((process / "status").read_text()),
            descriptors=len(opened) - segment_files,
            threads=len(os.listdir(process / "task")),
            segment_files=segment_files,
        )


def _opened(descriptors: Path) -> list[str]:
    """Return what each descriptor is of; one that was closed meanwhile is left out."""
    found = []
    for name in os.listdir(descriptors):
        with suppress(FileNotFoundError):
            found.append(os.readlink(descriptors / name))
    return found


GROWTH = Usage(resident_bytes=8 * MIB, descriptors=4, threads=1, segment_files=OPEN_FILES_MAX)
"""How much more may be used in the last third of a time than in the first, by the median: noise
of the allocator. A leak of 100 bytes an append is more after 100,000 appends."""


class Watch:
    """Samples what some processes use, on a thread of its own, from `begin` until it is left."""

    def __init__(self, pids: Sequence[int], *, every_s: float = 0.5) -> None:
        self.samples: dict[int, list[Usage]] = {pid: [] for pid in pids}
        self._every_s = every_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def begin(self) -> None:
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            due += self._every_s
            for pid, samples in self.samples.items():
                with suppress(OSError, ValueError):
                    samples.append(Usage.of(pid))


def thirds(samples: Sequence[Usage]) -> tuple[Usage, Usage]:
    """Return the medians of the first and of the last third."""
    third = len(samples) // 3
    assert third, f"{len(samples)} samples are too few"
    return _median(samples[:third]), _median(samples[-third:])


def assert_flat(who: str, samples: Sequence[Usage]) -> None:
    """Raise Violation where the last third is above the first by more than `GROWTH`."""
    first, last = thirds(samples)
    for name in Usage.__struct_fields__:
        before, after = getattr(first, name), getattr(last, name)
        if after - before > getattr(GROWTH, name):
            raise Violation(f"P10: {who} used {before:,} {name} at first, and {after:,} at last")


def _median(samples: Sequence[Usage]) -> Usage:
    return Usage(
        *(
            round(median(getattr(sample, name) for sample in samples))
            for name in Usage.__struct_fields__
        )
    )
