"""One file of a disk that has no other, for decoders that read files.

PURE.
"""

from __future__ import annotations

from typing import cast

from replog.storage.filesystem import File, Filesystem


class _Bytes:
    """What a decoder may ask of an open file."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_at(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    def close(self) -> None:
        """There is nothing to close."""


class _Disk:
    """What a decoder may ask of a filesystem: that one file, whatever its path."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def exists(self, path: str) -> bool:
        return bool(path)

    def open(self, path: str, *, writable: bool) -> _Bytes:
        del path, writable
        return _Bytes(self._data)


def file_of(data: bytes) -> File:
    return cast(File, _Bytes(data))


def disk_of(data: bytes) -> Filesystem:
    return cast(Filesystem, _Disk(data))
