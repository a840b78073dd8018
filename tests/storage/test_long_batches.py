"""Batches longer than one read, and trailers without entries before them, read from the disk."""

from __future__ import annotations

from random import Random

import pytest

from replog.core.entry import GENESIS
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import append_durably, open_log


def test_a_batch_is_read_whole_however_few_bytes_were_asked_for() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=10**8)
    heads = [append_durably(log, "x" * size) for size in (10, 5000, 600_000, 10)]
    log.close()
    log = open_log(disk, segment_bytes_max=10**8)
    after = GENESIS
    for head in heads:
        found = log.read_batches(after, through=heads[-1].last_id, size_max=1)
        assert found is not None
        assert found[0] == head
        after = head


@pytest.mark.parametrize("size_max", [1, 12, 100, 300])
def test_a_trailer_without_entries_is_read_whole_though_it_is_cut_by_what_was_asked_for(
    size_max: int,
) -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    before = append_durably(log, "one")
    opening = append_durably(log, epoch=2)
    last = append_durably(log, "two", epoch=2)
    log.close()
    log = open_log(disk)
    found = log.read_batches(before, through=last.last_id, size_max=size_max)
    assert found is not None
    assert found[0] == opening
    assert found[1].count(b"\n") == 1


def test_epochs_that_were_opened_before_much_more_are_found_one_behind_the_other() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=10**8)
    append_durably(log, "one")
    openings = [append_durably(log, epoch=epoch) for epoch in (2, 3, 4)]
    last = append_durably(log, *("x" * 1000 for _ in range(600)), epoch=4)
    log.close()
    log = open_log(disk, segment_bytes_max=10**8)
    for before, behind in zip(openings, [*openings[1:], last], strict=True):
        assert log.contains(before)
        found = log.read_batches(before, through=last.last_id, size_max=1)
        assert found is not None
        assert found[0] == behind
