"""Making files and names durable, or saying that nothing is known any more.

DISK. Each of these is called once: a second fdatasync after a failed one reports success
while the data is gone, so no failure is ever retried (Failing, section 3 of the design).
"""

from __future__ import annotations

from replog.core.errors import SyncFailedError
from replog.storage.filesystem import File, Filesystem


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


def sync_failure(what: str, error: OSError) -> str:
    return (
        f"{what} failed ({error}): what is on the disk is unknown. This node must end; "
        "start it again, and it makes durable what is there"
    )
