"""The log as its users see it: append, sync, read, look up, and the same after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId
from replog.core.errors import DamagedLogError, StorageError
from replog.storage import contents
from replog.storage.batch import LimitError, parse_time
from replog.storage.filesystem import PosixFilesystem
from replog.storage.log import Log
from replog.storage.recent import RECENT_BYTES_MAX, RecentBatches
from replog.storage.span import spans
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import (
    DIRECTORY,
    NOTHING,
    SEGMENTS,
    TIME_MS,
    Original,
    append,
    append_durably,
    everything,
    files_of,
    open_log,
    read,
    stream,
    texts,
)

COUNTS = (1, 3, 1, 1, 2, 5, 1, 1, 1, 2, 4, 1, 7, 1, 1)


def filled(*, segment_bytes_max: int = 900) -> tuple[SimFilesystem, Log]:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=segment_bytes_max)
    for messages in texts(*COUNTS):
        append_durably(log, *messages)
    return disk, log


def reopened(disk: SimFilesystem, log: Log) -> Log:
    log.close()
    return open_log(disk)


def both(disk: SimFilesystem, log: Log) -> Iterator[Log]:
    """Yield the log as it was written, and as it was opened again."""
    yield log
    yield reopened(disk, log)


def test_a_new_directory_that_names_no_log_has_nothing_to_say() -> None:
    log = Log.open(SimFilesystem(Random(0)), "data", is_master=True, log_id=None)
    assert (log.head, log.damage, log.cuts, log.notices) == (GENESIS, (), (), ())


def test_an_empty_directory_is_an_empty_log() -> None:
    log = open_log(SimFilesystem(Random(0)))
    assert (log.head, log.durable, log.commit_note) == (GENESIS, GENESIS, 0)
    assert (log.damage, log.cuts) == ((), ())
    (notice,) = log.notices  # node.json names a log, so its marks were here once
    assert "marks was lost" in notice
    assert read(log) == b""
    assert log.contains(GENESIS)
    assert log.around(NOTHING) == (GENESIS, None)
    assert log.read_batches(GENESIS, through=EntryId(9), size_max=1000) is None
    assert log.scrub_next() is None


def test_what_was_appended_is_read_as_the_lines_that_stand_in_the_file() -> None:
    log = open_log(SimFilesystem(Random(0)))
    append_durably(log, "one", 'zwei\n"\u2028😀', "\x00")
    assert (
        read(log)
        == (
            '{"id":1,"message":"one"}\n'
            '{"id":2,"message":"zwei\\n\\"\u2028😀"}\n'
            '{"id":3,"message":"\\u0000"}\n'
        ).encode()
    )


def test_a_batch_counts_as_durable_only_after_sync() -> None:
    log = open_log(SimFilesystem(Random(0)))
    first = append_durably(log, "one")
    second = append(log, "two")
    assert (log.head, log.durable) == (second, first)
    assert log.sync() == log.durable == second


def test_everything_is_there_after_a_restart_clean_or_not() -> None:
    for is_clean in (True, False):
        disk, log = filled()
        lines, head = read(log), log.head
        if is_clean:
            log.close()
        disk.end_process()
        log = open_log(disk)
        assert (log.head, log.durable, log.damage, log.cuts) == (head, head, (), ())
        assert read(log) == lines
        append_durably(log, "one more")
        assert log.head.last_id == head.last_id + 1


def test_segments_are_sealed_at_their_size_and_named_after_their_first_id() -> None:
    disk, log = filled()
    original = Original(files_of(disk))
    assert len(original.segments) > 4
    for path in original.segments:
        own = [batch for batch in original.batches if batch.path == path]
        assert path == f"{SEGMENTS}/{own[0].span.first_id:020d}.ndjson"
        assert [batch.span.seal for batch in own[:-1]] == [False] * (len(own) - 1)
        assert own[-1].span.seal == (path != original.segments[-1])
    assert original.head == log.head


def test_one_batch_may_be_larger_than_a_segment() -> None:
    log = open_log(SimFilesystem(Random(0)), segment_bytes_max=1000)
    for size in (10, 300_000, 10):
        append_durably(log, "x" * size)
    assert [len(line) for line in read(log).splitlines()] == [31, 300_021, 31]


def test_time_in_the_log_never_goes_back() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    append(log, "at noon")
    append(log, "a second earlier by the clock", time_ms=TIME_MS - 1000)
    log.sync()
    log = reopened(disk, log)
    append(log, "an hour earlier by the clock", time_ms=TIME_MS - 3_600_000)
    (payload,) = files_of(disk).values()
    assert [parse_time(span.time) for span in spans(payload)] == [TIME_MS] * 3


def test_a_batch_without_entries_opens_an_epoch() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    heads = [append_durably(log, "one"), append_durably(log, epoch=2), append_durably(log, epoch=4)]
    heads.append(append_durably(log, "two", epoch=4))
    for opened in both(disk, log):
        assert all(opened.contains(head) for head in heads)
        assert opened.around(EntryId(1)) == (heads[2], heads[3])
        assert opened.around(EntryId(0)) == (GENESIS, heads[0])
        assert read(opened).count(b"\n") == 2
        for after, end in zip((GENESIS, *heads), heads, strict=False):
            found = opened.read_batches(after, through=EntryId(2), size_max=1)
            assert found is not None
            assert found[0] == end


def test_a_log_may_begin_with_batches_without_entries() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    heads = [append_durably(log, epoch=1), append_durably(log, epoch=2)]
    for opened in both(disk, log):
        assert opened.head == heads[1]
        assert all(opened.contains(head) for head in (GENESIS, *heads))
        assert not opened.contains(Head(Epoch(1), NOTHING, bytes(32)))
    log = open_log(disk)
    heads.append(append_durably(log, "one", epoch=2))
    assert log.around(NOTHING) == (heads[1], heads[2])
    assert log.contains(heads[0])


def test_a_range_in_the_middle_of_a_long_batch_is_found() -> None:
    log = open_log(SimFilesystem(Random(0)), segment_bytes_max=10_000_000)
    append_durably(log, *[f"{n} " + "x" * (n * 7 % 100) for n in range(1, 15_000)])
    lines = read(log).splitlines(keepends=True)
    for first in range(1, 15_000, 97):
        last = min(first + first % 5, 14_999)
        assert read(log, first, last) == b"".join(lines[first - 1 : last])
    assert log.around(EntryId(7000)) == (GENESIS, log.head)


def test_a_segment_may_begin_with_batches_without_entries() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=600)
    heads = [GENESIS, append_durably(log, "one"), append_durably(log, "two")]
    assert len(files_of(disk)) == 1
    heads += [append_durably(log, epoch=epoch) for epoch in (2, 5)]
    assert len(files_of(disk)) == 2
    for opened in both(disk, log):
        assert all(opened.contains(head) for head in heads)
        assert opened.around(EntryId(1)) == (heads[1], heads[2])
        assert opened.around(EntryId(2)) == (heads[4], None)
    log = open_log(disk)
    heads.append(append_durably(log, "three", epoch=5))
    for opened in both(disk, log):
        assert all(opened.contains(head) for head in heads)
        assert opened.around(EntryId(2)) == (heads[4], heads[5])
        for after, end in pairwise(heads):
            found = opened.read_batches(after, through=EntryId(3), size_max=1)
            assert found is not None
            assert found[0] == end
    log = open_log(disk)
    for end in reversed(heads):
        log.cut(end)
        assert log.head == end
        log = reopened(disk, log)
        assert (log.head, log.damage) == (end, ())


def test_a_batch_that_is_too_long_is_refused_and_nothing_of_it_stored() -> None:
    disk, log = filled()
    before = everything(disk)
    with pytest.raises(LimitError):
        append(log, "x" * (33 * 1024 * 1024))
    assert everything(disk) == before
    append_durably(log, "goes on")


def test_every_range_of_entries_can_be_read() -> None:
    disk, log = filled()
    lines = read(log).splitlines(keepends=True)
    for opened in both(disk, log):
        for first in range(1, len(lines) + 1):
            for last in range(first - 1, len(lines) + 1):
                assert read(opened, first, last) == b"".join(lines[first - 1 : last]), (first, last)


def test_a_range_beyond_the_head_is_refused_rather_than_cut_short() -> None:
    _, log = filled()
    with pytest.raises(DamagedLogError):
        read(log, 1, log.head.last_id + 1)


def test_every_batch_end_is_found_and_nothing_else() -> None:
    disk, log = filled()
    original = Original(files_of(disk))
    for opened in both(disk, log):
        for head in original.heads:
            assert opened.contains(head)
            assert not opened.contains(Head(Epoch(head.epoch + 1), head.last_id, head.hash))
            assert not opened.contains(Head(head.epoch, head.last_id, bytes(31) + b"\1"))
            assert not opened.contains(Head(head.epoch, EntryId(head.last_id + 1), head.hash))
        for at in range(opened.head.last_id + 3):
            below = max(i for i, head in enumerate(original.heads) if head.last_id <= at)
            above = original.heads[below + 1] if below + 1 < len(original.heads) else None
            assert opened.around(EntryId(at)) == (original.heads[below], above)


@pytest.mark.parametrize("is_cold", [False, True])
def test_batches_are_read_from_any_end_through_any_id_in_any_size(is_cold: bool) -> None:
    disk, log = filled()
    original = Original(files_of(disk))
    for at, after in enumerate(original.heads):
        for through in range(log.head.last_id + 2):
            for size_max in (1, 300, 600, 100_000):
                if is_cold and size_max == 300:
                    log = reopened(disk, log)
                found = log.read_batches(after, through=EntryId(through), size_max=size_max)
                possible = [b for b in original.batches[at:] if b.span.last_id <= through]
                if not possible:
                    assert found is None
                    continue
                assert found is not None
                head, payload = found
                taken = original.heads.index(head) - at
                assert payload == b"".join(map(original.content, possible[:taken]))
                assert len({b.path for b in possible[:taken]}) == 1
                assert taken == 1 or len(payload) <= size_max
                if size_max == 100_000:
                    rest = possible[taken:]
                    assert not rest or rest[0].path != possible[0].path


def test_batches_behind_a_head_of_another_log_are_not_there() -> None:
    _, log = filled()
    stranger = Head(Epoch(1), EntryId(3), b"\1" * 32)
    assert log.read_batches(stranger, through=log.head.last_id, size_max=1000) is None


def test_the_commit_note_survives_a_kill() -> None:
    disk, log = filled()
    for committed in (3, 7, 7, 12):
        log.note_commit(EntryId(committed))
    disk.end_process()
    assert open_log(disk).commit_note == 12


def test_segments_beside_a_node_json_without_a_log_are_refused() -> None:
    disk, log = filled()
    log.close()
    with pytest.raises(StorageError, match="names no log"):
        Log.open(disk, DIRECTORY, is_master=True, log_id=None)


def test_a_directory_without_a_log_takes_the_id_that_it_is_given() -> None:
    disk = SimFilesystem(Random(0))
    log = Log.open(disk, DIRECTORY, is_master=False, log_id=None)
    assert log.log_id is None
    assert log.head == GENESIS
    log.close()
    log = Log.open(disk, DIRECTORY, is_master=False, log_id=None)
    log.set_log_id(LogId("log-1"))
    append_durably(log, "one")
    assert reopened(disk, log).head.last_id == 1


def test_a_log_of_another_id_is_not_served() -> None:
    disk, log = filled()
    log.close()
    log = Log.open(disk, DIRECTORY, is_master=True, log_id=LogId("another"))
    assert log.head == GENESIS
    assert "log-1" in log.damage[0].reason


def test_only_so_many_recent_bytes_are_kept() -> None:
    recent = RecentBatches()
    heads = [Head(Epoch(1), EntryId(n), n.to_bytes(32, "big")) for n in range(3000)]
    for before, head in pairwise(heads):
        recent.add(before, head, bytes(10_000), seals=False)
    kept = [
        n
        for n, head in enumerate(heads)
        if recent.read(head, through=EntryId(head.last_id + 1), size_max=1)
    ]
    assert len(kept) == RECENT_BYTES_MAX // 10_000
    assert kept[-1] == len(heads) - 2


def test_a_batch_that_is_longer_than_all_that_is_kept_is_read_from_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("replog.storage.recent.RECENT_BYTES_MAX", 1000)
    log = open_log(SimFilesystem(Random(0)), segment_bytes_max=10**6)
    first = append_durably(log, "short")
    assert log.recent_batches(GENESIS, through=first.last_id, size_max=1) is not None
    long = append_durably(log, "x" * 2000)
    for after in (GENESIS, first):
        assert log.recent_batches(after, through=long.last_id, size_max=1) is None
        assert log.read_batches(after, through=long.last_id, size_max=1) is not None
    last = append_durably(log, "short")
    assert log.recent_batches(long, through=last.last_id, size_max=1) is not None


def test_it_works_the_same_on_a_real_disk(tmp_path: Path) -> None:
    disk = PosixFilesystem()
    master = open_log(disk, directory=str(tmp_path / "master"))
    log = open_log(disk, directory=str(tmp_path / "secondary"), is_master=False)
    for messages in texts(*COUNTS):
        append_durably(master, *messages)
    log.append_batches(stream(master))
    log.sync()
    names = sorted(path.name for path in (tmp_path / "master/segments").iterdir())
    assert len(names) > 4
    for name in names:
        ours = (tmp_path / "secondary/segments" / name).read_bytes()
        assert ours == (tmp_path / "master/segments" / name).read_bytes()
    half = master.around(EntryId(15))[0]
    log.cut(half)
    assert (log.head, log.durable) == (half, half)
    assert log.read_batches(half, through=master.head.last_id, size_max=1000) is None
    log.append_batches(stream(master, half))
    log.sync()
    log.close()
    log = open_log(disk, directory=str(tmp_path / "secondary"), is_master=False)
    assert (log.head, log.damage) == (master.head, ())
    assert read(log) == read(master)


def test_indexes_are_freed_on_a_node_that_nobody_reads_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contents, "INDEXES_MAX", 4)
    log = open_log(SimFilesystem(Random(0)))
    for number in range(60):
        append_durably(log, f"entry {number}")
    segments = log._contents.segments
    assert len(segments) > 10
    kept = [segment for segment in segments if segment.verified != segment.start]
    assert len(kept) <= 4 + 1, "the last segment is being written"
    assert read(log).count(b"\n") == 60
