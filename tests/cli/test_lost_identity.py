"""A data directory with a log and without its node.json: the way out that is said is right.

DISK.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from replog.cli.lost_identity import with_way_out
from replog.config.load import load_settings
from replog.core.entry import LogId, NodeId
from replog.core.errors import StorageError
from replog.storage.filesystem import PosixFilesystem
from replog.storage.node_state import NodeState, store_node_state
from replog.testing import free_ports
from tests.support.cluster import clean_environment
from tests.support.waiting import DEADLINE_S

REFILLS = "Move the directory away and start this node again: it fills an empty one from its master"
BACKUP = (
    "This master has no secondary that could hold the log too: put the whole directory back "
    "from a backup"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "segments").mkdir(parents=True)
    (tmp_path / "data" / "segments" / "00000001.ndjson").write_text("{}\n")
    return tmp_path / "data"


def last_line(data: Path, *arguments: str) -> str:
    """Return what a node says that cannot start on `data`."""
    port = str(free_ports(1)[0])
    done = subprocess.run(
        [sys.executable, "-m", "replog", "serve", "--port", port, "--data-dir", data, *arguments],
        capture_output=True, text=True, timeout=DEADLINE_S, env=clean_environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def set_state(data: Path, *, log_id: LogId | None) -> None:
    state = NodeState(node_id=NodeId("n"), log_id=log_id)
    store_node_state(PosixFilesystem(), str(data / "node.json"), state)


def test_a_secondary_is_told_that_it_refills(data: Path) -> None:
    assert last_line(data, "--role", "secondary") == (
        f"replog: {data} holds segments of a log, but its node.json names no log: it was lost, or "
        f"a restore did not finish. {REFILLS}"
    )


def test_a_master_is_told_how_to_bring_the_log_back_never_to_begin_anew(data: Path) -> None:
    line = last_line(data, "--role", "master", "--secondary", "http://b:1")
    assert line.endswith(
        "Move the directory away, bring the log back from the secondaries with: "
        f"replog restore --from http://b:1 {data}  and start this node again"
    )


def test_a_master_that_was_alone_is_told_that_only_a_backup_helps(data: Path) -> None:
    assert last_line(data, "--role", "master").endswith(f". {BACKUP}")


def test_a_damaged_identity_is_told_apart_from_a_lost_one(data: Path) -> None:
    (data / "node.json").write_text("{")
    line = last_line(data, "--role", "master")
    assert line.endswith(f"but its node.json is damaged. {BACKUP}")


def test_a_restore_that_did_not_finish_has_the_same_way_out(data: Path) -> None:
    set_state(data, log_id=None)
    assert "or a restore did not finish" in last_line(data, "--role", "secondary")


def test_an_empty_directory_with_a_damaged_identity_holds_nothing_to_bring_back(data: Path) -> None:
    (data / "node.json").write_text("{")
    (data / "segments" / "00000001.ndjson").unlink()
    line = last_line(data, "--role", "master")
    assert "node.json is damaged" in line
    assert "holds segments" not in line


def test_a_newer_format_keeps_its_own_words(data: Path) -> None:
    (data / "node.json").write_text('{"format": 99}')
    assert "says format 99" in last_line(data, "--role", "master")


def test_where_the_directory_says_whose_it_is_another_fault_keeps_its_words(data: Path) -> None:
    set_state(data, log_id=LogId("0123456789abcdef"))
    flags = {"role": "master", "data_dir": str(data)}
    fault = StorageError("the disk is on fire")
    assert with_way_out(fault, load_settings(flags=flags, environment={})) is fault


def test_a_directory_in_use_is_that_whatever_it_holds(data: Path) -> None:
    lock = PosixFilesystem().lock(str(data / "lock"))
    try:
        assert "another process has" in last_line(data, "--role", "master")
    finally:
        lock.close()
