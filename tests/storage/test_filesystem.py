"""The real filesystem does what its protocols promise."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from replog.core.errors import DirectoryLockedError
from replog.storage import filesystem as module
from replog.storage.filesystem import Filesystem, PosixFilesystem
from replog.storage.syncing import replace_file

DISK: Filesystem = PosixFilesystem()


def test_what_is_written_at_an_offset_is_read_back_there(tmp_path: Path) -> None:
    file = DISK.open(str(tmp_path / "f"), writable=True, create=True)
    file.write_at(3, b"defg")
    file.write_at(0, b"abc")
    file.sync()
    assert file.read_at(2, 3) == b"cde"
    assert file.size() == 7
    file.close()


@pytest.mark.parametrize(
    ("offset", "size", "expected"),
    [(0, 10, b"abcd"), (4, 1, b""), (9, 5, b""), (3, 2, b"d"), (0, 0, b"")],
)
def test_a_read_is_short_only_at_the_end_of_the_file(
    tmp_path: Path, offset: int, size: int, expected: bytes
) -> None:
    (tmp_path / "f").write_bytes(b"abcd")
    file = DISK.open(str(tmp_path / "f"), writable=False)
    assert file.read_at(offset, size) == expected
    file.close()


def test_reads_that_the_kernel_shortens_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(bytes(range(100)))
    file = DISK.open(str(tmp_path / "f"), writable=False)
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, offset: pread(fd, min(size, 7), offset))
    assert file.read_at(10, 50) == bytes(range(10, 60))
    assert file.read_at(90, 50) == bytes(range(90, 100))
    file.close()


def test_partial_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = DISK.open(str(tmp_path / "f"), writable=True, create=True)
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:7], offset))
    file.write_at(5, bytes(range(100)))
    file.close()
    assert (tmp_path / "f").read_bytes() == bytes(5) + bytes(range(100))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_write_that_fails_half_way_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    file = DISK.open(str(tmp_path / "f"), writable=True, create=True)
    pwrite = os.pwrite

    def full_after_four_bytes(fd: int, data: bytes, offset: int) -> int:
        if offset >= 4:
            raise OSError(code, os.strerror(code))
        return pwrite(fd, data[: 4 - offset], offset)

    monkeypatch.setattr(os, "pwrite", full_after_four_bytes)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        file.write_at(0, b"abcdefgh")
    assert caught.value.errno == code
    assert file.size() == 4
    file.close()


def test_a_write_of_nothing_at_all_does_not_loop_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = DISK.open(str(tmp_path / "f"), writable=True, create=True)
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: 0)
    with pytest.raises(OSError, match="wrote nothing"):
        file.write_at(0, b"abc")
    file.close()


def test_truncate_cuts_and_extends(tmp_path: Path) -> None:
    file = DISK.open(str(tmp_path / "f"), writable=True, create=True)
    file.write_at(0, b"abcdef")
    file.truncate(2)
    assert file.size() == 2
    file.truncate(4)
    assert file.read_at(0, 10) == b"ab\0\0"
    file.close()


def test_create_refuses_a_file_that_exists(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        DISK.open(str(tmp_path / "f"), writable=True, create=True)
    assert (tmp_path / "f").read_bytes() == b"old"


def test_open_refuses_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DISK.open(str(tmp_path / "f"), writable=True)


def test_a_file_opened_for_reading_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    file = DISK.open(str(tmp_path / "f"), writable=False)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        file.write_at(0, b"new")
    file.close()


def test_a_closed_file_refuses_and_closes_again_without_a_word(tmp_path: Path) -> None:
    file = DISK.open(str(tmp_path / "f"), writable=True, create=True)
    file.close()
    other = os.open(tmp_path / "f", os.O_RDONLY)  # takes the number that was given back
    file.close()
    os.fstat(other)  # still open: the second close closed nobody else's descriptor
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        file.read_at(0, 1)
    os.close(other)


def test_descriptors_are_not_inherited_by_children(tmp_path: Path) -> None:
    file = DISK.open(str(tmp_path / "f"), writable=True, create=True)
    lock = DISK.lock(str(tmp_path / "lock"))
    script = "import os; print(sorted(os.path.realpath(f'/dev/fd/{n}') for n in range(3, 50)))"
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, close_fds=False
    )
    assert str(tmp_path) not in told.stdout
    file.close()
    lock.close()


def test_sync_reaches_the_disk_once_and_its_failure_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def failing(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, failing, raising=False)
    monkeypatch.setattr("fcntl.fcntl", lambda descriptor, command: failing(descriptor))
    file = DISK.open(str(tmp_path / "f"), writable=True, create=True)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        file.sync()
    assert len(calls) == 1
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        DISK.sync_directory(str(tmp_path))
    assert len(calls) == 2
    file.close()


def test_names_are_listed_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).write_bytes(b"")
    assert DISK.list(str(tmp_path)) == ["a", "b", "c"]


def test_exists_is_false_below_a_file_and_true_for_a_directory(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    assert DISK.exists(str(tmp_path))
    assert DISK.exists(str(tmp_path / "f"))
    assert not DISK.exists(str(tmp_path / "g"))
    assert not DISK.exists(str(tmp_path / "f" / "g"))


def test_directories_are_made_with_their_parents_and_each_is_synced_into_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    disk = PosixFilesystem()
    monkeypatch.setattr(PosixFilesystem, "sync_directory", lambda self, path: synced.append(path))
    disk.make_directory(str(tmp_path / "a" / "b" / "c"))
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert synced == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")]
    synced.clear()
    disk.make_directory(str(tmp_path / "a"))
    assert synced == [str(tmp_path)]


def test_a_directory_is_not_made_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(FileExistsError):
        DISK.make_directory(str(tmp_path / "f"))
    with pytest.raises(NotADirectoryError):
        DISK.make_directory(str(tmp_path / "f" / "g"))


def test_rename_replaces_and_remove_removes(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    DISK.rename(str(tmp_path / "new"), str(tmp_path / "old"))
    DISK.sync_directory(str(tmp_path))
    assert DISK.list(str(tmp_path)) == ["old"]
    assert (tmp_path / "old").read_bytes() == b"new"
    DISK.remove(str(tmp_path / "old"))
    assert DISK.list(str(tmp_path)) == []


def test_a_second_lock_is_refused_by_name_until_the_first_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    held = DISK.lock(path)
    with pytest.raises(DirectoryLockedError) as caught:
        DISK.lock(path)
    assert str(tmp_path) in str(caught.value)
    held.close()
    DISK.lock(path).close()


def test_a_lock_that_the_filesystem_does_not_know_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over some network shares: it says so, and not that another process had it."""
    asked: list[int] = []

    def flock(descriptor: int, operation: int) -> None:
        del operation
        asked.append(descriptor)
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="No locks available"):
        DISK.lock(str(tmp_path / "lock"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(asked[0])


def test_another_process_cannot_take_the_lock_and_its_death_gives_it_back(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    script = (
        "import fcntl, os, sys\n"
        f"fd = os.open({path!r}, os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(fd, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(DirectoryLockedError):
            DISK.lock(path)
        process.kill()
        process.wait()
        DISK.lock(path).close()


def test_replacing_a_file_leaves_the_new_content_alone(tmp_path: Path) -> None:
    path = tmp_path / "f"
    replace_file(DISK, str(path), b"one")
    replace_file(DISK, str(path), b"two")
    assert path.read_bytes() == b"two"
    assert DISK.list(str(tmp_path)) == ["f"]


def test_replacing_goes_on_where_a_crash_left_its_new_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    (tmp_path / "f.new").write_bytes(b"half of something that was longer than the new one")
    replace_file(DISK, str(path), b"new")
    assert path.read_bytes() == b"new"
    assert DISK.list(str(tmp_path)) == ["f"]


def test_a_file_is_synced_before_it_is_renamed_and_the_directory_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other order leaves an empty file under the old name after a loss of power."""
    steps: list[str] = []
    sync, rename = module.PosixFile.sync, PosixFilesystem.rename
    sync_directory = PosixFilesystem.sync_directory

    def noted_sync(self: module.PosixFile) -> None:
        steps.append("sync")
        sync(self)

    def noted_rename(self: PosixFilesystem, source: str, target: str) -> None:
        steps.append("rename")
        rename(self, source, target)

    def noted_sync_directory(self: PosixFilesystem, path: str) -> None:
        steps.append("sync directory")
        sync_directory(self, path)

    monkeypatch.setattr(module.PosixFile, "sync", noted_sync)
    monkeypatch.setattr(PosixFilesystem, "rename", noted_rename)
    monkeypatch.setattr(PosixFilesystem, "sync_directory", noted_sync_directory)
    replace_file(DISK, str(tmp_path / "f"), b"new")
    assert steps == ["sync", "rename", "sync directory"]
