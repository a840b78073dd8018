"""What a refusing disk means: a failed sync, a full disk, anything else.

DISK. A sync is called once: a second fdatasync after a failed one reports success while
the data is gone, so no failure is ever retried (Failing, section 3 of the design).
"""

from __future__ import annotations

import errno

from replog.core.errors import DiskFullError, StorageError, SyncFailedError
from replog.storage.filesystem import File, Filesystem

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def refused_by_disk(error: OSError, what: str) -> StorageError:
    """Return what to raise where the disk refused before anything counted on it."""
    if error.errno in NO_SPACE:
        return DiskFullError(f"{what}: {error}; free some space")
    return StorageError(f"{what}: {error}")


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


def sync_failure(what: str, error: OSError) -> str:
    return (
        f"{what} failed ({error}): what is on the disk is unknown. This node must end; "
        "start it again, and it makes durable what is there"
    )
