"""Writing and Failing (architecture, section 3): the order of calls, and each one failing."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import cache
from random import Random

import pytest

from replog.core.entry import EntryId
from replog.core.errors import DiskFullError, StorageError, SyncFailedError
from replog.core.messages import Batches
from replog.storage.log import Log
from tests.simulator.disk import SimFilesystem
from tests.storage.faults import Call, FaultyFilesystem, nth
from tests.storage.logs import (
    DIRECTORY,
    QUARANTINE,
    SEGMENTS,
    Original,
    append,
    append_durably,
    disk_with,
    everything,
    files_of,
    open_log,
    read,
    stream,
    texts,
)

COUNTS = (1, 3, 1, 1, 2, 1, 1, 3, 1, 1, 2)
ALL_TEXTS = texts(*COUNTS)
FIRST = f"{1:020d}.ndjson"
SECOND = f"{7:020d}.ndjson"


@cache
def original() -> Original:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for messages in ALL_TEXTS:
        append_durably(log, *messages)
    log.close()
    return Original(everything(disk))


def faulty() -> tuple[SimFilesystem, FaultyFilesystem]:
    disk = SimFilesystem(Random(0))
    return disk, FaultyFilesystem(disk)


# --- the order of calls -------------------------------------------------------------------


def test_a_batch_is_one_write_and_one_sync() -> None:
    _, filesystem = faulty()
    log = open_log(filesystem)
    append_durably(log, "one")
    filesystem.said()
    append(log, "two", "three")
    assert filesystem.said() == [f"write {FIRST}"]
    log.sync()
    assert filesystem.said() == [f"sync {FIRST}"]
    log.sync()
    assert filesystem.said() == []


def test_the_name_of_a_new_file_is_durable_before_its_first_batch_is() -> None:
    _, filesystem = faulty()
    log = open_log(filesystem)
    filesystem.said()
    append_durably(log, "one")
    assert filesystem.said() == [
        f"create {FIRST}",
        f"write {FIRST}",
        f"sync {FIRST}",
        "sync_directory segments",
        "write marks",
        "sync marks",
    ]


def test_a_sealing_batch_is_durable_before_the_next_file_is_made() -> None:
    _, filesystem = faulty()
    log = open_log(filesystem)
    for messages in ALL_TEXTS[:3]:
        append_durably(log, *messages)
    filesystem.said()
    append(log, *ALL_TEXTS[3])  # seals
    append(log, *ALL_TEXTS[4])
    assert filesystem.said() == [
        f"write {FIRST}",
        f"sync {FIRST}",
        f"create {SECOND}",
        f"write {SECOND}",
    ]
    log.sync()
    assert filesystem.said()[:2] == [f"sync {SECOND}", "sync_directory segments"]


def test_the_mark_is_noted_at_a_seal() -> None:
    _, filesystem = faulty()
    log = open_log(filesystem)
    for messages in ALL_TEXTS[:3]:
        append_durably(log, *messages)
    filesystem.said()
    append_durably(log, *ALL_TEXTS[3])
    assert filesystem.said() == [f"write {FIRST}", f"sync {FIRST}", "write marks", "sync marks"]


@pytest.mark.parametrize("is_closed", [False, True], ids=["noted", "closed"])
def test_the_mark_never_names_what_was_not_synced(is_closed: bool) -> None:
    """Else a loss of power turns a tail that was never acknowledged into damage."""
    for seed in range(20):
        disk = SimFilesystem(Random(seed))
        log = open_log(disk)
        append_durably(log, *ALL_TEXTS[0])
        durable = log.durable
        for messages in ALL_TEXTS[1 : 2 + seed % 5]:
            append(log, *messages)
        if is_closed:
            log.close()
        else:
            log.note_durable()
        disk.lose_power()
        log = open_log(disk, is_master=False)
        assert log.damage == (), "it misses what was never durable"
        assert log.head.position >= durable.position


def test_received_batches_of_one_segment_are_one_write_and_one_sync() -> None:
    source = open_log(disk_with(original().files))
    batches = stream(source, size_max=1)[:4]
    _, filesystem = faulty()
    log = open_log(filesystem, is_master=False)
    filesystem.said()
    log.append_batches(batches)
    log.sync()
    assert filesystem.said()[:4] == [
        f"create {FIRST}",
        f"write {FIRST}",
        f"sync {FIRST}",
        "sync_directory segments",
    ]


def test_the_commit_note_is_written_without_a_sync() -> None:
    _, filesystem = faulty()
    log = open_log(filesystem)
    append_durably(log, "one")
    filesystem.said()
    log.note_commit(EntryId(1))
    log.note_commit(EntryId(1))
    assert filesystem.said() == ["write marks"]


def test_good_bytes_behind_the_mark_are_written_again_and_synced_before_they_count() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    append_durably(log, "one")
    append_durably(log, "two")
    filesystem = FaultyFilesystem(disk)
    log = open_log(filesystem)
    assert log.durable.last_id == 2
    said = filesystem.said()
    of_marks = ["write marks", "sync marks"]
    of_segment = [f"{call} {FIRST}" for call in ("truncate", "write", "sync")]
    again = [*of_marks, "sync_directory segments", *of_segment, *of_marks]
    assert [call for call in said if call in again] == again
    inode = dict(disk.cached_files(SEGMENTS))[FIRST]
    assert inode.rewrites == 1  # from the mark on, no more


def test_what_was_written_again_is_what_stood_there() -> None:
    for seed in range(5):
        disk = disk_with({**original().files}, seed)
        dict(disk.cached_files(DIRECTORY))["marks"].cached[:] = bytes(16384)
        log = open_log(disk)
        log.close()
        disk.lose_power()
        assert files_of(disk) == {p: c for p, c in original().files.items() if SEGMENTS in p}


# --- a write that fails -------------------------------------------------------------------


def refused_at_every(kind: str, error: int, fill: Callable[[Log], None], *, is_master: bool) -> int:
    """Fail each call of a kind once; what was refused must have left nothing behind."""
    refused = 0
    for number in range(1, 1000):
        disk, filesystem = faulty()
        log = open_log(filesystem, is_master=is_master)
        filesystem.choose = nth(kind, number, error)
        while log.head != original().head:
            before, files = log.head, files_of(disk)
            try:
                fill(log)
            except DiskFullError:
                refused += 1
                assert filesystem.failed == 1
                assert log.head == before
                assert files_of(disk) == files
                assert read(log) == original().lines(before.last_id)
        log.sync()
        log.close()
        assert files_of(disk) == {p: c for p, c in original().files.items() if SEGMENTS in p}
        assert open_log(disk, is_master=is_master).head == original().head
        if not filesystem.failed:
            return refused
    raise AssertionError("it never got through")


def append_next(log: Log) -> None:
    at = original().heads.index(log.head)
    append(log, *ALL_TEXTS[at])
    if at % 3:
        log.sync()


def receive_the_rest(log: Log) -> None:
    source = open_log(disk_with(original().files))
    log.append_batches(stream(source, log.head, size_max=400))


@pytest.mark.parametrize(
    ("error", "at_create"), [(errno.ENOSPC, errno.ENOSPC), (errno.EIO, errno.EMFILE)]
)
def test_an_append_that_finds_no_space_leaves_nothing_and_can_be_repeated(
    error: int, at_create: int
) -> None:
    disk, filesystem = faulty()
    log = open_log(filesystem)
    count = 0
    for messages in ALL_TEXTS:
        filesystem.choose = lambda call: error * (call.name == "write" and call.file != "marks")
        before = files_of(disk)
        with pytest.raises(DiskFullError):
            append(log, *messages)
        assert files_of(disk) == before
        filesystem.choose = lambda call: at_create * (call.name == "create")
        try:
            append_next(log)
        except DiskFullError:
            count += 1
            assert files_of(disk) == before
            filesystem.choose = lambda _: 0
            append_next(log)
    assert count == 3
    filesystem.choose = lambda _: 0
    log.close()
    assert files_of(disk) == {p: c for p, c in original().files.items() if SEGMENTS in p}


@pytest.mark.parametrize("kind", ["write", "create"])
def test_received_batches_are_stored_all_or_not_at_all(kind: str) -> None:
    assert refused_at_every(kind, errno.ENOSPC, receive_the_rest, is_master=False) == 3


def test_after_a_power_loss_a_refused_append_is_not_there() -> None:
    for seed in range(30):
        for at in range(len(ALL_TEXTS)):
            disk = SimFilesystem(Random(seed))
            log = open_log(disk)
            for messages in ALL_TEXTS[:at]:
                append_durably(log, *messages)
            disk.writes_to_fail = 1
            with pytest.raises(DiskFullError):
                append(log, *ALL_TEXTS[at])
            disk.lose_power()
            log = open_log(disk)
            assert (log.head, log.damage, log.cuts) == (original().heads[at], (), ())


def test_a_cut_that_finds_no_space_leaves_no_copies_and_can_be_made_later() -> None:
    disk, filesystem = faulty()
    log = open_log(filesystem, is_master=False)
    for messages in ALL_TEXTS:
        append_durably(log, *messages)
    before = files_of(disk)
    assert len(before) >= 3
    for number in range(1, len(before) + 1):
        for kind in ("create", "write"):
            filesystem.choose = nth(kind, number, errno.ENOSPC)
            with pytest.raises(DiskFullError):
                log.cut(original().heads[1])
            assert files_of(disk) == before
            assert files_of(disk, QUARANTINE) == {}
    filesystem.choose = lambda _: 0
    log.cut(original().heads[1])
    assert log.head == original().heads[1]
    assert len(files_of(disk, QUARANTINE)) == len(before)


@pytest.mark.parametrize("kind", ["truncate", "sync"])
def test_a_failed_write_that_cannot_be_taken_back_ends_everything(kind: str) -> None:
    _, filesystem = faulty()
    log = open_log(filesystem)
    append_durably(log, "one")

    def choose(call: Call) -> int:
        return errno.EIO if call.name in ("write", kind) else 0

    filesystem.choose = choose
    with pytest.raises(SyncFailedError):
        append(log, "two")
    nothing_more_is_done(filesystem, log)


def test_a_new_segment_whose_name_may_be_on_a_broken_disk_ends_everything() -> None:
    _, filesystem = faulty()
    log = open_log(filesystem)
    filesystem.choose = lambda call: errno.EIO * (call.name == "create")
    with pytest.raises(SyncFailedError, match=r"making .*ndjson failed .*This node must end"):
        append(log, "one")
    nothing_more_is_done(filesystem, log)


# --- a sync that fails --------------------------------------------------------------------


def nothing_more_is_done(filesystem: FaultyFilesystem, log: Log) -> None:
    filesystem.choose = lambda _: 0
    filesystem.said()
    attempts: list[Callable[[], object]] = [
        lambda: append(log, "more"),
        lambda: log.append_batches([]),
        log.sync,
        log.note_durable,
        lambda: log.note_commit(EntryId(1)),
        lambda: log.cut(original().heads[0]),
    ]
    for attempt in attempts:
        with pytest.raises(SyncFailedError):
            attempt()
    log.close()
    assert filesystem.said() == []


def test_after_any_failed_sync_nothing_is_written_or_synced_again() -> None:
    for number in range(1, 200):
        failed = 0
        for kind in ("sync", "sync_directory"):
            disk, filesystem = faulty()
            log = open_log(filesystem)
            filesystem.choose = nth(kind, number, errno.EIO)
            acknowledged = log.head
            try:
                for messages in ALL_TEXTS:
                    append(log, *messages)
                    acknowledged = log.sync()
                log.note_durable()
            except SyncFailedError:
                nothing_more_is_done(filesystem, log)
            failed += filesystem.failed
            disk.lose_power()
            log = open_log(disk)
            assert log.head.position >= acknowledged.position
            assert read(log) == original().lines(log.head.last_id)
        if not failed:
            assert number > len(ALL_TEXTS)
            return
    raise AssertionError("it never got through")


def test_a_failed_sync_at_open_refuses_to_open() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for messages in ALL_TEXTS:
        append_durably(log, *messages)
    append(log, "never synced")
    files = everything(disk)
    for number in (1, 2, 3):  # the mark that was read, the segment, the new mark
        filesystem = FaultyFilesystem(disk_with(files))
        filesystem.choose = nth("sync", number, errno.EIO)
        with pytest.raises(StorageError):
            open_log(filesystem)
        assert filesystem.failed == 1
    filesystem = FaultyFilesystem(disk_with(files))
    filesystem.choose = nth("sync", 4, errno.EIO)
    open_log(filesystem)
    assert filesystem.failed == 0


def test_batches_are_never_taken_while_the_ones_before_are_unknown() -> None:
    source = open_log(disk_with(original().files))
    batches: list[Batches] = stream(source, size_max=1)
    _, filesystem = faulty()
    log = open_log(filesystem, is_master=False)
    log.append_batches(batches[:2])
    filesystem.choose = nth("sync", 1, errno.EIO)
    with pytest.raises(SyncFailedError):
        log.sync()
    filesystem.said()
    with pytest.raises(SyncFailedError):
        log.append_batches(batches[2:])
    assert filesystem.said() == []
