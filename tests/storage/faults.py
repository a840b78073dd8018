"""A filesystem that writes down every call, and fails the ones that a test chooses.

PURE. It wraps another one; a failing write leaves a part of its bytes behind.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from replog.storage.filesystem import File, Filesystem


@dataclass(frozen=True, slots=True)
class Call:
    """One changing call: its name, and the last part of the path."""

    name: str
    file: str

    def __str__(self) -> str:
        return f"{self.name} {self.file}"


Chooser = Callable[[Call], int]
"""Returns the errno with which a call is to fail, 0 to let it be."""


def never(call: Call) -> int:
    del call
    return 0


def nth(name: str, number: int, error: int) -> Chooser:
    """Return what fails the `number`-th call (from 1) of a kind, once."""
    left = number

    def choose(call: Call) -> int:
        nonlocal left
        left -= call.name == name
        return error if call.name == name and left == 0 else 0

    return choose


class FaultyFilesystem:
    """Passes everything on to `inner`, through `choose`.

    Attributes:
        calls: every changing call so far, failed ones included.
        failed: how many failed.
        choose_read: as `choose`, for opening a file and reading from it, which `calls` leaves
            out. It may also do to the disk what happens just before.
    """

    def __init__(self, inner: Filesystem) -> None:
        self.inner = inner
        self.choose: Chooser = never
        self.choose_read: Chooser = never
        self.calls: list[Call] = []
        self.failed = 0

    def said(self) -> list[str]:
        """Return the calls so far as text, and forget them."""
        calls, self.calls = self.calls, []
        return [str(call) for call in calls]

    def ask(self, name: str, path: str) -> None:
        error = self.choose_read(Call(name, os.path.basename(path)))
        if error:
            raise OSError(error, os.strerror(error), path)

    def note(self, name: str, path: str) -> None:
        call = Call(name, os.path.basename(path))
        self.calls.append(call)
        error = self.choose(call)
        if error:
            self.failed += 1
            raise OSError(error, os.strerror(error), path)

    def open(self, path: str, *, writable: bool, create: bool = False) -> FaultyFile:
        if create:
            self.note("create", path)
        self.ask("open", path)
        return FaultyFile(self, self.inner.open(path, writable=writable, create=create), path)

    def exists(self, path: str) -> bool:
        return self.inner.exists(path)

    def size(self, path: str) -> int:
        return self.inner.size(path)

    def list(self, directory: str) -> list[str]:
        return self.inner.list(directory)

    def make_directory(self, path: str) -> None:
        self.note("make_directory", path)
        self.inner.make_directory(path)

    def rename(self, source: str, target: str) -> None:
        self.note("rename", target)
        self.inner.rename(source, target)

    def remove(self, path: str) -> None:
        self.note("remove", path)
        self.inner.remove(path)

    def sync_directory(self, path: str) -> None:
        self.note("sync_directory", path)
        self.inner.sync_directory(path)

    def lock(self, path: str) -> File:
        return self.inner.lock(path)


class FaultyFile:
    """A file of a `FaultyFilesystem`."""

    def __init__(self, filesystem: FaultyFilesystem, inner: File, path: str) -> None:
        self._filesystem = filesystem
        self._inner = inner
        self._path = path

    def read_at(self, offset: int, size: int) -> bytes:
        self._filesystem.ask("read", self._path)
        return self._inner.read_at(offset, size)

    def write_at(self, offset: int, data: bytes) -> None:
        try:
            self._filesystem.note("write", self._path)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EIO):
                self._inner.write_at(offset, data[: len(data) // 2])
            raise
        self._inner.write_at(offset, data)

    def truncate(self, size: int) -> None:
        self._filesystem.note("truncate", self._path)
        self._inner.truncate(size)

    def sync(self) -> None:
        self._filesystem.note("sync", self._path)
        self._inner.sync()

    def size(self) -> int:
        return self._inner.size()

    def close(self) -> None:
        self._inner.close()
