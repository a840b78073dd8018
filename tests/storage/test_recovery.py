"""Opening (architecture, section 3): what is cut, what is damage, what is written again.

Each test changes the files of a log as a crash, a lying disk or a person would, opens it,
and compares what is left with the original.
"""

from __future__ import annotations

from random import Random

import pytest

from replog.core.entry import EntryId
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import (
    DIRECTORY,
    SEGMENTS,
    Original,
    append_durably,
    changed,
    everything,
    files_of,
    open_log,
    texts,
)
from tests.storage.small_log import BOTH, COUNTS, MARKS, check, mark_of, opened, quarantined, small

# --- rot ----------------------------------------------------------------------------------


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "killed"])
def test_a_flipped_bit_in_any_byte_is_never_served_and_cuts_nothing_acknowledged(
    is_master: bool, is_closed: bool
) -> None:
    original = small(is_closed=is_closed)
    mark = mark_of(original)
    assert (mark == original.head) == is_closed
    for path in original.segments:
        content = original.files[path]
        for offset in range(len(content)):
            rotten = bytearray(content)
            rotten[offset] ^= 1 << (offset % 8)
            files = changed(original.files, path, bytes(rotten))
            disk, log = opened(files, is_master=is_master)
            hit = original.batch_at(path, offset)
            check(original, disk, log, least=original.head if is_master else mark)
            assert log.head == hit.before, (path, offset)
            if is_master or hit.span.head.position <= mark.position:
                assert files_of(disk) == {p: c for p, c in files.items() if SEGMENTS in p}
                assert log.damage[0].claimed_id >= hit.span.last_id
                is_last = hit.span.head == original.head
                assert log.damage[0].last_id == (None if is_last else hit.span.last_id)
            else:
                rest = b"".join(quarantined(disk))
                assert rest == bytes(rotten[hit.span.start :])
                assert [cut.head for cut in log.cuts] == [hit.before]


@BOTH
def test_a_flipped_bit_in_the_marks_costs_nothing(is_master: bool) -> None:
    original = small(is_closed=True)
    for offset in range(0, len(original.files[MARKS]), 7):
        rotten = bytearray(original.files[MARKS])
        rotten[offset] ^= 1 << (offset % 8)
        disk, log = opened(changed(original.files, MARKS, bytes(rotten)), is_master=is_master)
        assert (log.head, log.damage, log.cuts) == (original.head, (), ())
        check(original, disk, log, least=original.head)


def test_two_rotten_places_are_two_damaged_ranges_with_good_batches_between() -> None:
    original = small(is_closed=True)
    path = original.segments[-1]
    first, _, third = [batch for batch in original.batches if batch.path == path][:3]
    rotten = bytearray(original.files[path])
    rotten[first.span.entries_start + 20] ^= 1
    rotten[third.span.entries_start + 20] ^= 1
    _, log = opened(changed(original.files, path, bytes(rotten)), is_master=True)
    assert [damage.before for damage in log.damage] == [first.before, third.before]
    assert [damage.offset for damage in log.damage] == [first.span.start, third.span.start]
    assert log.damage[0].last_id == first.span.last_id


@BOTH
def test_a_hole_before_a_good_batch_is_not_passed_over(is_master: bool) -> None:
    original = small(is_closed=False)
    mark = mark_of(original)
    for batch in original.batches[:-1]:
        content = original.files[batch.path]
        size = batch.span.stop - batch.span.start
        hole = content[: batch.span.start] + bytes(size) + content[batch.span.stop :]
        disk, log = opened(changed(original.files, batch.path, hole), is_master=is_master)
        check(original, disk, log, least=original.head if is_master else mark)
        assert log.head == batch.before
        assert bool(log.damage) == (is_master or batch.span.head.position <= mark.position)


# --- torn ends ----------------------------------------------------------------------------


def with_unsynced_batch(*, opens_segment: bool) -> tuple[Original, Original]:
    """Return a log, and the same with one more batch that was written and never synced."""
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for messages in texts(*COUNTS, *((1,) if opens_segment else ())):
        append_durably(log, *messages)
    before = Original(everything(disk))
    log.append(
        [b'"never"', b'"acknowledged"'], epoch=log.head.epoch, committed_id=EntryId(0), time_ms=0
    )
    after = Original(everything(disk))
    assert (len(after.segments) > len(before.segments)) == opens_segment
    return before, after


