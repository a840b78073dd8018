"""A slow disk: syncs that take as long as `tests.support.slow_disk` says, each time anew.

SHELL. The file `plan` in the directory `SLOW_DISK` tells the seconds and which part of the
syncs takes them; while there is a file `hold`, every sync waits. `log` gets a line at the
beginning and at the end of a sync that is slowed down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

LOOKS_EVERY_S = 0.005

_directory = Path(os.environ["SLOW_DISK"])
_random = Random(_directory.name)


def slowed(sync: Callable[[int], None]) -> Callable[[int], None]:
    """Return `sync` as a slow disk does it."""

    def sync_slowly(descriptor: int) -> None:
        seconds = _seconds()
        held = (_directory / "hold").exists()
        if seconds or held:
            _note("begins")
            end = time.monotonic() + seconds
            while time.monotonic() < end or (_directory / "hold").exists():
                time.sleep(LOOKS_EVERY_S)
            sync(descriptor)
            _note("ends")
        else:
            sync(descriptor)

    return sync_slowly


def _seconds() -> float:
    try:
        seconds, part = map(float, (_directory / "plan").read_text().split())
    except FileNotFoundError:
        return 0.0
    return seconds if _random.random() < part else 0.0


def _note(what: str) -> None:
    with (_directory / "log").open("a") as file:
        file.write(f"{what}\n")


os.fsync = slowed(os.fsync)  # type: ignore[assignment]
os.fdatasync = slowed(os.fdatasync)  # type: ignore[assignment]
