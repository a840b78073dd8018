"""The way out where a data directory holds a log and does not say any more whose it is.

DISK. It differs with the role and needs the other nodes' URLs, so it is said here, where both
are known, and not where node.json is read.
"""

from __future__ import annotations

import os
import shlex

from replog.config import Settings
from replog.core.errors import DirectoryLockedError, FormatError, StorageError
from replog.node.directory import SEGMENTS_NAME, STATE_NAME
from replog.storage.filesystem import PosixFilesystem
from replog.storage.node_state import load_node_state


def with_way_out(error: StorageError, settings: Settings) -> StorageError:
    """Return what to say in place of `error`; `error` itself where it is about something else."""
    directory = settings.data_dir
    if isinstance(error, DirectoryLockedError) or not _holds_segments(directory):
        return error
    fault = _fault_of_identity(directory)
    if not fault:
        return error
    return StorageError(
        f"{directory} holds segments of a log, but its {STATE_NAME} {fault}. {_way_out(settings)}"
    )


def _fault_of_identity(directory: str) -> str:
    """Return what is wrong with node.json; "" where it names a log, or its format is newer."""
    try:
        state = load_node_state(PosixFilesystem(), os.path.join(directory, STATE_NAME))
    except FormatError:
        return ""
    except StorageError:
        return "is damaged"
    except OSError:
        return ""
    is_named = state is not None and state.log_id is not None
    return "" if is_named else "names no log: it was lost, or a restore did not finish"


def _holds_segments(directory: str) -> bool:
    try:
        return bool(os.listdir(os.path.join(directory, SEGMENTS_NAME)))
    except OSError:
        return False


def _way_out(settings: Settings) -> str:
    """A secondary refills by itself; a master begins no new log over one that others hold (R9)."""
    if settings.role == "secondary":
        return (
            "Move the directory away and start this node again: it fills an empty one from its "
            "master"
        )
    if settings.secondaries:
        words = ["replog", "restore", "--from", settings.secondaries[0], settings.data_dir]
        return (
            "Move the directory away, bring the log back from the secondaries with: "
            f"{shlex.join(words)}  and start this node again"
        )
    return (
        "This master has no secondary that could hold the log too: put the whole directory back "
        "from a backup"
    )
