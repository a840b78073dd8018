"""A bug: the node syncs a second time where a sync failed, though it believes the first.

SHELL.
"""

from __future__ import annotations

import os
from contextlib import suppress

_fdatasync = os.fdatasync


def sync_again(descriptor: int) -> None:
    """Sync; where that fails, once more."""
    try:
        _fdatasync(descriptor)
    except OSError:
        with suppress(OSError):
            _fdatasync(descriptor)
        raise


os.fdatasync = sync_again  # type: ignore[assignment]
