"""An open file of the simulated disk.

PURE.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from replog.core.errors import DirectoryLockedError
from tests.simulator.images import Inode

if TYPE_CHECKING:
    from tests.simulator.disk import SimFilesystem


def os_error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


class SimFile:
    """An open file of a `SimFilesystem`; unusable once its process ended."""

    def __init__(self, filesystem: SimFilesystem, inode: Inode, path: str, writable: bool) -> None:
        self._filesystem = filesystem
        self._process = filesystem.process
        self._inode = inode
        self._path = path
        self._writable = writable
        self._is_open = True
        self._holds_lock = False

    def read_at(self, offset: int, size: int) -> bytes:
        self._check()
        return bytes(self._inode.cached[offset : offset + size])

    def write_at(self, offset: int, data: bytes) -> None:
        self._check(writing=True)
        self._filesystem.write(self._inode, self._path, offset, bytes(data))

    def truncate(self, size: int) -> None:
        self._check(writing=True)
        self._filesystem.truncate(self._inode, size)

    def sync(self) -> None:
        self._check()
        self._filesystem.sync(self._inode, self._path)

    def size(self) -> int:
        self._check()
        return len(self._inode.cached)

    def close(self) -> None:
        if self._is_open and self._holds_lock and self._process == self._filesystem.process:
            self._inode.is_locked = False
        self._is_open = False

    def take_lock(self) -> None:
        if self._inode.is_locked:
            raise DirectoryLockedError(f"{self._path} is locked by another process.")
        self._inode.is_locked = True
        self._holds_lock = True

    def _check(self, *, writing: bool = False) -> None:
        if not self._is_open:
            raise os_error(errno.EBADF, self._path)
        assert self._process == self._filesystem.process, f"{self._path}: of a dead process"
        assert self._writable or not writing, f"{self._path} is open for reading only"
