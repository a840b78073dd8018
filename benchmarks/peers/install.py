"""Which programs of other systems are here, and how the missing ones come from Debian's packages.

SHELL. A package's own service is not started: an own `policy-rc.d` forbids it while this installs,
where the machine has none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PACKAGES = {
    "etcd": "etcd-server",
    "nats-server": "nats-server",
    "redis-server": "redis-server",
    "nginx": "nginx-light",
}
"""Package by the program that it brings."""

POLICY = Path("/usr/sbin/policy-rc.d")


def find(program: str) -> str | None:
    """Return the path of a program, also of one that only root has on its PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path)


def path_of(program: str) -> str:
    """Return the path of a program that is here."""
    path = find(program)
    assert path is not None, program
    return path


def said_version(program: str, flag: str = "--version") -> str:
    """Return what a program answers when it is asked for its version."""
    command = [path_of(program), flag]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).strip()


def command_line(programs: Sequence[str]) -> str:
    """Return the line that installs what brings `programs`, for people."""
    packages = " ".join(PACKAGES[program] for program in programs)
    return f"apt-get install --no-install-recommends {packages}"


def install_missing(programs: Sequence[str]) -> list[str]:
    """Install what is missing of `programs`, as root on Debian; return what is missing then."""
    missing = [program for program in programs if find(program) is None]
    if not missing or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return missing
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
    with _services_not_started():
        for command in (
            ["apt-get", "update", "-qq"],
            [*install, *(PACKAGES[program] for program in missing)],
        ):
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    return [program for program in missing if find(program) is None]


@contextmanager
def _services_not_started() -> Iterator[None]:
    if POLICY.exists():  # the machine's own, which says what is to be started there
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()
