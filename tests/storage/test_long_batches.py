"""Batches longer than one read, and trailers without entries before them, read from the disk."""

from __future__ import annotations

from itertools import accumulate, pairwise
from pathlib import Path
from random import Random

import pytest

from replog.core.entry import GENESIS, EntryId
from replog.storage import lookup
from replog.storage.filesystem import PosixFile, PosixFilesystem
from replog.storage.index import SPACING_BYTES
from replog.storage.log import Log
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import Original, append, append_durably, files_of, open_log, read, stream


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


SIZES = (10, 90_000, 10, 10, 10, 300_000, 70_000, 10, 66_000, 20_000, 50_000, 10, 200_000, 10)


def test_batches_of_all_lengths_are_read_from_any_end_through_any_id_in_any_size() -> None:
    """Longer ones are found by the index alone; which are in it depends on how it came about."""
    disk = SimFilesystem(Random(0))
    written = open_log(disk, segment_bytes_max=400_000)
    for size in SIZES:
        append_durably(written, "x" * size)
    append_durably(written, epoch=2)
    received = open_log(SimFilesystem(Random(0)), is_master=False)
    received.append_batches(stream(written, size_max=10**6))
    original = Original(files_of(disk))
    for opened, is_cold in ((written, False), (received, False), (written, True)):
        log = opened
        for at, after in enumerate(original.heads[:-1]):
            for through in range(after.last_id, log.head.last_id + 2):
                for size_max in (1, 100, 65_000, 150_000, 350_000, 10**6):
                    if is_cold:
                        log.close()
                        log = open_log(disk, segment_bytes_max=400_000)
                    found = lookup.read_batches(
                        log._contents,
                        after,
                        through=EntryId(through),
                        size_max=size_max,
                    )
                    possible = [b for b in original.batches[at:] if b.span.last_id <= through]
                    if not possible:
                        assert found is None
                        continue
                    assert found is not None
                    head, payload = found
                    taken = original.heads.index(head) - at
                    in_file = [original.content(b) for b in possible if b.path == possible[0].path]
                    assert payload == b"".join(in_file[:taken])
                    assert taken == 1 or len(payload) <= size_max
                    fitting = [
                        total for total in accumulate(map(len, in_file)) if total <= size_max
                    ]
                    assert max(fitting, default=0) - len(payload) < SPACING_BYTES


@pytest.mark.parametrize("is_cold", [False, True])
@pytest.mark.parametrize("size", [200, 30_000, 700_000])
def test_a_log_is_read_about_once_for_the_links_however_long_its_batches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int, *, is_cold: bool
) -> None:
    disk = PosixFilesystem()
    log = open_log(disk, directory=str(tmp_path), segment_bytes_max=3_000_000)
    for _ in range(4_900_000 // size):
        append(log, "x" * size)
    log.sync()
    if is_cold:
        log.close()
        log = open_log(disk, directory=str(tmp_path), segment_bytes_max=3_000_000)
        read(log)  # and so it is verified
    read_bytes: list[int] = []
    read_at = PosixFile.read_at

    def counted(self: PosixFile, offset: int, size: int) -> bytes:
        data = read_at(self, offset, size)
        read_bytes.append(len(data))
        return data

    monkeypatch.setattr(PosixFile, "read_at", counted)
    log_bytes, after = 0, GENESIS
    while after != log.head:
        found = lookup.read_batches(
            log._contents,
            after,
            through=log.head.last_id,
            size_max=500_000,
        )
        assert found is not None
        after = found[0]
        log_bytes += len(found[1])
    assert log_bytes > 4_500_000
    assert sum(read_bytes) < 1.2 * log_bytes


@pytest.mark.parametrize("frame_bytes", [200_000, 10**6])
def test_what_was_received_is_indexed_nearly_as_what_was_verified(frame_bytes: int) -> None:
    """Else a secondary that caught up would look through megabytes for each entry."""
    written = open_log(SimFilesystem(Random(0)), segment_bytes_max=3_000_000)
    for number in range(6000):
        append(written, "x" * (number % 1000))
    written.sync()
    disk = SimFilesystem(Random(0))
    received = open_log(disk, is_master=False)
    received.append_batches(stream(written, size_max=frame_bytes))
    received.sync()
    distances = _distances(received)
    received.close()
    verified = open_log(disk, is_master=False)
    read(verified)
    assert len(distances) == 2
    for own, usual in zip(distances, _distances(verified), strict=True):
        assert max(usual) < SPACING_BYTES + 2 * 1200
        assert max(own) < 2 * (SPACING_BYTES + 1200), "where two frames meet"


def _distances(log: Log) -> list[list[int]]:
    """How far from one another the ends are that the index of each segment has."""
    return [
        [b - a for a, b in pairwise([*s.index.ends_within(s.stop.offset), s.stop.offset])]
        for s in log._contents.segments
    ]
