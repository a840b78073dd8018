"""When batches were made: the time of an entry's batch, and the first entry since a time."""

from __future__ import annotations

from random import Random

import pytest

from replog.core.entry import EntryId, Epoch
from replog.core.errors import DamagedLogError
from replog.storage import times
from replog.storage.batch import encode_message, parse_time
from replog.storage.log import Log
from replog.storage.timestamps import format_time
from tests.simulator.disk import SimFilesystem
from tests.simulator.file import SimFile
from tests.storage.logs import (
    NOTHING,
    TIME_MS,
    Original,
    append,
    disk_with,
    everything,
    files_of,
    open_log,
)


class CountedDisk(SimFilesystem):
    """Notes what is read of which file."""

    def __init__(self) -> None:
        super().__init__(Random(0))
        self.read: list[tuple[str, int]] = []

    def open(self, path: str, *, writable: bool, create: bool = False) -> SimFile:
        file = super().open(path, writable=writable, create=create)
        read_at = file.read_at

        def counted(offset: int, size: int) -> bytes:
            self.read.append((path.rpartition("/")[2], size))
            return read_at(offset, size)

        setattr(file, "read_at", counted)  # noqa: B010 - a method is not assignable to mypy
        return file


def expected(original: Original, time_ms: int) -> int:
    """Return what `first_since` should, by looking at every batch."""
    time = format_time(time_ms)
    for batch in original.batches:
        if batch.span.time >= time:
            return batch.span.first_id
    return original.head.last_id + 1


def check_every_time(log: Log, original: Original) -> None:
    for place in range(1, original.head.last_id + 1):
        holder = next(b for b in original.batches if b.span.first_id <= place <= b.span.last_id)
        assert log.time_of(EntryId(place)) == holder.span.time, place
    made = sorted({parse_time(batch.span.time) for batch in original.batches})
    for time_ms in [0, *made, *(t - 1 for t in made), *(t + 1 for t in made), 10**15]:
        shown = min(time_ms, 253_402_300_799_999)
        assert log.first_since(time_ms) == expected(original, shown), time_ms


@pytest.mark.parametrize("seed", range(12))
def test_every_time_is_found_in_every_order_of_asking(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    monkeypatch.setattr(times, "_WINDOW_BYTES", random.choice([11, 40, 300, 5000]))
    monkeypatch.setattr(times, "_TAIL_BYTES", random.choice([30, 300]))
    disk = SimFilesystem(Random(seed))
    log = open_log(disk, segment_bytes_max=random.choice([700, 1500, 6000, 10**6]))
    time_ms, epoch, number = TIME_MS, 1, 0
    for _ in range(random.randrange(1, 40)):
        time_ms += random.choice([0, 0, 1, 5, 40])
        count = random.choice([0, 1, 1, 2, 7])
        epoch += count == 0
        texts = [f"{number + n}" + "x" * random.randrange(60) for n in range(count)]
        number += count
        append(log, *texts, epoch=epoch, time_ms=time_ms)
    log.sync()
    original = Original(everything(disk))
    check_every_time(log, original)
    log.close()
    check_every_time(open_log(disk), original)
    opened = open_log(disk_with(original.files))
    for _ in range(60):  # each one on a segment that is verified up to anywhere
        asked = TIME_MS + random.randrange(-5, time_ms - TIME_MS + 5)
        assert opened.first_since(asked) == expected(original, asked)


def test_an_empty_log_has_nothing_since_any_time() -> None:
    log = open_log(SimFilesystem(Random(0)))
    assert log.first_since(TIME_MS) == 1
    assert log.first_since(-1) == 1
    with pytest.raises(DamagedLogError, match="not in the log"):
        log.time_of(EntryId(1))


def test_long_messages_and_long_trailers_are_passed_over_whole() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=10**8)
    for place in range(12):
        first = log.head.last_id + 1
        texts = ["m" * (place % 4) * 300_000, *("s" for _ in range(place % 3 * 700))]
        log.append(
            [encode_message(text) for text in texts],
            epoch=Epoch(1),
            committed_id=NOTHING,
            time_ms=TIME_MS + 10 * place,
            keys={EntryId(first + n): f"{n:0255d}" for n in range(len(texts) - 1)},
        )
    log.sync()
    original = Original(everything(disk))
    for opened in (log, open_log(disk_with(original.files))):
        for place, batch in enumerate(original.batches):
            for time_ms in (TIME_MS + 10 * place - 9, TIME_MS + 10 * place):
                assert opened.first_since(time_ms) == batch.span.first_id
            assert opened.time_of(batch.span.last_id) == batch.span.time


def counted_segments() -> CountedDisk:
    """Return a disk with a log of 400 entries in many segments."""
    disk = CountedDisk()
    log = open_log(disk, segment_bytes_max=200_000)
    for place in range(400):
        append(log, "x" * 5_000, time_ms=TIME_MS + place)
    log.sync()
    log.close()
    return disk


def test_a_time_is_found_without_reading_the_segments_beside_it() -> None:
    disk = counted_segments()
    names = [path.rpartition("/")[2] for path in sorted(files_of(disk))]
    assert len(names) > 8
    log = open_log(disk)
    disk.read.clear()
    assert log.first_since(TIME_MS + 200) == 201
    assert len({name for name, _ in disk.read}) == 1
    disk.read.clear()
    assert log.first_since(TIME_MS + 201) == 202  # the same segment: verified by now
    assert sum(size for _, size in disk.read) < 300_000
    disk.read.clear()
    assert log.first_since(TIME_MS + 10_000) == 401
    assert disk.read == []


def test_rot_is_never_taken_for_a_time() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=1500)
    for place in range(30):
        append(log, "x" * 50, time_ms=TIME_MS + place)
    log.sync()
    log.close()
    original = Original(everything(disk))
    path = original.segments[2]
    batch = next(b for b in original.batches if b.path == path and b.span.time > format_time(0))
    at = original.files[path].index(b'"time"', batch.span.start) + 10
    rotten = bytearray(original.files[path])
    rotten[at] ^= 1
    log = open_log(disk_with({**original.files, path: bytes(rotten)}))
    asked = parse_time(batch.span.time)
    with pytest.raises(DamagedLogError):
        log.first_since(asked)
    assert log.damage[0].first_id == batch.span.first_id
    assert log.first_since(asked - 1) == batch.span.first_id - 1
    assert log.first_since(asked) == batch.span.first_id  # behind what is good
    with pytest.raises(DamagedLogError, match="damaged range"):
        log.time_of(batch.span.first_id)


def test_the_last_keys_are_found_without_reading_the_segments_before_them() -> None:
    disk = counted_segments()
    log = open_log(disk)
    disk.read.clear()
    assert list(log.keys.between(EntryId(399), EntryId(400))) == []
    assert len({name for name, _ in disk.read}) == 1
