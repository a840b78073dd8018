"""The simulated disk: equal to the real one without faults, and as treacherous with them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from replog.core.errors import DirectoryLockedError
from replog.storage.filesystem import Filesystem, PosixFilesystem
from tests.simulator.disk import NodeDied, SimFilesystem
from tests.simulator.images import Inode


@pytest.fixture(params=["real", "simulated"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Filesystem, str]]:
    if request.param == "real":
        yield PosixFilesystem(), str(tmp_path)
        return
    simulated = SimFilesystem(Random(1))
    simulated.make_directory("/disk")
    yield simulated, "/disk"


def test_a_file_reads_back_what_was_written_at_each_offset(disk: tuple[Filesystem, str]) -> None:
    filesystem, root = disk
    file = filesystem.open(f"{root}/a", writable=True, create=True)
    file.write_at(0, b"hello world")
    file.write_at(6, b"there")
    assert file.read_at(0, 100) == b"hello there"
    assert file.read_at(6, 3) == b"the"
    assert file.read_at(11, 5) == b""
    assert file.size() == 11
    file.sync()
    file.close()
    again = filesystem.open(f"{root}/a", writable=False)
    assert again.read_at(0, 11) == b"hello there"
    again.close()
    again.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        again.read_at(0, 1)


def test_a_write_beyond_the_end_and_a_longer_truncation_leave_zero_bytes(
    disk: tuple[Filesystem, str],
) -> None:
    filesystem, root = disk
    file = filesystem.open(f"{root}/a", writable=True, create=True)
    file.write_at(3, b"x")
    assert file.read_at(0, 9) == b"\0\0\0x"
    file.truncate(6)
    assert file.read_at(0, 9) == b"\0\0\0x\0\0"
    file.truncate(2)
    assert (file.read_at(0, 9), file.size()) == (b"\0\0", 2)
    file.close()


def test_creating_refuses_a_name_that_is_taken_and_opening_one_that_is_not(
    disk: tuple[Filesystem, str],
) -> None:
    filesystem, root = disk
    filesystem.open(f"{root}/a", writable=True, create=True).close()
    with pytest.raises(FileExistsError) as taken:
        filesystem.open(f"{root}/a", writable=True, create=True)
    assert taken.value.errno == errno.EEXIST
    with pytest.raises(FileNotFoundError):
        filesystem.open(f"{root}/b", writable=False)
    with pytest.raises(FileNotFoundError):
        filesystem.open(f"{root}/no/b", writable=True, create=True)


def test_names_are_listed_renamed_over_others_and_removed(disk: tuple[Filesystem, str]) -> None:
    filesystem, root = disk
    for name in ("b", "a", "c"):
        file = filesystem.open(f"{root}/{name}", writable=True, create=True)
        file.write_at(0, name.encode())
        file.close()
    kept = filesystem.open(f"{root}/c", writable=False)
    filesystem.rename(f"{root}/a", f"{root}/c")
    assert filesystem.list(root) == ["b", "c"]
    assert kept.read_at(0, 9) == b"c", "an open file outlives its name"
    kept.close()
    renamed = filesystem.open(f"{root}/c", writable=False)
    assert renamed.read_at(0, 9) == b"a"
    renamed.close()
    filesystem.remove(f"{root}/b")
    assert not filesystem.exists(f"{root}/b")
    filesystem.sync_directory(root)
    with pytest.raises(FileNotFoundError):
        filesystem.remove(f"{root}/b")
    with pytest.raises(FileNotFoundError):
        filesystem.rename(f"{root}/b", f"{root}/d")
    with pytest.raises(FileNotFoundError):
        filesystem.list(f"{root}/nowhere")


def test_directories_are_made_with_their_parents_once_or_again(
    disk: tuple[Filesystem, str],
) -> None:
    filesystem, root = disk
    filesystem.make_directory(f"{root}/x/y")
    filesystem.make_directory(f"{root}/x/y")
    assert filesystem.list(root) == ["x"]
    assert filesystem.exists(f"{root}/x/y")
    filesystem.open(f"{root}/x/y/f", writable=True, create=True).close()
    filesystem.rename(f"{root}/x/y/f", f"{root}/x/g")
    assert filesystem.list(f"{root}/x") == ["g", "y"]


def test_a_lock_is_held_by_one_until_it_is_closed(disk: tuple[Filesystem, str]) -> None:
    filesystem, root = disk
    held = filesystem.lock(f"{root}/lock")
    with pytest.raises(DirectoryLockedError):
        filesystem.lock(f"{root}/lock")
    held.close()
    filesystem.lock(f"{root}/lock").close()


# --- what only the simulated disk can show --------------------------------------------------


def outcomes(act: Callable[[SimFilesystem], None]) -> set[bytes | None]:
    """Return what the file /d/f may hold after `act` and a power loss, over 300 seeds."""
    found: set[bytes | None] = set()
    for seed in range(300):
        disk = SimFilesystem(Random(seed))
        disk.make_directory("/d")
        act(disk)
        disk.lose_power()
        file = disk.find("/d/f")
        found.add(bytes(file.cached) if isinstance(file, Inode) else None)
    return found


def test_a_power_loss_keeps_loses_or_tears_a_write_that_was_not_synced() -> None:
    def act(disk: SimFilesystem) -> None:
        file = disk.open("/d/f", writable=True, create=True)
        disk.sync_directory("/d")
        file.write_at(0, b"ab")
        file.sync()
        file.write_at(2, b"cd")

    assert outcomes(act) == {b"ab", b"abc", b"abcd"}


def test_a_power_loss_keeps_any_set_of_the_sectors_of_a_long_write() -> None:
    def act(disk: SimFilesystem) -> None:
        file = disk.open("/d/f", writable=True, create=True)
        disk.sync_directory("/d")
        file.write_at(0, b"a" * 512 + b"b" * 512 + b"c")

    found = outcomes(act)
    assert bytes(512) + b"b" * 512 in found
    assert b"a" * 512 + bytes(512) + b"c" in found


def test_a_synced_file_whose_directory_was_not_synced_may_be_gone() -> None:
    def act(disk: SimFilesystem) -> None:
        file = disk.open("/d/f", writable=True, create=True)
        file.write_at(0, b"ab")
        file.sync()

    assert outcomes(act) == {b"ab", None}


def test_a_rename_comes_to_disk_or_not_and_a_synced_one_for_sure() -> None:
    def act(disk: SimFilesystem) -> None:
        for name in ("f", "g"):
            file = disk.open(f"/d/{name}", writable=True, create=True)
            file.write_at(0, name.encode())
            file.sync()
        disk.sync_directory("/d")
        disk.rename("/d/g", "/d/f")

    def act_and_sync(disk: SimFilesystem) -> None:
        act(disk)
        disk.sync_directory("/d")

    assert outcomes(act) == {b"f", b"g"}
    assert outcomes(act_and_sync) == {b"g"}


def test_a_renamed_file_is_never_lost_under_both_names() -> None:
    for seed in range(300):
        disk = SimFilesystem(Random(seed))
        disk.make_directory("/d")
        disk.make_directory("/e")
        disk.open("/d/f", writable=True, create=True)
        disk.sync_directory("/d")
        disk.rename("/d/f", "/e/f")
        if seed % 2:
            disk.sync_directory("/d")
        disk.lose_power()
        assert disk.exists("/d/f") or disk.exists("/e/f")


def test_a_killed_process_leaves_the_page_cache_which_a_power_loss_then_takes() -> None:
    disk = SimFilesystem(Random(3))
    disk.make_directory("/d")
    file = disk.open("/d/f", writable=True, create=True)
    disk.sync_directory("/d")
    file.write_at(0, b"ab")
    disk.end_process()
    with pytest.raises(AssertionError):
        file.read_at(0, 2)
    assert disk.open("/d/f", writable=False).read_at(0, 2) == b"ab"
    assert bytes(disk.durable_files("/d")[0][1].durable) == b""


def test_after_a_failed_sync_the_next_one_succeeds_and_the_data_may_be_gone() -> None:
    def act(disk: SimFilesystem) -> None:
        file = disk.open("/d/f", writable=True, create=True)
        disk.sync_directory("/d")
        file.write_at(0, b"ab")
        disk.syncs_to_fail = 1
        with pytest.raises(OSError, match="Input/output"):
            file.sync()
        file.sync()
        assert file.read_at(0, 2) == b"ab", "the page cache still shows it"

    assert outcomes(act) >= {b"ab", b"a", b""}


def test_a_full_disk_takes_a_part_of_a_write_at_most_and_overwrites_go_on() -> None:
    disk = SimFilesystem(Random(3))
    disk.make_directory("/d")
    file = disk.open("/d/f", writable=True, create=True)
    file.write_at(0, b"abcd")
    disk.is_full = True
    file.write_at(0, b"ABCD")
    with pytest.raises(OSError, match="No space"):
        file.write_at(4, b"efgh")
    assert b"ABCDefgh".startswith(file.read_at(0, 100))
    assert file.size() < 8
    disk.is_full = False
    file.write_at(4, b"efgh")


def test_a_process_dies_inside_the_call_that_it_is_told_to() -> None:
    disk = SimFilesystem(Random(3))
    disk.make_directory("/d")
    file = disk.open("/d/f", writable=True, create=True)
    disk.calls_to_death = 2
    file.write_at(0, b"ab")
    with pytest.raises(NodeDied):
        file.sync()
    disk.end_process()
    assert disk.open("/d/f", writable=False).read_at(0, 2) == b"ab"


def test_a_flipped_bit_is_on_disk_and_in_every_later_read() -> None:
    disk = SimFilesystem(Random(3))
    disk.make_directory("/d")
    file = disk.open("/d/f", writable=True, create=True)
    file.write_at(0, b"ab")
    file.sync()
    disk.flip_bit("/d/f", 1, 0)
    assert file.read_at(0, 2) == b"ac"
