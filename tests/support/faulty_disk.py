"""The real disk, but for what a test lets fail.

DISK.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from replog.storage.filesystem import File, PosixFilesystem


class FaultyFile:
    """A file whose next sync or write fails when the test says so."""

    def __init__(self, file: File, faults: FaultyFilesystem) -> None:
        self._file = file
        self._faults = faults

    def read_at(self, offset: int, size: int) -> bytes:
        return self._file.read_at(offset, size)

    def write_at(self, offset: int, data: bytes) -> None:
        if self._faults.is_full:
            self._file.write_at(offset, data[: len(data) // 2])
            error = self._faults.write_error
            raise OSError(error, os.strerror(error))
        self._file.write_at(offset, data)

    def truncate(self, size: int) -> None:
        self._file.truncate(size)

    def sync(self) -> None:
        if self._faults.fails_syncs:
            self._faults.failed_syncs += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._file.sync()

    def size(self) -> int:
        return self._file.size()

    def close(self) -> None:
        self._file.close()


class FaultyFilesystem(PosixFilesystem):
    """The real disk; segment files fail when the test says so.

    Attributes:
        refuses: parts of paths of files that cannot be made.
        refusal: why: there is no space, if nothing else is said.
        opens_none: no segment can be opened for reading: the process has too many files open.
    """

    def __init__(self) -> None:
        self.is_full = False
        self.write_error = errno.ENOSPC
        self.fails_syncs = False
        self.failed_syncs = 0
        self.refuses: Sequence[str] = ()
        self.refusal = errno.ENOSPC
        self.refused = 0
        self.opens_none = False

    def open(  # type: ignore[override]
        self, path: str, *, writable: bool, create: bool = False
    ) -> File:
        if create and any(part in path for part in self.refuses):
            self.refused += 1
            raise OSError(self.refusal, os.strerror(self.refusal), path)
        if self.opens_none and not writable and path.endswith(".ndjson"):
            self.refused += 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
        file = super().open(path, writable=writable, create=create)
        return FaultyFile(file, self) if path.endswith(".ndjson") else file
