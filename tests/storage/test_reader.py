"""Streams of entries: every line once and in order, however the file is cut into reads."""

from __future__ import annotations

from random import Random

import pytest

from replog.core.entry import EntryId
from replog.storage import index, reader
from replog.storage.batch import encode_message
from replog.storage.lines import TRAILER_BYTES_MIN
from replog.storage.log import Log
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import Original, append, append_durably, everything, open_log, read


def _chunks(log: Log, first: int, last: int) -> list[bytes]:
    stream = log.reader(EntryId(first), EntryId(last))
    return list(iter(stream.next_chunk, None))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("chunk_bytes", [50, 700, 5000])
@pytest.mark.parametrize("spacing", [1, 900])
def test_every_range_is_read_as_it_was_written(
    seed: int, chunk_bytes: int, spacing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(reader, "WINDOW_BYTES_MAX", 4 * chunk_bytes)
    monkeypatch.setattr(index, "SPACING_BYTES", spacing)
    random = Random(seed)
    disk = SimFilesystem(Random(seed))
    log = open_log(disk, segment_bytes_max=random.choice([1500, 20_000]))
    epoch = 1
    for _ in range(40):
        count = random.choice([0, 1, 1, 1, 3, 30])
        epoch += count == 0
        append(log, *("\n" * random.choice([0, 3, 90]) for _ in range(count)), epoch=epoch)
    log.sync()
    end = log.head.last_id
    lines = Original(everything(disk)).lines(end)
    assert read(log) == lines
    for _ in range(10):
        first = random.randint(1, end)
        last = random.randint(first, end)
        expected = b"".join(lines.splitlines(keepends=True)[first - 1 : last])
        assert b"".join(_chunks(log, first, last)) == expected


@pytest.mark.parametrize("batch_entries", [1, 100])
def test_a_chunk_holds_as_many_lines_whatever_the_batches(
    batch_entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CHUNK_BYTES", 10_000)
    monkeypatch.setattr(index, "SPACING_BYTES", 1)
    log = open_log(SimFilesystem(Random(0)), segment_bytes_max=10**9)
    for _ in range(2000 // batch_entries):
        append(log, *["message"] * batch_entries)
    log.sync()
    _, *middle, _ = _chunks(log, 1, 2000)
    assert middle
    assert all(5_000 <= len(chunk) <= 11_000 for chunk in middle)


def test_the_shortest_trailer_is_the_shortest_that_is_written() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    append_durably(log, "a")
    (path,) = Original(everything(disk)).segments
    header, entry, trailer = everything(disk)[path].splitlines(keepends=True)
    del header
    assert entry == b'{"id":1,"message":%b}\n' % encode_message("a")
    assert len(trailer) == TRAILER_BYTES_MIN
