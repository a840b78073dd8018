"""What the disk allows: writing ready bytes one after the other, with fdatasync after each.

DISK.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

sync = getattr(os, "fdatasync", os.fsync)


def writes_per_second(path: Path, data: bytes, *, seconds: float) -> float:
    """Append `data` to a file again and again for `seconds`; each is synced before the next."""
    count = 0
    with path.open("wb", buffering=0) as file:
        start = time.perf_counter()
        while (now := time.perf_counter()) < start + seconds:
            file.write(data)
            sync(file.fileno())
            count += 1
    path.unlink()
    return count / (now - start)
