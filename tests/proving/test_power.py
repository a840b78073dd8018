"""A power cut here loses what was not synced, keeps what was, and a drive may lose its cache.

DISK. The mechanism that the harness rests on, without a node.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from proving.needs import LOOP_MOUNTS
from tests.support.needed import need
from tests.support.power import Cut, PowerDisk, power_disks

pytestmark = pytest.mark.processes


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[PowerDisk]:
    need(LOOP_MOUNTS)
    with power_disks(tmp_path, ["one"], in_memory=True) as disks:
        yield disks["one"]


@pytest.mark.parametrize("what", ["host", "drive"])
def test_what_was_synced_stays_and_all_else_is_gone(disk: PowerDisk, what: Cut) -> None:
    kept, lost = disk.directory / "kept", disk.directory / "lost"
    with kept.open("wb", buffering=0) as file:
        file.write(b"kept")
        os.fdatasync(file.fileno())
        file.write(b", and lost")
        lost.write_bytes(b"a file that nobody synced")
        disk.cut(what)
        with pytest.raises(OSError, match="Input/output error"):
            os.fdatasync(file.fileno())
    disk.restore()
    assert kept.read_bytes() == b"kept"
    assert not lost.exists()


@pytest.mark.parametrize(("what", "left"), [("host", b"newer"), ("drive", b"older")])
def test_what_the_drive_was_given_without_a_flush_is_lost_with_its_cache_alone(
    disk: PowerDisk, what: Cut, left: bytes
) -> None:
    path = disk.directory / "overwritten"
    with path.open("wb", buffering=0) as file:
        file.write(b"older")
        os.fdatasync(file.fileno())
        os.pwrite(file.fileno(), b"newer", 0)
        disk.give(path)
        disk.cut(what)
    disk.restore()
    assert path.read_bytes() == left


def test_pages_written_back_at_random_are_not_made_durable_by_it(disk: PowerDisk) -> None:
    (disk.directory / "segments").mkdir()
    path = disk.directory / "segments" / "one"
    with path.open("wb", buffering=0) as file:
        os.fsync(file.fileno())
        file.write(bytes(100_000))
        for seed in range(20):
            disk.write_back(Random(seed))
        disk.cut("host")
    disk.restore()
    assert path.read_bytes() == b""
