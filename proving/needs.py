"""What a harness needs of the machine, and how one learns that it is missing.

SHELL.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.support import containers
from tests.support.clocks import library


@dataclass(frozen=True, slots=True)
class Need:
    """`lacks` returns why it cannot be had here, or None."""

    name: str
    lacks: Callable[[], str | None]


def _lacks_root() -> str | None:
    is_root = sys.platform == "linux" and os.geteuid() == 0
    return None if is_root else "needs root on Linux"


def _lacks_loop_mounts() -> str | None:
    lacks = _lacks_root()
    if lacks is None and shutil.which("mkfs.ext4") is None:
        lacks = "needs mkfs.ext4 (apt-get install e2fsprogs)"
    return lacks


def _lacks_proc() -> str | None:
    return None if sys.platform == "linux" else "needs /proc, which Linux has"


def program(name: str, package: str) -> Need:
    """Return the need of a program that Debian has in `package`."""
    reason = f"needs {name} (apt-get install {package})"
    return Need(name, lambda: None if shutil.which(name) else reason)


def _lacks_namespaces() -> str | None:
    lacks = _lacks_root()
    if lacks is None and not (shutil.which("ip") and shutil.which("bridge")):
        lacks = "needs ip and bridge (apt-get install iproute2)"
    if lacks is not None:
        return lacks
    # A container's root may lack the right to make one.
    done = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return None if done.returncode == 0 else "needs the right to make network namespaces"


def _lacks_faketime() -> str | None:
    return None if library() else "needs libfaketime (apt-get install faketime)"


ROOT = Need("root", _lacks_root)
LOOP_MOUNTS = Need("loop mounts", _lacks_loop_mounts)
PROC = Need("/proc", _lacks_proc)
NAMESPACES = Need("network namespaces", _lacks_namespaces)
DOCKER = Need("Docker", containers.why_not)
STRACE = program("strace", "strace")
FAKETIME = Need("libfaketime", _lacks_faketime)


def lacking(needs: tuple[Need, ...]) -> str | None:
    """Return why the first need that is not met is not, or None."""
    return next((reason for need in needs if (reason := need.lacks()) is not None), None)
