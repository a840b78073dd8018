"""A data directory while a node has it open: its lock, what it says of the node, its log.

SHELL.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from replog.core.entry import Epoch, LogId, NodeId
from replog.core.errors import ConfigurationError, StorageError
from replog.node.views import Role
from replog.storage.filesystem import File, Filesystem
from replog.storage.log import SEGMENT_BYTES_MAX, Log
from replog.storage.node_state import NodeState, load_node_state, store_node_state
from replog.storage.syncing import refused_by_disk

LOCK_NAME: Final = "lock"
STATE_NAME: Final = "node.json"
SEGMENTS_NAME: Final = "segments"


def _state_path(directory: str) -> str:
    return os.path.join(directory, STATE_NAME)


class DataDirectory:
    """One open data directory. After `open_directory` only `Writer` changes it.

    Attributes:
        state: what node.json says; replaced whole, so that any thread may read it.
    """

    def __init__(
        self, filesystem: Filesystem, path: str, lock: File, state: NodeState, log: Log
    ) -> None:
        self._filesystem = filesystem
        self._lock = lock
        self.path = path
        self.state = state
        self.log = log

    def store(
        self,
        *,
        log_id: LogId | None = None,
        epoch: Epoch | None = None,
        epoch_owner: NodeId | None = None,
        members: tuple[str, ...] | None = None,
        is_loss_unsettled: bool | None = None,
    ) -> None:
        """Change node.json durably; what is None stays as it is. Raises: as `store_state`."""
        state = self.state
        changed = replace(
            state,
            log_id=state.log_id if log_id is None else log_id,
            epoch=state.epoch if epoch is None else epoch,
            epoch_owner=state.epoch_owner if epoch_owner is None else epoch_owner,
            members=state.members if members is None else members,
            is_loss_unsettled=(
                state.is_loss_unsettled if is_loss_unsettled is None else is_loss_unsettled
            ),
        )
        if changed != state:
            store_state(self._filesystem, self.path, changed)
            self.state = changed

    def close(self) -> None:
        """Note how far the log is durable and give the directory back."""
        try:
            self.log.close()
        finally:
            self._lock.close()

    def release(self) -> None:
        """Give the directory back as it is, after the disk failed: nothing is written."""
        self._lock.close()


def open_directory(
    filesystem: Filesystem,
    path: str,
    *,
    role: Role,
    take_over: bool,
    accept_loss: bool = False,
    new_id: Callable[[], NodeId] | None = None,
    segment_bytes_max: int = SEGMENT_BYTES_MAX,
) -> DataDirectory:
    """Open the data directory at `path`, or make it, for a node of this role.

    The lock first, then the role, then the log: a directory that another process has, or
    that this role must not take, is left as it is. With `accept_loss` a master's damage, and
    what is behind it, goes to the quarantine: the operator gives up what nobody can mend.
    `new_id` makes the node_id of a new directory.

    Raises:
        DirectoryLockedError: another process has it open.
        ConfigurationError: a secondary's directory is to be a master's without take-over.
        StorageError: it cannot be used; the text says why.
    """
    lock = lock_directory(filesystem, path)
    try:
        state = _state_for(
            filesystem, path, role=role, take_over=take_over, new_id=new_id or new_node_id
        )
        # What a master's directory holds after its durable mark may have been answered to
        # clients: it is cut by a master's rules until it has followed another master.
        was_master = state.role == Role.MASTER.value
        log = Log.open(
            filesystem,
            path,
            is_master=was_master or role is Role.MASTER,
            log_id=state.log_id,
            segment_bytes_max=segment_bytes_max,
        )
        if accept_loss and role is Role.MASTER and log.damage:
            log.cuts = (*log.cuts, log.cut(log.head))
        # R8: before any of it is mended, since the log is whole then after a restart, while a
        # secondary that was not heard may still hold more of what was lost.
        # Lost marks are no damage by themselves: nobody knows then where the log should end.
        is_found = bool(log.damage) or bool(log.notices)
        is_unsettled = (is_found or state.is_loss_unsettled) and not accept_loss
        opened = replace(
            state,
            role=role.value,
            is_loss_unsettled=is_unsettled if role is Role.MASTER else state.is_loss_unsettled,
        )
        if opened != state:
            state = opened
            store_state(filesystem, path, state)
    except OSError as error:
        lock.close()
        raise refused_by_disk(error, f"the data directory {path} cannot be opened") from error
    except BaseException:
        lock.close()
        raise
    return DataDirectory(filesystem, path, lock, state, log)


def load_state(filesystem: Filesystem, path: str) -> NodeState | None:
    """Return what node.json in the directory `path` says; None where there is none yet.

    Raises:
        StorageError: it is damaged, or cannot be read, or there are segments of a log that it
            does not name.
    """
    segments = os.path.join(path, SEGMENTS_NAME)
    try:
        state = load_node_state(filesystem, _state_path(path))
        holds_segments = filesystem.exists(segments) and bool(filesystem.list(segments))
    except OSError as error:
        raise refused_by_disk(error, f"{path} cannot be read") from error
    if holds_segments and (state is None or state.log_id is None):
        raise StorageError(
            f"{path} holds segments, but {STATE_NAME} names no log: it was lost, or a restore "
            "did not finish; move the directory away and begin with an empty one"
        )
    return state


def store_state(filesystem: Filesystem, path: str, state: NodeState) -> None:
    """Replace node.json in the directory `path`, durably.

    Raises:
        DiskFullError, StorageError: it holds what it held.
        SyncFailedError: which content it holds is not known; the node must end.
    """
    try:
        store_node_state(filesystem, _state_path(path), state)
    except OSError as error:
        raise refused_by_disk(error, f"{_state_path(path)} cannot be written") from error


def lock_directory(filesystem: Filesystem, path: str) -> File:
    """Make the directory `path` where it is missing, and take its lock.

    Raises:
        DirectoryLockedError: another process has it open.
        StorageError: it cannot be used; the text says why.
    """
    try:
        filesystem.make_directory(path)
        return filesystem.lock(os.path.join(path, LOCK_NAME))
    except OSError as error:
        raise StorageError(
            f"the data directory {path} cannot be used: {error.strerror}; make it writable for "
            "this user, or name another one"
        ) from error


def _state_for(
    filesystem: Filesystem,
    path: str,
    *,
    role: Role,
    take_over: bool,
    new_id: Callable[[], NodeId],
) -> NodeState:
    """Return what node.json says, or what a new one says; the new one is durable."""
    state = load_state(filesystem, path)
    if state is None:
        state = NodeState(node_id=new_id())
        store_state(filesystem, path, state)
    if role is Role.MASTER and state.role == Role.SECONDARY.value and not take_over:
        raise ConfigurationError(
            f"{path} is the data directory of a secondary; to make this node the master in "
            "place of the old one, stop that one and start this one with --take-over (R9)"
        )
    return state


def new_node_id() -> NodeId:
    """Return an id that no other data directory has: a wiped disk is a new node."""
    return NodeId(secrets.token_hex(8))
