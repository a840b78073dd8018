"""A disk that runs full: a small tmpfs, which the kernel answers for with ENOSPC.

DISK. Needs root on Linux. Space goes by pages, so that a write may find room for its beginning.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def taking_all() -> Iterator[None]:
    """Take it as well where there is no space left."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


class SmallDisk:
    """One that is mounted, and is filled up by files beside those of the node."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ballast = directory / "ballast"
        self._names = directory / "names"

    @property
    def free_bytes(self) -> int:
        state = os.statvfs(self._directory)
        return state.f_bavail * state.f_frsize

    @property
    def size_bytes(self) -> int:
        state = os.statvfs(self._directory)
        return state.f_blocks * state.f_frsize

    def fill(self, *, leave: int) -> None:
        """Take all space but `leave` bytes; a node that writes meanwhile may take those."""
        with taking_all(), self._ballast.open("ab", buffering=0) as file:
            file.write(bytes(max(0, self.free_bytes - leave)))

    def fill_names(self, *, leave: int) -> None:
        """Let no more than `leave` new files be made; those that are there may grow."""
        self._names.mkdir(exist_ok=True)
        number = 0
        with taking_all():
            while os.statvfs(self._directory).f_favail > leave:
                (self._names / str(number)).touch()
                number += 1

    def free(self) -> None:
        """Give back what the two took."""
        self._ballast.unlink(missing_ok=True)
        for path in self._names.glob("*"):
            path.unlink()

    def resize(self, size: str) -> None:
        """Let the disk have another size, "16m"."""
        _run("mount", "-o", f"remount,size={size}", self._directory)


@contextmanager
def small_disk(directory: Path, *, size: str, files: int | None = None) -> Iterator[SmallDisk]:
    """Mount an empty disk on `directory`, which is made.

    Args:
        files: how many files and directories it can hold; None is very many.
    """
    directory.mkdir(parents=True)
    options = f"size={size}" + ("" if files is None else f",nr_inodes={files}")
    _run("mount", "-t", "tmpfs", "-o", options, "replog-test", directory)
    try:
        yield SmallDisk(directory)
    finally:
        _run("umount", "--lazy", directory)


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
