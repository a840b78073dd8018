"""How many connections the system lets one node have.

SHELL.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl


def allow_open_files(count: int) -> None:
    """Raise this process's limit of open files to `count`, or as far as the system lets it.

    Shells begin with 1,024 (256 on macOS), which is less than a node's own limit of followers:
    clients beyond it would wait for an answer for ever. A higher limit stays as it is.

    To be called while the process has one thread: the kernel's table of its files becomes that
    long now. Where threads share the table, each time that it doubles holds up who opens a file,
    the event loop say, for 10 to 20 ms (the kernel waits for all of its processors).
    """
    _raise_limit(count)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    longest = count if soft == resource.RLIM_INFINITY else min(count, soft)
    file = os.open(os.devnull, os.O_RDONLY)
    with suppress(OSError):
        os.close(fcntl(file, F_DUPFD_CLOEXEC, longest - 1))
    os.close(file)


def _raise_limit(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft in (resource.RLIM_INFINITY, wanted) or soft > wanted:
        return
    with suppress(ValueError, OSError):  # macOS has a limit of its own below its "infinity"
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
