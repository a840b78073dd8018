"""What a refusing disk means: a failed sync, a full disk, anything else.

DISK. A sync is called once: a second fdatasync after a failed one reports success while
the data is gone, so no failure is ever retried (Failing, section 3 of the design).
"""

from __future__ import annotations

import errno
import os

from replog.core.errors import DiskFullError, StorageError, SyncFailedError
from replog.storage.filesystem import File, Filesystem

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def refused_by_disk(error: OSError, what: str) -> StorageError:
    """Return what to raise where the disk refused before anything counted on it."""
    if error.errno in NO_SPACE:
        return DiskFullError(f"{what}: {error}; free some space")
    return StorageError(f"{what}: {error}")


def is_full(error: OSError | StorageError) -> bool:
    """Whether a disk refused for want of space only: the same may succeed later."""
    if isinstance(error, OSError):
        return error.errno in NO_SPACE
    return isinstance(error, DiskFullError)


def sync_file(file: File) -> None:
    """Return once the content of `file` is durable.

    Raises:
        SyncFailedError: what is on the disk is unknown; the node must end.
    """
    try:
        file.sync()
    except OSError as error:
        raise SyncFailedError(sync_failure("fdatasync", error)) from error


def sync_names(filesystem: Filesystem, directory: str) -> None:
    """Return once the names in `directory` are durable.

    Raises:
        SyncFailedError: as `sync_file`.
    """
    try:
        filesystem.sync_directory(directory)
    except OSError as error:
        raise SyncFailedError(sync_failure(f"fsync of {directory}", error)) from error


def make_names(filesystem: Filesystem, directory: str) -> None:
    """Make a directory, its name durable.

    Raises:
        OSError: there was no space, or no permission: it is not there.
        SyncFailedError: as `sync_file`.
    """
    try:
        filesystem.make_directory(directory)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise SyncFailedError(sync_failure(f"fsync above {directory}", error)) from error


def replace_file(filesystem: Filesystem, path: str, data: bytes) -> None:
    """Give the file `path` the content `data`, durably, in one atomic step.

    After a crash at any moment the file holds the old or the new content, whole.

    Raises:
        OSError: there was no space, or no permission: it holds the old one.
        SyncFailedError: which of them it holds is not known; the node must end.
    """
    new_path = f"{path}.new"
    _remove_if_there(filesystem, new_path)  # a crash left it; nobody has ever read it
    try:
        file = filesystem.open(new_path, writable=True, create=True)
        try:
            file.write_at(0, data)
            sync_file(file)
        finally:
            file.close()
        filesystem.rename(new_path, path)
    except OSError:
        _remove_if_there(filesystem, new_path)
        raise
    sync_names(filesystem, os.path.dirname(path) or ".")


def _remove_if_there(filesystem: Filesystem, path: str) -> None:
    if filesystem.exists(path):
        filesystem.remove(path)


def sync_failure(what: str, error: OSError) -> str:
    return (
        f"{what} failed ({error}): what is on the disk is unknown. This node must end; "
        "start it again, and it makes durable what is there"
    )
