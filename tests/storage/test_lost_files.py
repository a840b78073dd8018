"""Opening (architecture, section 3): segments that are lost, emptied, swapped or old copies."""

from __future__ import annotations

from random import Random

import pytest

from replog.core.entry import GENESIS
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import (
    SEGMENTS,
    Original,
    append_durably,
    changed,
    disk_with,
    everything,
    files_of,
    open_log,
    read_what_is_good,
    texts,
)
from tests.storage.small_log import BOTH, COUNTS, MARKS, check, mark_of, opened, small


@BOTH
@pytest.mark.parametrize("at", [0, 1, -1])
def test_a_lost_segment_is_damage(is_master: bool, at: int) -> None:
    original = small(is_closed=False)
    path = original.segments[at]
    files = changed(original.files, path, None)
    disk, log = opened(files, is_master=is_master)
    least = max((mark_of(original), original.heads[1]), key=lambda head: head.position)
    check(original, disk, log, least=original.head if at != -1 else least)
    first = next(batch for batch in original.batches if batch.path == path)
    assert (log.damage[0].segment, log.damage[0].offset) == (first.segment, 0)
    assert log.head == first.before
    assert everything(disk) == files


@BOTH
@pytest.mark.parametrize("at", [0, 1, -1])
def test_an_emptied_segment_is_damage(is_master: bool, at: int) -> None:
    original = small(is_closed=True)
    path = original.segments[at]
    files = changed(original.files, path, b"")
    disk, log = opened(files, is_master=is_master)
    check(original, disk, log, least=original.head)
    assert everything(disk) == files


@BOTH
def test_all_segments_lost_is_damage_from_the_first_byte_on(is_master: bool) -> None:
    original = small(is_closed=True)
    _, log = opened({MARKS: original.files[MARKS]}, is_master=is_master)
    assert log.head == GENESIS
    assert log.damage[0].claimed_id == original.head.last_id
    assert (log.damage[0].segment, log.damage[0].offset) == (f"{1:020d}.ndjson", 0)


@BOTH
@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 2), (0, -1), (1, -1)])
def test_swapped_segments_are_damage(is_master: bool, one: int, other: int) -> None:
    original = small(is_closed=True)
    first, second = original.segments[one], original.segments[other]
    files = changed(original.files, first, original.files[second])
    files = changed(files, second, original.files[first])
    disk, log = opened(files, is_master=is_master)
    check(original, disk, log, least=original.head)
    assert everything(disk) == files


@BOTH
def test_an_older_copy_of_a_segment_is_damage(is_master: bool) -> None:
    original = small(is_closed=True)
    for path in original.segments:
        for batch in [batch for batch in original.batches if batch.path == path][:-1]:
            files = changed(original.files, path, original.files[path][: batch.span.stop])
            disk, log = opened(files, is_master=is_master)
            check(original, disk, log, least=original.head)
            assert log.head == batch.span.head
            assert everything(disk) == files


@BOTH
def test_a_segment_of_a_log_that_went_another_way_is_damage(is_master: bool) -> None:
    original = small(is_closed=True)
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for messages in texts(*COUNTS):
        append_durably(log, *(text.replace("entry 6", "ENTRY 6") for text in messages))
    log.close()
    other = Original(everything(disk))
    assert other.segments == original.segments
    path = original.batches[4].path
    assert other.files[path] != original.files[path]
    files = changed(original.files, path, other.files[path])
    disk, log = opened(files, is_master=is_master)
    lines = read_what_is_good(log)
    assert lines == original.lines(log.head.last_id)
    assert log.damage
    assert log.damage[0].segment == path.rpartition("/")[2]
    assert everything(disk) == files


@BOTH
def test_the_last_segment_of_a_log_that_went_another_way_is_damage(is_master: bool) -> None:
    original = small(is_closed=True)
    disk = disk_with(original.files)
    log = open_log(disk)
    log.cut(original.heads[-3])
    append_durably(log, "another", "way")
    append_durably(log, "to", "go")
    log.close()
    path = original.segments[-1]
    files = changed(original.files, path, files_of(disk)[path])
    disk, log = opened(files, is_master=is_master)
    assert read_what_is_good(log) == original.lines(log.head.last_id)
    assert log.damage[0].segment == path.rpartition("/")[2]
    assert everything(disk) == files


def test_files_with_other_names_are_left_alone() -> None:
    original = small(is_closed=True)
    files = dict(original.files)
    for name in ("notes.txt", f"{7:020d}.ndjson~", "7.ndjson", f"{0:020d}.ndjson"):
        files[f"{SEGMENTS}/{name}"] = b"somebody's"
    disk, log = opened(files, is_master=True)
    check(original, disk, log, least=original.head)
    assert log.damage == ()
    assert everything(disk) == files


@BOTH
def test_the_name_of_the_last_file_tells_how_far_the_log_went(is_master: bool) -> None:
    """Its maker knew that the batch before it was durable, whatever the marks say now."""
    original = small(is_closed=True)
    disk = SimFilesystem(Random(0))
    append_durably(open_log(disk), *texts(1)[0])
    files = changed(original.files, MARKS, everything(disk)[MARKS])
    files = changed(files, original.segments[-1], b"")
    last = original.segments[-2]
    for batch in [batch for batch in original.batches if batch.path == last]:
        short = changed(files, last, original.files[last][: batch.span.start])
        disk, log = opened(short, is_master=is_master)
        assert log.head == batch.before
        sealed = max(b.span.last_id for b in original.batches if b.path == last)
        assert log.damage[0].claimed_id == sealed
        assert files_of(disk) == {p: c for p, c in short.items() if p != MARKS}


def test_two_segments_of_a_log_that_went_another_way_are_damage_at_open() -> None:
    originals = []
    for word in ("entry", "other"):
        disk = SimFilesystem(Random(0))
        log = open_log(disk, segment_bytes_max=700)
        for number in range(8):
            append_durably(log, f"{word} {number}")
        log.close()
        originals.append(Original(everything(disk)))
    ours, theirs = originals
    assert ours.segments == theirs.segments
    assert len(ours.segments) == 4
    files = ours.files
    for path in ours.segments[1:3]:
        files = changed(files, path, theirs.files[path])
    _, log = opened(files, is_master=True)
    assert log.head == ours.heads[2]
    assert (log.damage[0].segment, log.damage[0].last_id) == (f"{3:020d}.ndjson", 6)
