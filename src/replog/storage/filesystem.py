"""The only door to the disk: what the log asks of a filesystem, and the real one.

DISK. Nothing else in this package opens, writes or syncs a file. The simulator implements
the same two protocols in memory, with faults, and is checked against `PosixFilesystem`.
Every failure leaves as `OSError` with its errno and path: what ENOSPC, EDQUOT or EIO mean
depends on what was being done, so the log translates them, not this module.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from typing import Protocol

from replog.core.errors import DirectoryLockedError

FILE_MODE = 0o644
DIRECTORY_MODE = 0o755


class File(Protocol):
    """An open file, addressed by offset: there is no shared file position.

    Reads may run in any thread at the same time as one writer. After `close` every call
    but `close` raises `OSError` (EBADF).
    """

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on; short only at the end of the file."""

    def write_at(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`, unsynced.

        Raises:
            OSError: any prefix of `data` may stand in the file; the caller cuts it back.
        """

    def truncate(self, size: int) -> None:
        """Cut or extend (with zero bytes) to `size` bytes, unsynced."""

    def sync(self) -> None:
        """Return once the content and the size are on stable storage.

        Raises:
            OSError: what was written is unknown, and a second call would report success
                while the data is gone: never retry, end the node.
        """

    def size(self) -> int:
        """Return the size in bytes."""

    def close(self) -> None:
        """Give the descriptor back, and with it any lock. A second call does nothing."""


class Filesystem(Protocol):
    """Names and directories. A name is durable only after `sync_directory` of its parent."""

    def open(self, path: str, *, writable: bool, create: bool = False) -> File:
        """Open a file. `create` makes a new one and refuses one that exists."""

    def exists(self, path: str) -> bool:
        """Say whether `path` names a file or directory; an unreadable parent raises."""

    def size(self, path: str) -> int:
        """Return the size of a file in bytes, without opening it."""

    def list(self, directory: str) -> list[str]:
        """Return the names in `directory`, sorted."""

    def make_directory(self, path: str) -> None:
        """Make `path` and its missing parents, each synced into the directory above it.

        A directory that exists is synced into its parent too: who made it may have
        crashed before that.
        """

    def rename(self, source: str, target: str) -> None:
        """Give `source` the name `target`, replacing what had it, in one atomic step."""

    def remove(self, path: str) -> None:
        """Remove a file."""

    def sync_directory(self, path: str) -> None:
        """Return once the names in `path` are on stable storage; never retry a failure."""

    def lock(self, path: str) -> File:
        """Take the lock file `path` for this process, held until the file is closed.

        The kernel gives it back when the process ends, however it ends.

        Raises:
            DirectoryLockedError: another process (or another open in this one) holds it.
        """


class PosixFile:
    """A descriptor with pread and pwrite."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path

    def read_at(self, offset: int, size: int) -> bytes:
        data = os.pread(self._descriptor, size, offset)
        if len(data) == size or not data:
            return data
        parts = [data]
        missing = size - len(data)
        while missing > 0:  # Linux returns at most 2 GiB - 4 KiB, signals may shorten it
            data = os.pread(self._descriptor, missing, offset + size - missing)
            if not data:
                break
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def write_at(self, offset: int, data: bytes) -> None:
        written = os.pwrite(self._descriptor, data, offset)
        if written == len(data):
            return
        rest = memoryview(data)
        while written < len(data):
            # A partial write is the last room on a full disk: going on makes the kernel
            # say why (ENOSPC, EDQUOT, EFBIG).
            count = os.pwrite(self._descriptor, rest[written:], offset + written)
            if count == 0:
                raise OSError(errno.EIO, "the kernel wrote nothing and gave no reason", self._path)
            written += count

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        sync_descriptor(self._descriptor)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class PosixFilesystem:
    """The real disk, on Linux and macOS."""

    def open(self, path: str, *, writable: bool, create: bool = False) -> PosixFile:
        flags = os.O_CLOEXEC | (os.O_RDWR if writable else os.O_RDONLY)
        if create:
            flags |= os.O_CREAT | os.O_EXCL
        return PosixFile(os.open(path, flags, FILE_MODE), path)

    def exists(self, path: str) -> bool:
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def size(self, path: str) -> int:
        return os.stat(path).st_size

    def list(self, directory: str) -> list[str]:
        return sorted(os.listdir(directory))

    def make_directory(self, path: str) -> None:
        path = os.path.abspath(path)
        missing = [path]
        while not self.exists(os.path.dirname(missing[-1])):
            missing.append(os.path.dirname(missing[-1]))
        for directory in reversed(missing):
            try:
                os.mkdir(directory, DIRECTORY_MODE)
            except FileExistsError:
                if not os.path.isdir(directory):
                    raise
            self.sync_directory(os.path.dirname(directory))

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def sync_directory(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # fsync, not fdatasync: the names are all that a directory has.
            sync_descriptor(descriptor, with_metadata=True)
        finally:
            os.close(descriptor)

    def lock(self, path: str) -> PosixFile:
        # No O_EXCL and never removed: removing a lock file lets two processes lock two
        # files of one name.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            directory = os.path.dirname(path) or "."
            raise DirectoryLockedError(
                f"another process has the data directory {directory} open (it holds the lock "
                f"{path}); stop it first, or give this node a directory of its own"
            ) from error
        except OSError:
            os.close(descriptor)
            raise
        return PosixFile(descriptor, path)


if sys.platform == "darwin":  # pragma: no cover - macOS alone

    def sync_descriptor(descriptor: int, *, with_metadata: bool = False) -> None:
        """Make a descriptor durable: F_FULLFSYNC, for fsync stops at the drive's cache.

        Filesystems that do not know it (network shares) get what they have, as in SQLite.
        """
        del with_metadata
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.ENOTTY, errno.EINVAL):
                raise
            os.fsync(descriptor)

else:

    def sync_descriptor(descriptor: int, *, with_metadata: bool = False) -> None:
        """Make a descriptor durable: fdatasync covers the content and the size."""
        if with_metadata:
            os.fsync(descriptor)
        else:
            os.fdatasync(descriptor)