@BOTH
@pytest.mark.parametrize("opens_segment", [False, True], ids=["in a segment", "after a seal"])
@pytest.mark.parametrize("filling", [b"", b"\0"], ids=["short", "zeros"])
def test_a_torn_end_is_cut_at_every_byte_of_the_last_batch(
    is_master: bool, opens_segment: bool, filling: bytes
) -> None:
    before, after = with_unsynced_batch(opens_segment=opens_segment)
    batch = after.batches[-1]
    content = after.files[batch.path]
    for stop in range(batch.span.start, batch.span.stop):
        torn = content[:stop] + filling * (batch.span.stop - stop)
        disk, log = opened(changed(after.files, batch.path, torn), is_master=is_master)
        if filling and stop >= batch.span.stop - 4 and is_master:
            # A zero in the place of the last bytes could as well be rot: it is not cut.
            assert log.damage[0].before == before.head
            continue
        assert (log.head, log.damage) == (before.head, ()), stop
        check(before, disk, log, least=before.head)
        segments = {path: content for path, content in before.files.items() if SEGMENTS in path}
        assert files_of(disk) == segments
        assert quarantined(disk) == ([torn[batch.span.start :]] if torn[batch.span.start :] else [])
        if stop > batch.span.start or opens_segment:
            assert [cut.head for cut in log.cuts] == [before.head]
        append_durably(log, "and on")
        log.close()
        again = open_log(disk, is_master=is_master)
        assert (again.head, again.damage, again.cuts) == (log.head, (), ())


def test_a_whole_batch_that_was_never_synced_counts_after_a_kill() -> None:
    before, after = with_unsynced_batch(opens_segment=True)
    disk, log = opened(after.files, is_master=True)
    assert before.head != log.head == log.durable == after.head
    check(after, disk, log, least=after.head)


@BOTH
def test_a_log_cut_off_at_any_byte_below_its_mark_is_damaged_and_stays_as_it_is(
    is_master: bool,
) -> None:
    original = small(is_closed=True)
    path = original.segments[-1]
    for stop in range(len(original.files[path])):
        files = changed(original.files, path, original.files[path][:stop])
        disk, log = opened(files, is_master=is_master)
        check(original, disk, log, least=original.head)
        assert log.damage[0].last_id is None
        assert log.damage[0].claimed_id == original.head.last_id
        assert everything(disk) == files


# --- marks --------------------------------------------------------------------------------


@BOTH
def test_lost_marks_are_said_and_then_nothing_that_looks_complete_is_cut(is_master: bool) -> None:
    original = small(is_closed=True)
    last = original.batches[-1]
    rotten = bytearray(original.files[last.path])
    rotten[last.span.entries_start + 20] ^= 1
    for marks in (None, b"", bytes(16384)):
        files = changed(original.files, MARKS, marks)
        _, log = opened(files, is_master=is_master)
        assert (log.head, log.damage) == (original.head, ())
        assert "lost" in log.notices[0]
        disk, log = opened(changed(files, last.path, bytes(rotten)), is_master=is_master)
        for _ in range(2):  # and it stays so
            assert (log.head, log.cuts) == (last.before, ())
            assert log.damage[0].claimed_id == original.head.last_id
            log.close()
            log = open_log(disk, is_master=is_master)
        torn = original.files[last.path][: last.span.stop - 10]
        _, log = opened(changed(files, last.path, torn), is_master=is_master)
        assert (log.head, log.damage) == (last.before, ())


@BOTH
def test_a_log_that_ends_below_its_commit_note_is_damaged(is_master: bool) -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for messages in texts(1, 1, 1):
        append_durably(log, *messages)
    log.note_commit(EntryId(3))
    original = Original(everything(disk))
    last = original.batches[-1]
    files = changed(original.files, last.path, original.files[last.path][: last.span.start + 9])
    disk, log = opened(files, is_master=is_master)
    check(original, disk, log, least=original.head)
    assert files_of(disk)[last.path] == files[last.path]


# --- good bytes behind the mark -----------------------------------------------------------


def test_what_a_failed_sync_left_in_the_page_cache_counts_only_after_it_was_written_again() -> None:
    """The pages of a failed fdatasync are clean: they read well, and are on no disk."""
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for messages in texts(1, 2, 1):
        append_durably(log, *messages)
    log.append(
        [b'"in the page cache only"'], epoch=log.head.epoch, committed_id=EntryId(0), time_ms=0
    )
    written = log.head
    inode = dict(disk.cached_files(SEGMENTS))[f"{1:020d}.ndjson"]
    inode.unsynced.clear()  # as the kernel does when the write-back fails
    disk.end_process()
    log = open_log(disk)
    assert log.head == log.durable == written
    log.close()
    disk.lose_power()
    log = open_log(disk)
    assert (log.head, log.damage) == (written, ())


def test_a_name_that_was_never_synced_is_made_durable_before_its_bytes_count() -> None:
    for seed in range(20):
        disk = SimFilesystem(Random(seed))
        log = open_log(disk)
        log.append([b'"one"'], epoch=log.head.epoch, committed_id=EntryId(0), time_ms=0)
        disk.end_process()
        head = open_log(disk).durable
        assert head.last_id == 1
        disk.lose_power()
        assert open_log(disk).head == head


def test_an_open_after_a_clean_stop_writes_one_mark_again_and_changes_nothing() -> None:
    original = small(is_closed=True)
    disk, _ = opened(original.files, is_master=True)
    rewritten = {
        name: inode.rewrites
        for name, inode in (*disk.cached_files(SEGMENTS), *disk.cached_files(DIRECTORY))
        if inode.rewrites
    }
    assert rewritten == {"marks": 1}
    assert everything(disk) == original.files
