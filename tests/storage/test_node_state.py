"""node.json holds what was stored, whole, or says that it does not."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replog.core.entry import Epoch, LogId, NodeId
from replog.core.errors import FormatError, StorageError
from replog.storage import node_state as module
from replog.storage.filesystem import PosixFilesystem
from replog.storage.node_state import NodeState, load_node_state, store_node_state

DISK = PosixFilesystem()
STATE = NodeState(
    log_id=LogId("0190-log"),
    node_id=NodeId("0190-node"),
    role="master",
    epoch=Epoch(7),
    epoch_owner=NodeId("0190-node"),
    members=("http://127.0.0.1:8000", "http://127.0.0.1:8001"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.json"


def test_a_directory_without_the_file_has_no_state(path: Path) -> None:
    assert load_node_state(DISK, str(path)) is None


@pytest.mark.parametrize("state", [STATE, NodeState(node_id=NodeId("a"))])
def test_what_was_stored_last_is_loaded(path: Path, state: NodeState) -> None:
    store_node_state(DISK, str(path), NodeState(node_id=NodeId("before"), epoch=Epoch(3)))
    store_node_state(DISK, str(path), state)
    assert load_node_state(DISK, str(path)) == state


def test_people_can_read_it(path: Path) -> None:
    store_node_state(DISK, str(path), STATE)
    assert path.read_text().startswith(
        '{\n  "format": 1,\n  "log_id": "0190-log",\n  "node_id": "0190-node",\n'
        '  "role": "master",\n  "epoch": 7,\n  "epoch_owner": "0190-node",\n'
    )


def test_another_format_is_refused_with_what_to_do(path: Path) -> None:
    path.write_text('{"format": 2, "something": "else"}')
    with pytest.raises(FormatError, match=r"node\.json says format 2.*newer version"):
        load_node_state(DISK, str(path))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"1",
        b"{}",
        b'{"format": 1}',
        b'{"format": "1"}',
        b'{"format": 1, "node_id": 7}',
        b"\0" * 100,
        b"[" * 100_000,
        b'{"format":1,"x":' + b"[" * 900 + b"]" * 900 + b"}",
    ],
)
def test_a_damaged_file_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"node\.json is damaged"):
        load_node_state(DISK, str(path))


def test_no_flipped_bit_passes(path: Path) -> None:
    store_node_state(DISK, str(path), STATE)
    data = path.read_bytes()
    for offset in range(len(data)):
        for bit in range(8):
            rotten = bytearray(data)
            rotten[offset] ^= 1 << bit
            path.write_bytes(rotten)
            with pytest.raises(StorageError, match=r"node\.json"):
                load_node_state(DISK, str(path))


def test_no_shorter_file_passes(path: Path) -> None:
    store_node_state(DISK, str(path), STATE)
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(StorageError, match=r"node\.json is damaged"):
            load_node_state(DISK, str(path))


def test_a_changed_epoch_is_noticed(path: Path) -> None:
    """R8: with a lower epoch this node would take orders from a master of the past."""
    store_node_state(DISK, str(path), STATE)
    path.write_text(path.read_text().replace('"epoch": 7', '"epoch": 6'))
    with pytest.raises(StorageError, match="check"):
        load_node_state(DISK, str(path))


def test_a_store_that_fails_leaves_what_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_node_state(DISK, str(path), STATE)

    def full(self: object, offset: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("replog.storage.filesystem.PosixFile.write_at", full)
        with pytest.raises(OSError, match="No space"):
            store_node_state(DISK, str(path), NodeState(node_id=NodeId("other")))
    assert load_node_state(DISK, str(path)) == STATE
    store_node_state(DISK, str(path), NodeState(node_id=NodeId("other")))
    assert load_node_state(DISK, str(path)) == NodeState(node_id=NodeId("other"))


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
STATES = st.builds(
    NodeState,
    log_id=st.none() | NAMES.map(LogId),
    node_id=NAMES.map(NodeId),
    role=st.sampled_from(["master", "secondary", None]),
    epoch=st.integers(0, 2**53).map(Epoch),
    epoch_owner=st.none() | NAMES.map(NodeId),
    members=st.lists(NAMES, max_size=4).map(tuple),
)


@given(STATES)
@settings(deadline=None)
def test_any_state_is_json_that_leads_back_to_it(
    tmp_path_factory: pytest.TempPathFactory, state: NodeState
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-node.json"
    path.write_bytes(module._encode(state))
    assert load_node_state(DISK, str(path)) == state
    assert json.loads(path.read_text())["node_id"] == state.node_id
