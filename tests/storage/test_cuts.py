"""Cutting the end of the log off (R14): what is refused, and what a failure leaves."""

from __future__ import annotations

import errno
from itertools import count

import pytest

from replog.core.entry import EntryId, Head
from replog.core.errors import DamagedLogError, StorageError, SyncFailedError
from replog.storage.log import Log
from tests.simulator.disk import SimFilesystem
from tests.storage.faults import FaultyFilesystem, never, nth
from tests.storage.logs import append_durably, disk_with, everything, open_log, read
from tests.storage.small_log import MARKS, opened, small

ORIGINAL = small(is_closed=True)
TO = ORIGINAL.batches[1].span.head


def test_a_head_that_is_no_batch_end_is_refused_and_nothing_cut() -> None:
    disk, log = opened(ORIGINAL.files, is_master=False)
    before = everything(disk)
    other = Head(TO.epoch, TO.last_id, bytes(31) + b"x")
    with pytest.raises(StorageError, match="does not hold the batch end"):
        log.cut(other)
    assert everything(disk) == before
    assert log.head == ORIGINAL.head


def test_a_cut_above_damage_names_the_damage_and_cuts_nothing() -> None:
    disk, log = opened(ORIGINAL.files, is_master=False)
    batch = ORIGINAL.batches[2]
    disk.flip_bit(batch.path, batch.span.entries_start, 2)
    with pytest.raises(DamagedLogError):
        read(log)
    before = everything(disk)
    with pytest.raises(DamagedLogError, match=f"damaged from id {batch.span.first_id} "):
        log.cut(ORIGINAL.heads[-2])
    assert everything(disk) == before


@pytest.mark.parametrize("torn", [0, 1, 2, 3])
def test_a_cut_lowers_both_lines_of_either_mark(torn: int) -> None:
    """Whichever line is torn, the other one does not say that more was there."""
    disk, log = opened(ORIGINAL.files, is_master=False)
    log.note_commit(ORIGINAL.head.last_id)
    log.cut(TO)
    log.close()
    files = everything(disk)
    block = len(files[MARKS]) // 4
    marks = bytearray(files[MARKS])
    marks[torn * block : (torn + 1) * block] = bytes(block)
    log = open_log(disk_with({**files, MARKS: bytes(marks)}), is_master=False)
    assert (log.head, log.damage, log.commit_note) == (TO, (), TO.last_id)


@pytest.mark.parametrize("kind", ["write", "sync", "truncate", "remove", "sync_directory"])
def test_a_cut_that_the_disk_ends_in_the_middle_is_cut_at_the_next_start(kind: str) -> None:
    """Whether it was refused with nothing cut, or the node must end."""
    ended = 0
    for number in count(1):
        disk = disk_with(ORIGINAL.files, seed=number)
        filesystem = FaultyFilesystem(disk)
        log = open_log(filesystem, is_master=False)
        log.note_commit(EntryId(TO.last_id + 1))
        filesystem.choose = nth(kind, number, errno.EIO)
        try:
            log.cut(TO)
        except SyncFailedError:
            ended += 1
            nothing_more_is_done(filesystem, log)
        except StorageError:
            assert (log.head, read(log)) == (ORIGINAL.head, ORIGINAL.lines(ORIGINAL.head.last_id))
        else:
            break
        disk.lose_power()
        check_next_start(disk)
    assert ended


def nothing_more_is_done(filesystem: FaultyFilesystem, log: Log) -> None:
    filesystem.choose = never
    filesystem.said()
    for attempt in (log.sync, lambda: log.cut(TO), lambda: append_durably(log, "more")):
        with pytest.raises(SyncFailedError):
            attempt()
    assert filesystem.said() == []


def check_next_start(disk: SimFilesystem) -> None:
    """Assert that the log opens at a batch of it between the two heads, undamaged."""
    log = open_log(disk, is_master=False)
    assert log.damage == ()
    assert log.head in ORIGINAL.heads
    assert TO.position <= log.head.position
    assert read(log) == ORIGINAL.lines(log.head.last_id)
