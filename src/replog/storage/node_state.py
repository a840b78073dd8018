"""node.json: who this node is, and the highest epoch that it has promised to (R8).

DISK. Written rarely and replaced whole: after a crash at any moment it holds what it held
before or what it was to hold. `check` is SHA-256 over the other members, as compact JSON
in their order: an epoch that rotted to a lower one would let two masters reign.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import msgspec

from replog.core.entry import Epoch, LogId, NodeId
from replog.core.errors import FormatError, StorageError
from replog.storage.filesystem import Filesystem
from replog.storage.lines import FORMAT
from replog.storage.syncing import replace_file

_BYTES_MAX = 1024 * 1024

Role = Literal["master", "secondary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What a data directory knows about its node, besides the log.

    Attributes:
        log_id: the log it holds; None until it has one.
        node_id: made with the directory, so a wiped disk is a new node.
        role: what it last ran as; None before its first start.
        epoch: the highest it has stored; it refuses lower ones (R8).
        epoch_owner: the node_id of that epoch's master; None while `epoch` is 0.
        members: URLs of all nodes, the master's first: what a restore asks for (R9).
        is_loss_unsettled: damage was found when a master opened this log, and not every
            secondary has been heard since: what was lost may be there (R8).
    """

    format: int = FORMAT
    log_id: LogId | None = None
    node_id: NodeId
    role: Role | None = None
    epoch: Epoch = Epoch(0)
    epoch_owner: NodeId | None = None
    members: tuple[str, ...] = ()
    is_loss_unsettled: bool = False


class _Document(msgspec.Struct, frozen=True):
    format: int
    log_id: str | None
    node_id: str
    role: Role | None
    epoch: int
    epoch_owner: str | None
    members: tuple[str, ...]
    is_loss_unsettled: bool
    check: str


def load_node_state(filesystem: Filesystem, path: str) -> NodeState | None:
    """Return what `path` says; None where there is no such file.

    Raises:
        FormatError: it was written in a format that this version does not know.
        StorageError: it is damaged; the text names it and says what to do.
    """
    if not filesystem.exists(path):
        return None
    file = filesystem.open(path, writable=False)
    try:
        data = file.read_at(0, _BYTES_MAX)
    finally:
        file.close()
    _refuse_other_format(data, path)
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    state = NodeState(
        format=document.format,
        log_id=None if document.log_id is None else LogId(document.log_id),
        node_id=NodeId(document.node_id),
        role=document.role,
        epoch=Epoch(document.epoch),
        epoch_owner=None if document.epoch_owner is None else NodeId(document.epoch_owner),
        members=document.members,
        is_loss_unsettled=document.is_loss_unsettled,
    )
    # The whole file is compared, not the check alone: spaces and names are covered too.
    if data != _encode(state):
        raise _damaged(path, "its check does not agree with its content")
    return state


def store_node_state(filesystem: Filesystem, path: str, state: NodeState) -> None:
    """Replace `path` by what `state` says; durable on return.

    Raises:
        OSError: there was no space, or no permission: it holds the old content.
        SyncFailedError: which content it holds is not known; the node must end.
    """
    replace_file(filesystem, path, _encode(state))


def _encode(state: NodeState) -> bytes:
    members: dict[str, object] = {
        "format": state.format,
        "log_id": state.log_id,
        "node_id": state.node_id,
        "role": state.role,
        "epoch": state.epoch,
        "epoch_owner": state.epoch_owner,
        "members": state.members,
        "is_loss_unsettled": state.is_loss_unsettled,
    }
    members["check"] = sha256(msgspec.json.encode(members)).hexdigest()
    return msgspec.json.format(msgspec.json.encode(members), indent=2) + b"\n"


def _refuse_other_format(data: bytes, path: str) -> None:
    """Look at "format" alone first: another format may have other members."""
    try:
        members = json.loads(data)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise _damaged(path, f"it is no JSON ({error})") from error
    version = members.get("format") if isinstance(members, dict) else None
    if isinstance(version, int) and version != FORMAT:
        raise FormatError(
            f"{path} says format {version}, this version knows format {FORMAT}; use a newer "
            "version for this data directory"
        )


def _damaged(path: str, reason: str) -> StorageError:
    return StorageError(
        f"{path} is damaged: {reason}. Without it this directory's node is not known; move the "
        "directory away and start with an empty one, the node then gets its log from the others"
    )
