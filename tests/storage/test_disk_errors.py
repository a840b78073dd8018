"""What a disk refuses or does not give becomes what the node can tell, and nothing worse.

DISK.
"""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from replog.core.errors import DiskFullError, StorageError, SyncFailedError
from replog.storage.filesystem import PosixFile, PosixFilesystem
from replog.storage.salvage import _BLOCK_BYTES, _READ_BYTES, read_what_can_be_read
from replog.storage.syncing import is_full, make_names, refused_by_disk, sync_file, sync_names

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")
FORBIDDEN = OSError(errno.EACCES, "Permission denied")


class Disk(PosixFilesystem):
    """Refuses everything with one error."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def sync_directory(self, directory: str) -> None:
        raise self.error

    def make_directory(self, path: str) -> None:
        raise self.error


class Unreadable(PosixFile):
    """A file of which the disk does not give any read that touches `bad` bytes."""

    bad = range(0)
    error = error_of_block = BROKEN

    def read_at(self, offset: int, size: int) -> bytes:
        if offset < self.bad.stop and self.bad.start < offset + size:
            raise self.error if size > _BLOCK_BYTES else self.error_of_block
        return super().read_at(offset, size)

    def sync(self) -> None:
        raise self.error


@pytest.fixture
def file(tmp_path: Path) -> Unreadable:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (_READ_BYTES + 10))
    opened = PosixFilesystem().open(str(path), writable=False)
    return Unreadable(opened._descriptor, str(path))


def test_a_full_disk_is_told_from_one_that_refuses() -> None:
    full, forbidden = refused_by_disk(NO_SPACE, "write"), refused_by_disk(FORBIDDEN, "write")
    assert isinstance(full, DiskFullError)
    assert not isinstance(forbidden, DiskFullError)
    assert [is_full(one) for one in (NO_SPACE, full, FORBIDDEN, forbidden)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert isinstance(forbidden, StorageError)


def test_a_sync_that_failed_ends_the_node_whatever_was_to_be_synced(file: Unreadable) -> None:
    with pytest.raises(SyncFailedError, match="fdatasync"):
        sync_file(file)
    with pytest.raises(SyncFailedError, match="fsync of /data"):
        sync_names(Disk(NO_SPACE), "/data")
    with pytest.raises(SyncFailedError, match="fsync above /data"):
        make_names(Disk(BROKEN), "/data")
    with pytest.raises(OSError, match="No space"):
        make_names(Disk(NO_SPACE), "/data")


def test_blocks_that_the_disk_does_not_give_are_zeros(file: Unreadable) -> None:
    file.bad = range(_BLOCK_BYTES + 5, _BLOCK_BYTES + 6)
    size = _READ_BYTES + 10
    data = read_what_can_be_read(file, 0, size)
    assert data.count(b"\0") == _BLOCK_BYTES
    assert data[_BLOCK_BYTES : 2 * _BLOCK_BYTES] == bytes(_BLOCK_BYTES)
    assert len(data) == size
    assert len(read_what_can_be_read(file, 0, size + 100)) == size, "the file ends there"


@pytest.mark.parametrize("error", [BROKEN, FORBIDDEN])
def test_another_error_than_of_the_disk_is_not_taken_for_rot(
    file: Unreadable, error: OSError
) -> None:
    file.bad, file.error, file.error_of_block = range(1), error, FORBIDDEN
    with pytest.raises(PermissionError):
        read_what_can_be_read(file, 0, 100_000)
