"""A bug: the node makes nothing durable, and believes that it did.

SHELL.
"""

from __future__ import annotations

import os


def leave_it(descriptor: int) -> None:
    """Return at once, as if all were on stable storage."""


os.fsync = os.fdatasync = leave_it  # type: ignore[assignment]
