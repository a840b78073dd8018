"""Opening a log of which a read fails, or whose files are not as any node leaves them."""

from __future__ import annotations

import errno
from itertools import count

import pytest

from replog.core.errors import StorageError
from replog.storage import scan
from replog.storage.layout import Layout
from replog.storage.quarantine import quarantine
from tests.storage.faults import Call, FaultyFilesystem, never, nth
from tests.storage.logs import (
    DIRECTORY,
    SEGMENTS,
    Placed,
    changed,
    disk_with,
    everything,
    files_of,
    open_log,
    read_what_is_good,
)
from tests.storage.small_log import BOTH, MARKS, opened, small

ORIGINAL = small(is_closed=True)
FIRST, SECOND, LAST = ORIGINAL.segments


def rotten(batch: Placed, content: bytes | None = None) -> bytes:
    """Return the file of a batch with one bit of that turned over."""
    changed_ = bytearray(ORIGINAL.files[batch.path] if content is None else content)
    changed_[batch.span.entries_start + len('{"id":')] ^= 8
    return bytes(changed_)


def last_of(path: str) -> Placed:
    return [batch for batch in ORIGINAL.batches if batch.path == path][-1]


@BOTH
@pytest.mark.parametrize("error", [errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("name", ["read", "open"])
def test_a_read_that_fails_at_open_takes_nothing_from_the_log(
    name: str, error: int, *, is_master: bool
) -> None:
    """Whichever it is: the log does not open, names damage, or is there; and then it is whole."""
    for number in count(1):
        disk = disk_with(ORIGINAL.files)
        filesystem = FaultyFilesystem(disk)
        filesystem.choose_read = nth(name, number, error)
        try:
            log = open_log(filesystem, is_master=is_master)
        except StorageError:
            pass
        else:
            if filesystem.choose_read(Call(name, "")):  # it was not reached
                break
            filesystem.choose_read = never
            assert log.cuts == ()
            assert read_what_is_good(log) == ORIGINAL.lines(log.head.last_id)
            assert bool(log.damage) == (log.head != ORIGINAL.head)
        log = open_log(disk, is_master=is_master)
        assert (log.head, log.damage, log.cuts) == (ORIGINAL.head, (), ())
    assert number > 5


@BOTH
def test_a_stray_file_behind_damage_is_damage_of_its_own(*, is_master: bool) -> None:
    batch = last_of(SECOND)
    files = changed(ORIGINAL.files, SECOND, rotten(batch))
    stray = f"{SEGMENTS}/{ORIGINAL.head.last_id:020d}.ndjson"
    disk, log = opened({**files, stray: b"stray\n"}, is_master=is_master)
    first, second = log.damage
    assert (first.before, first.last_id) == (batch.before, batch.span.last_id)
    assert (second.before, second.last_id) == (ORIGINAL.head, None)
    assert second.reason == "the segment is not the one that follows"
    assert (log.cuts, files_of(disk)[stray]) == ((), b"stray\n")


def test_a_secondary_cuts_no_remainder_that_begins_before_its_last_file() -> None:
    """Junk behind the seal that the mark names, and then a last file that begins badly."""
    batches = [batch for batch in ORIGINAL.batches if batch.path == LAST]
    sealed = last_of(SECOND)
    files = {path: content for path, content in ORIGINAL.files.items() if path not in (LAST, MARKS)}
    closed = disk_with(files | {MARKS: bytes(len(ORIGINAL.files[MARKS]))})
    open_log(closed, is_master=False).close()  # notes a mark at the seal
    files = everything(closed) | {
        SECOND: ORIGINAL.files[SECOND] + b"junk",
        LAST: rotten(batches[0]),
    }
    disk, log = opened(files, is_master=False)
    (damage,) = log.damage
    assert (damage.before, damage.segment, damage.offset) == (
        sealed.span.head, sealed.segment, sealed.span.stop,
    )  # fmt: skip
    assert log.cuts == ()
    assert files_of(disk)[LAST] == files[LAST]


def test_rot_in_the_first_id_of_the_last_batch_of_a_segment_is_seen_at_open() -> None:
    for path in (FIRST, SECOND):
        batch = last_of(path)
        _, log = opened(changed(ORIGINAL.files, path, rotten(batch)), is_master=True)
        (damage,) = log.damage
        assert (damage.before, damage.offset) == (batch.before, batch.span.start)


@pytest.mark.parametrize("is_at_once", [True, False])
def test_bytes_behind_a_seal_are_named_whether_or_not_they_are_read_with_it(
    monkeypatch: pytest.MonkeyPatch, *, is_at_once: bool
) -> None:
    content = ORIGINAL.files[FIRST]
    if not is_at_once:
        monkeypatch.setattr(scan, "STRETCH_BYTES", len(content))
    junk = ORIGINAL.files[SECOND][:500]
    _, log = opened({MARKS: ORIGINAL.files[MARKS], FIRST: content + junk}, is_master=True)
    (damage,) = log.damage
    assert damage.offset == len(content)
    assert damage.reason == "bytes follow on the batch that seals the segment"


def test_nothing_is_looked_for_behind_damage_in_a_file_larger_than_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of it would have to be in memory: the damage goes to the end of the file."""
    batch = next(batch for batch in ORIGINAL.batches if batch.path == SECOND)
    files = changed(ORIGINAL.files, SECOND, rotten(last_of(SECOND), rotten(batch)))
    _, log = opened(files, is_master=True)
    assert log.damage[0].last_id == batch.span.last_id
    monkeypatch.setattr(scan, "_SEARCH_BYTES_MAX", 100)
    _, log = opened(files, is_master=True)
    (damage,) = log.damage
    assert (damage.before, damage.last_id) == (batch.before, last_of(SECOND).span.last_id)


def test_the_quarantine_takes_what_there_is_of_a_file_that_became_shorter() -> None:
    disk = disk_with(ORIGINAL.files)
    size, name = len(ORIGINAL.files[FIRST]), FIRST.rpartition("/")[2]
    (moved,) = quarantine(
        disk, Layout(DIRECTORY), name, offset=100, stop=size + 5000, reason="torn-tail"
    )
    assert moved.size == size - 100
    assert everything(disk)[moved.path] == ORIGINAL.files[FIRST][100:]
