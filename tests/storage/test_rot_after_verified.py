"""Bytes that rot after this process has verified them: what is said of them is proved anew."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from random import Random

import pytest

from replog.core.entry import GENESIS, EntryId, Epoch
from replog.core.errors import DamagedLogError
from replog.core.messages import Batches
from replog.storage import index
from replog.storage.batch import BadBatch, encode_message
from replog.storage.log import Log
from tests.simulator.disk import SimFilesystem
from tests.simulator.images import Inode
from tests.storage.logs import (
    NOTHING,
    SEGMENTS,
    TIME_MS,
    Placed,
    append,
    append_durably,
    files_of,
    open_log,
    read,
)
from tests.storage.small_log import opened, small


def verified() -> tuple[SimFilesystem, Log]:
    """Return a log, every byte of which has been read."""
    original = small(is_closed=True)
    disk, log = opened(original.files, is_master=True)
    assert read(log) == original.lines(original.head.last_id)
    return disk, log


def test_a_log_never_says_because_of_rot_that_it_does_not_hold_a_batch() -> None:
    """A secondary would cut off what the master, too, has acknowledged (R3)."""
    random = Random(0)
    for batch in small(is_closed=True).batches[:-1]:
        for offset in range(batch.span.entries_stop + random.randrange(5), batch.span.stop, 5):
            disk, log = verified()
            disk.flip_bit(batch.path, offset, random.randrange(8))
            try:
                assert log.contains(batch.span.head)
            except DamagedLogError:
                assert log.damage[0].before == batch.before
                assert log.head == batch.before


def test_the_ends_around_an_id_are_those_that_were_written_or_none() -> None:
    original = small(is_closed=True)
    for batch in original.batches[:-1]:
        for offset in range(batch.span.start, batch.span.stop, 23):
            disk, log = verified()
            disk.flip_bit(batch.path, offset, offset % 8)
            with pytest.raises(DamagedLogError):
                log.around(EntryId(batch.span.last_id - 1))
            assert log.damage[0].before == batch.before


def test_a_segment_can_be_verified_again_at_once() -> None:
    original = small(is_closed=True)
    for batch in original.batches:
        disk, log = verified()
        log.verify_again([EntryId(batch.span.first_id)])
        assert not log.damage
        disk.flip_bit(batch.path, batch.span.entries_start, 3)
        log.verify_again([EntryId(1), EntryId(batch.span.first_id)])
        assert [damage.before for damage in log.damage] == [batch.before]


def flipped(batch: Placed, offset: int, bit: int = 3) -> Log:
    """Return a log of which one bit turned after everything was read."""
    disk, log = verified()
    disk.flip_bit(batch.path, offset, bit)
    return log


def id_of(batch: Placed) -> int:
    """Return where the id of the first entry of a batch stands."""
    return batch.span.entries_start + len('{"id":')


READS: list[Callable[[Log, Placed], object]] = [
    lambda log, batch: read(log, batch.span.first_id),
    lambda log, batch: log.time_of(batch.span.first_id),
    lambda log, batch: log.read_batches(batch.before, through=log.head.last_id, size_max=500),
    lambda log, batch: log.reader(batch.span.first_id, batch.span.first_id).next_chunk(),
]


@pytest.mark.parametrize("ask", READS, ids=["read", "time", "batches", "entry"])
def test_an_entry_whose_id_rotted_is_not_found_under_another(
    ask: Callable[[Log, Placed], object],
) -> None:
    for batch in small(is_closed=True).batches:
        log = flipped(batch, id_of(batch))
        with pytest.raises(DamagedLogError):
            ask(log, batch)
        assert log.damage[0].before == log.head == batch.before


def test_a_letter_that_rots_into_the_end_of_a_line_makes_no_more_entries() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    append_durably(log, 'a "}J that is one bit from the end of a line')
    offset = files_of(disk)[f"{SEGMENTS}/{1:020d}.ndjson"].index(b"J")
    disk.flip_bit(f"{SEGMENTS}/{1:020d}.ndjson", offset, 6)
    with pytest.raises(DamagedLogError):
        read(log)
    assert (log.head, log.damage[0].offset) == (GENESIS, 0)


def test_a_time_that_rotted_into_the_past_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "SPACING_BYTES", 1)
    for spoil, bit in ((b'"time":"2', 1), (b'"batch"', 3)):
        disk = SimFilesystem(Random(0))
        log = open_log(disk, segment_bytes_max=10**6)
        append(log, "one", time_ms=TIME_MS)
        append_durably(log, "two")
        append(log, "three", time_ms=TIME_MS + 1000)
        path = f"{SEGMENTS}/{1:020d}.ndjson"
        content = files_of(disk)[path]
        # The year of the only batch since then; or the first trailer, by which it is found.
        at = content.rindex(spoil) if bit == 1 else content.index(spoil)
        disk.flip_bit(path, at + len(spoil) - 1, bit)
        with pytest.raises(DamagedLogError):
            log.first_since(TIME_MS + 1000 if bit == 1 else TIME_MS)
        assert log.damage


def test_an_append_behind_which_the_log_is_damaged_is_not_said_to_be_another() -> None:
    """Its key is stored; whether all of it is, nobody can tell before the repair."""
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    messages = [encode_message(text) for text in ("one", "two")]
    for number, message in enumerate(messages, 1):
        keys = {EntryId(1): "key"} if number == 1 else {}
        log.append([message], epoch=Epoch(1), committed_id=NOTHING, time_ms=TIME_MS, keys=keys)
    log.sync()
    path = f"{SEGMENTS}/{1:020d}.ndjson"
    disk.flip_bit(path, files_of(disk)[path].index(b"two"), 1)
    log.verify_again([EntryId(2)])
    assert log.head.last_id == 1
    with pytest.raises(DamagedLogError, match="id 2 is at or behind a damaged range"):
        log.keys.confirm(keys=["key", None], messages=messages, candidates=[[EntryId(1)], []])


def become_zeros(disk: SimFilesystem, path: str, start: int, stop: int) -> None:
    """Have a file hold zeros from `start` to `stop` or its end."""
    inode = disk.find(path)
    assert isinstance(inode, Inode)
    for image in (inode.cached, inode.durable):
        end = min(stop, len(image))
        image[start:end] = bytes(end - start)


def test_a_batch_that_became_zeros_is_missed_before_anything_is_shown() -> None:
    """Simulator seed 55975, uncapped: a disk lost a write, and the page cache forgot it."""
    original = small(is_closed=True)
    for batch in original.batches:
        if batch.span.entries_start == batch.span.entries_stop:
            continue
        disk, log = verified()
        become_zeros(disk, batch.path, batch.span.entries_start, batch.span.stop)
        reader = log.reader(EntryId(1), log.head.last_id)
        shown: list[bytes] = []
        with pytest.raises(DamagedLogError):
            shown.extend(iter(reader.next_chunk, None))
        assert original.lines(original.head.last_id).startswith(b"".join(shown))
        assert log.damage[0].before == batch.before


def test_an_entry_alone_whose_trailer_became_zeros_is_not_shown() -> None:
    disk, log = verified()
    first = small(is_closed=True).batches[0]
    become_zeros(disk, first.path, first.span.entries_stop, first.span.stop)
    with pytest.raises(DamagedLogError):
        read(log, 1, 1)
    assert log.damage[0].before == GENESIS


def every_question(log: Log) -> list[Callable[[], object]]:
    last_id = log.head.last_id
    return [
        lambda: read(log, 1, last_id),
        lambda: read(log, last_id, last_id),
        lambda: log.keys.between(EntryId(1), last_id),
        lambda: log.keys.between(last_id, last_id),
        lambda: log.time_of(last_id),
        lambda: log.first_since(TIME_MS * 2),
        lambda: log.around(EntryId(last_id - 1)),
        lambda: log.read_batches(GENESIS, through=last_id, size_max=1 << 20),
    ]


def test_whatever_became_zeros_every_question_ends() -> None:
    """Simulator seeds 628903 and 898423, uncapped: two of them went round for ever."""
    for batch in small(is_closed=True).batches:
        for start in (0, batch.span.start, batch.span.entries_stop, batch.span.entries_stop + 20):
            for at in range(len(every_question(verified()[1]))):
                disk, log = verified()
                become_zeros(disk, batch.path, start, 1 << 20)
                with suppress(DamagedLogError):
                    every_question(log)[at]()


def test_a_last_trailer_without_its_end_is_missed_by_who_looks_for_a_time() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=10**6)
    append_durably(log, "one")
    append(log, "two", time_ms=TIME_MS + 1000)
    log.sync()
    path = f"{SEGMENTS}/{1:020d}.ndjson"
    disk.flip_bit(path, len(files_of(disk)[path]) - 1, 0)
    with pytest.raises(DamagedLogError):
        log.first_since(TIME_MS + 1000)
    assert log.damage[0].before.last_id == 1


def test_batches_that_became_zeros_for_long_are_refused_by_who_receives_them() -> None:
    """No end of a batch is found in what is read first, so more is."""
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=10**7)
    first = append_durably(log, "one")
    for _ in range(40):
        append_durably(log, "x" * 5_000)
    log.close()
    log = open_log(disk, segment_bytes_max=10**7)  # it keeps what it wrote itself in memory
    assert read(log)
    become_zeros(disk, f"{SEGMENTS}/{1:020d}.ndjson", 2_000, 120_000)
    received = open_log(SimFilesystem(Random(0)))
    for after, fits in ((GENESIS, True), (first, False)):
        found = log.read_batches(after, through=log.head.last_id, size_max=1)
        assert found is not None
        batches = [Batches(Epoch(1), after, found[0], NOTHING, found[1])]
        with nullcontext() if fits else pytest.raises(BadBatch):
            received.append_batches(batches)
    assert received.head == first
