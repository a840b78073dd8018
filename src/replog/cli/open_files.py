"""How many connections the system lets one node have.

SHELL.
"""

from __future__ import annotations

import resource
from contextlib import suppress


def allow_open_files(count: int) -> None:
    """Raise this process's limit of open files to `count`, or as far as the system lets it.

    Shells begin with 1,024 (256 on macOS), which is less than a node's own limit of followers:
    clients beyond it would wait for an answer for ever. A higher limit stays as it is.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft in (resource.RLIM_INFINITY, wanted) or soft > wanted:
        return
    with suppress(ValueError, OSError):  # macOS has a limit of its own below its "infinity"
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
