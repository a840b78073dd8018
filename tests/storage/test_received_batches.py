"""Batches that come from another node: the same files, byte for byte, or nothing at all."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from replog.core.entry import GENESIS, EntryId, Epoch, Head
from replog.core.messages import Batches
from replog.storage.log import Log
from replog.storage.span import BadBatch
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import (
    LOG_ID,
    NOTHING,
    append_durably,
    everything,
    files_of,
    open_log,
    read,
    stream,
    texts,
)
from tests.support import format1

COUNTS = (1, 3, 1, 1, 2, 5, 1, 1, 1, 2, 4, 1, 7, 1, 1)


def filled() -> tuple[SimFilesystem, Log]:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=900)
    for messages in texts(*COUNTS):
        append_durably(log, *messages)
    return disk, log


def test_a_secondary_has_the_same_files_as_its_master_byte_for_byte() -> None:
    for size_max in (1, 500, 100_000):
        master_disk, master = filled()
        disk = SimFilesystem(Random(1))
        log = open_log(disk, is_master=False, segment_bytes_max=10_000_000)
        batches = stream(master, size_max=size_max)
        half = len(batches) // 2
        for batch in batches[:half]:
            log.append_batches([batch])
            assert log.head == batch.head
        log.sync()
        log.append_batches(batches[half:])
        assert log.sync() == master.head
        assert files_of(disk) == files_of(master_disk)
        log.close()
        log = open_log(disk, is_master=False)
        assert (log.head, log.damage, log.cuts) == (master.head, (), ())
        assert read(log) == read(master)


def test_received_batches_that_do_not_fit_are_refused_and_nothing_is_stored() -> None:
    _, master = filled()
    disk = SimFilesystem(Random(1))
    log = open_log(disk, is_master=False)
    batches = stream(master, size_max=1)
    log.append_batches(batches[:3])
    log.sync()
    before = everything(disk)
    wrong = [
        batches[1:2],
        batches[4:5],
        [batches[3], batches[5]],
        [Batches(Epoch(1), log.head, batches[0].head, NOTHING, batches[0].payload)],
    ]
    for refused in wrong:
        with pytest.raises(BadBatch):
            log.append_batches(refused)
        assert everything(disk) == before
    log.append_batches(batches[3:])
    assert log.sync() == master.head


def forged(after: Head, *, time: str = format1.NOON, header: bytes = b"") -> Batches:
    """Return a batch with the right hash for everything that it says."""
    first = after.last_id + 1
    lines = header + format1.entries(first, "forged")
    made = format1.batch(lines, first=first, last=first, prev=after.hash, time=time)
    head = Head(Epoch(1), EntryId(first), made.hash)
    return Batches(Epoch(1), after, head, NOTHING, made.payload)


def refused(log: Log, batches: Batches, reason: str) -> None:
    before = log.head
    with pytest.raises(BadBatch, match=reason):
        log.append_batches([batches])
    assert log.head == before


def test_batches_from_before_the_last_time_are_refused_though_their_hash_is_right() -> None:
    log = open_log(SimFilesystem(Random(0)))
    end = append_durably(log, "one")
    refused(log, forged(end, time="2000-01-01T00:00:00.000Z"), "time")
    log.append_batches([forged(end, time="2100-01-01T00:00:00.000Z")])


def test_a_header_in_the_middle_of_a_segment_or_none_at_its_beginning_is_refused() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=400)
    later = "2100-01-01T00:00:00.000Z"
    end = append_durably(log, "one")
    header = format1.header(log_id=LOG_ID, first=2, prev=end.hash)
    refused(log, forged(end, time=later, header=header), "segment does not begin")
    end = append_durably(log, "two")  # seals
    header = format1.header(log_id=LOG_ID, first=3, prev=end.hash)
    refused(log, forged(end, time=later), "segment does not begin")
    log.append_batches([forged(end, time=later, header=header)])
    log.sync()
    log.close()
    log = open_log(disk)
    assert (log.head.last_id, log.damage) == (3, ())


def test_batches_that_do_not_end_where_they_say_are_refused() -> None:
    """Whoever passes them on has verified them; what that missed is not written."""
    log = open_log(SimFilesystem(Random(0)))
    end = append_durably(log, "one")
    made = forged(end, time="2100-01-01T00:00:00.000Z")
    other = replace(made, head=Head(made.head.epoch, made.head.last_id, bytes(32)))
    refused(log, other, "it does not end at 2")
    junk = replace(made, payload=made.payload + b'{"batch":{"junk"\n')
    refused(log, junk, "trailer")


def test_batches_that_were_cut_are_not_read_from_memory() -> None:
    log = open_log(SimFilesystem(Random(0)), is_master=False)
    heads = [append_durably(log, text) for text in ("one", "two", "three")]
    log.cut(heads[0])
    assert log.read_batches(heads[0], through=heads[2].last_id, size_max=1000) is None
    assert log.read_batches(heads[1], through=heads[2].last_id, size_max=1000) is None


@pytest.mark.parametrize("is_master", [True, False])
def test_only_a_master_keeps_in_memory_what_it_may_send_on(*, is_master: bool) -> None:
    master = open_log(SimFilesystem(Random(0)))
    append_durably(master, "one")
    log = open_log(SimFilesystem(Random(1)), is_master=is_master)
    log.append_batches(stream(master))
    log.sync()
    after, through = GENESIS, log.head.last_id
    kept = log.recent_batches(after, through=through, size_max=1000)
    assert (kept is not None) == is_master
    assert log.read_batches(after, through=through, size_max=1000) is not None
