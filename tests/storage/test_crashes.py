"""A crash inside every call that changes the disk: of writing, cutting, opening and closing.

After each the process is gone, or the power with it; what was acknowledged must be there,
and what is there must be a part of what was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import count
from random import Random

import pytest

from replog.core.entry import GENESIS, EntryId, Head
from replog.core.errors import StorageError, SyncFailedError
from replog.storage.filesystem import Filesystem
from replog.storage.log import Log
from replog.storage.marks import DurableMark, Marks
from tests.simulator.disk import NodeDied, SimFilesystem
from tests.storage.faults import Call, Chooser, FaultyFilesystem
from tests.storage.logs import (
    DIRECTORY,
    QUARANTINE,
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

ALL_TEXTS = texts(1, 3, 1, 1, 2, 1, 1, 3, 1, 1, 2)
BOTH = pytest.mark.parametrize("is_master", [True, False], ids=["master", "secondary"])
SEEDS = range(12)


@cache
def original() -> Original:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for messages in ALL_TEXTS:
        append_durably(log, *messages)
    return Original(everything(disk))


class Story:
    """One run against a disk that may end it in the middle."""

    def __init__(self, disk: SimFilesystem, *, is_master: bool) -> None:
        self.disk = disk
        self.is_master = is_master
        self.acknowledged = GENESIS

    def write_all(self) -> None:
        """Open the log, write what is missing of the original, and close it."""
        log = open_log(self.disk, is_master=self.is_master)
        self.told(log)
        if self.is_master:
            for messages in ALL_TEXTS[original().heads.index(log.head) :]:
                append(log, *messages)
                log.sync()
                self.told(log)
                log.note_commit(EntryId(log.durable.last_id))
        else:
            rest = stream(source(), log.head, size_max=400)
            for at in range(0, len(rest), 3):
                log.append_batches(rest[at : at + 3])
                log.sync()
                self.told(log)
        log.close()

    def told(self, log: Log) -> None:
        assert log.durable.position >= self.acknowledged.position
        self.acknowledged = log.durable


@cache
def source() -> Log:
    return open_log(disk_with(original().files))


def killed(disk: SimFilesystem) -> None:
    disk.end_process()


def without_power(disk: SimFilesystem) -> None:
    disk.lose_power()


def killed_after_write_back(disk: SimFilesystem) -> None:
    disk.write_back()
    disk.end_process()
    disk.drop_clean_pages()


CRASHES = (killed, without_power, killed_after_write_back)


def deaths(
    run: Callable[[SimFilesystem], object], fresh: Callable[[int], SimFilesystem]
) -> Iterator[SimFilesystem]:
    """Yield a disk for each call inside which `run` died, once for each crash and seed."""
    for seed in SEEDS:
        for call in count(1):
            disk = fresh(seed)
            disk.calls_to_death = call
            try:
                run(disk)
            except NodeDied:
                CRASHES[(seed + call) % len(CRASHES)](disk)
                yield disk
                continue
            assert call > 3, "nothing was tried"
            break


def check(log: Log, acknowledged: Head) -> None:
    """Assert that the log is a part of the original and holds what was acknowledged."""
    assert log.head in original().heads
    assert log.head.position >= acknowledged.position
    assert log.durable == log.head
    assert read(log) == original().lines(log.head.last_id)


def is_unacknowledged_rot(log: Log, acknowledged: Head) -> bool:
    """Say whether a master's last batch came to disk torn in the middle.

    It looks complete, so it is damage (Opening rule 1), though it never counted.
    """
    if not log.damage:
        return False
    (damage,) = log.damage
    at = original().heads.index(acknowledged)
    return damage.before == acknowledged and damage.claimed_id == original().heads[at + 1].last_id


@pytest.mark.slow
@BOTH
def test_a_crash_anywhere_while_writing_loses_nothing_that_was_acknowledged(
    is_master: bool,
) -> None:
    stories: dict[int, Story] = {}

    def run(disk: SimFilesystem) -> None:
        stories[id(disk)] = story = Story(disk, is_master=is_master)
        story.write_all()

    died = torn = 0
    for disk in deaths(run, lambda seed: SimFilesystem(Random(seed))):
        story = stories.pop(id(disk))
        log = open_log(disk, is_master=is_master)
        died += 1
        check(log, story.acknowledged)
        if log.damage:
            assert is_master
            assert is_unacknowledged_rot(log, story.acknowledged)
            torn += 1
            continue
        story.told(log)
        log.close()
        story.write_all()
        assert story.acknowledged == original().head
        assert {p: c for p, c in everything(disk).items() if "/segments/" in p} == {
            p: c for p, c in original().files.items() if "/segments/" in p
        }
    assert died > 20 * len(SEEDS)
    assert torn < died / 20


@BOTH
def test_a_crash_anywhere_while_opening_after_a_crash_changes_nothing(is_master: bool) -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for messages in ALL_TEXTS[:9]:
        append_durably(log, *messages)
    acknowledged = log.head
    append(log, *ALL_TEXTS[9])
    files = everything(disk)
    path = original().batches[9].path
    whole = files[path]
    for torn in (whole, whole[:-20], whole[: original().batches[8].span.stop + 5]):
        start = {**files, path: torn}

        def fresh(seed: int, start: dict[str, bytes] = start) -> SimFilesystem:
            return disk_with(start, seed)

        told: list[Head] = []

        def run(disk: SimFilesystem, told: list[Head] = told) -> None:
            told.clear()
            log = open_log(disk, is_master=is_master)
            told.append(log.durable)
            log.close()

        expected = original().heads[10] if torn == whole else acknowledged
        for disk in deaths(run, fresh):
            log = open_log(disk, is_master=is_master)
            assert (log.head, log.damage) == (expected, ())
            check(log, told[0] if told else acknowledged)
            if torn != whole:
                kept = files_of(disk, QUARANTINE).values()
                assert torn[original().batches[9].span.start :] in kept


def test_what_an_open_told_survives_a_power_loss_right_after() -> None:
    for seed in range(100):
        disk = SimFilesystem(Random(seed))
        log = open_log(disk)
        for at, messages in enumerate(ALL_TEXTS):
            append(log, *messages)
            if at % 3 == seed % 3:
                log.sync()
                disk.write_back()
            if at == seed % len(ALL_TEXTS):
                break
        killed(disk)
        log = open_log(disk)
        told = log.durable
        assert told == original().heads[at + 1]
        disk.lose_power()
        log = open_log(disk)
        assert (log.head, log.damage) == (told, ())


@pytest.mark.slow
@pytest.mark.parametrize("to", [0, 1, 3, 4, 6, 8, 10])
def test_a_crash_anywhere_while_cutting_leaves_a_log_between_both_ends(to: int) -> None:
    target = original().heads[to]

    def fresh(seed: int) -> SimFilesystem:
        return disk_with(original().files, seed)

    def run(disk: SimFilesystem) -> None:
        log = open_log(disk, is_master=False)
        log.cut(target)
        disk.calls_to_death = None
        raise CutDone

    class CutDone(Exception):
        pass

    def until_cut(disk: SimFilesystem) -> None:
        try:
            run(disk)
        except CutDone:
            return

    died = 0
    for disk in deaths(until_cut, fresh):
        died += 1
        log = open_log(disk, is_master=False)
        assert log.damage == ()
        check(log, target)
        rest = original().head
        log.cut(target)
        assert (log.head, log.durable) == (target, target)
        append_durably(log, "another", "way")
        log.close()
        log = open_log(disk, is_master=False)
        assert (log.head.last_id, log.damage, log.cuts) == (target.last_id + 2, (), ())
        kept = b"".join(files_of(disk, QUARANTINE).values())
        for batch in original().batches[to:]:
            content = original().files[batch.path][batch.span.start : batch.span.stop]
            assert content in kept, batch.span.first_id
        assert rest == original().head
    assert died > 3 * len(SEEDS)


@pytest.mark.parametrize("to", [0, 1, 3, 4, 6, 8, 10])
def test_what_was_cut_stays_cut_when_the_power_fails_right_after(to: int) -> None:
    target = original().heads[to]
    for seed in SEEDS:
        disk = disk_with(original().files, seed)
        open_log(disk, is_master=False).cut(target)
        disk.lose_power()
        log = open_log(disk, is_master=False)
        assert (log.head, log.damage, log.cuts) == (target, (), ())


@pytest.mark.parametrize("to", [0, 3, 6, 10])
def test_after_a_cut_either_line_of_the_marks_may_be_lost(to: int) -> None:
    """An older, higher mark that came to light again would turn the cut into damage."""
    target = original().heads[to]
    disk = disk_with(original().files)
    log = open_log(disk, is_master=False)
    log.note_commit(EntryId(target.last_id))
    log.cut(target)
    log.close()
    files = everything(disk)
    path = "data/marks"
    for block in range(4):
        start, stop = block * 4096, (block + 1) * 4096
        marks = files[path][:start] + bytes(4096) + files[path][stop:]
        log = open_log(disk_with({**files, path: marks}), is_master=False)
        assert (log.head, log.damage, log.cuts) == (target, (), ())


def test_what_an_open_cut_stays_cut_when_the_power_fails_right_after() -> None:
    torn = dict(original().files)
    path = original().segments[-1]
    torn[path] = torn[path][:-30]
    for seed in SEEDS:
        disk = disk_with(torn, seed)
        assert len(open_log(disk).cuts) == 1
        disk.lose_power()
        assert open_log(disk).cuts == ()


def test_a_commit_note_outlives_the_process_whose_sync_of_the_mark_failed() -> None:
    """Simulator seed 766141: the kernel forgot what the failed sync had left clean."""
    for seed in SEEDS:
        disk = disk_with(original().files, seed)
        log = open_log(disk, segment_bytes_max=100_000)
        append_durably(log, "more")
        append_durably(log, "and more")
        log.note_commit(EntryId(log.durable.last_id))
        noted = log.commit_note
        disk.syncs_to_fail = 1
        with pytest.raises(SyncFailedError):
            log.note_durable()
        killed(disk)
        disk.drop_clean_pages()
        assert open_log(disk).commit_note == noted


def at_sync(number: int, act: Callable[[], object]) -> Chooser:
    """Return what does `act` before the `number`-th sync, from 1, of a file or a directory."""
    left = number

    def choose(call: Call) -> int:
        nonlocal left
        left -= call.name in ("sync", "sync_directory")
        if left == 0:
            left = -1
            act()
        return 0

    return choose


def write_the_rest(disk: Filesystem) -> None:
    log = open_log(disk)
    append(log, "more")
    log.sync()
    log.note_durable()


def cut_at_a_seal(disk: Filesystem) -> None:
    open_log(disk, is_master=False).cut(original().heads[3])


def cut_in_a_segment(disk: Filesystem) -> None:
    open_log(disk, is_master=False).cut(original().heads[6])


def mark_in(disk: SimFilesystem) -> DurableMark | None:
    return Marks.open(disk, f"{DIRECTORY}/marks").durable


@pytest.mark.parametrize("run", [write_the_rest, cut_at_a_seal, cut_in_a_segment])
@pytest.mark.parametrize("is_torn", [False, True], ids=["whole", "torn"])
def test_what_a_start_reads_after_a_failed_sync_survives_a_power_loss(
    run: Callable[[Filesystem], object], is_torn: bool
) -> None:
    """What a process leaves behind that ends because of it is in the page cache, perhaps alone."""
    files = dict(original().files)
    if is_torn:
        files[original().segments[-1]] = files[original().segments[-1]][:-30]
    for number in count(1):
        disk = disk_with(files)
        disk.keeps_unsynced = 0.0
        faulty = FaultyFilesystem(disk)
        faulty.choose = at_sync(number, partial(setattr, disk, "syncs_to_fail", 1))
        try:
            run(faulty)
        except StorageError:
            killed(disk)
        else:
            break
        head = open_log(disk, is_master=run is write_the_rest).head
        seen = files_of(disk), mark_in(disk)
        disk.keeps_unsynced = 0.0
        disk.lose_power()
        assert (files_of(disk), mark_in(disk)) == seen, number
        assert open_log(disk, is_master=run is write_the_rest).head == head
    assert number > 3
