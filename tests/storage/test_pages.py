"""Small pages in one read: the same entries and hash as the long way gives, or nothing."""

from __future__ import annotations

from random import Random
from typing import cast

import pytest

from replog.core.entry import EntryId
from replog.storage import index, pages
from replog.storage.filesystem import File
from replog.storage.index import Bounds
from replog.storage.log import Log
from replog.storage.pages import Page
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import (
    Original,
    append,
    append_durably,
    disk_with,
    everything,
    open_log,
    read,
)


def at_hand(log: Log, first: int, last: int) -> Page | None:
    return log.reader(EntryId(first), EntryId(last)).page_at_hand()


class Content:
    """A file to read from that holds `content`, and the reads that were made."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.reads: list[tuple[int, int]] = []

    def read_at(self, offset: int, size: int) -> bytes:
        self.reads.append((offset, size))
        return self.content[offset : offset + size]


def page_in(content: bytes, first: int, last: int, of: int) -> Page | None:
    """Look into a file whose only batch has the entries 1 to `of`."""
    bounds = Bounds(0, len(content), EntryId(1), EntryId(of))
    file = cast(File, Content(content))
    return pages._page_in(file, bounds, EntryId(first), EntryId(last))


def expected(original: Original, first: int, last: int) -> Page:
    lines = original.lines(original.head.last_id).splitlines(keepends=True)
    holder = next(b for b in original.batches if b.span.first_id <= last <= b.span.last_id)
    return Page(b"".join(lines[first - 1 : last]), holder.span.hash)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("near", [1, 64, 4096])
@pytest.mark.parametrize("spacing", [1, index.SPACING_BYTES])
def test_every_small_page_is_the_one_of_the_log(
    seed: int, near: int, spacing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_NEAR_BYTES", near)
    monkeypatch.setattr(pages, "MARGINS", (near, 4 * near, pages.PAGE_READ_BYTES))
    monkeypatch.setattr(index, "SPACING_BYTES", spacing)
    random = Random(seed)
    disk = SimFilesystem(Random(seed))
    log = open_log(disk, segment_bytes_max=random.choice([1500, 9000, 10**6]))
    epoch = 1
    for _ in range(random.randrange(1, 30)):
        count = random.choice([0, 1, 1, 3, 30])
        epoch += count == 0
        append(log, *('"\\\n{"id":7,' * random.randrange(9) for _ in range(count)), epoch=epoch)
    log.sync()
    original = Original(everything(disk))
    end = original.head.last_id
    reopened = open_log(disk_with(original.files))
    read(reopened)
    met = 0
    for _ in range(80 if end else 0):
        first = random.randint(1, end)
        last = min(end, first + random.choice([0, 0, 1, 5, 40]))
        for opened in (log, reopened):
            page = at_hand(opened, first, last)
            if page is not None:
                assert page == expected(original, first, last)
                met += 1
    assert met > 40 or end < 2


def test_what_is_not_at_hand_is_none_and_never_wrong() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=2000)
    for place in range(40):
        append_durably(log, f"message {place}" + "x" * 100)
    assert at_hand(log, 40, 41) is None  # beyond the end
    assert at_hand(log, 41, 41) is None
    borders = [at_hand(log, place, place + 1) is None for place in range(1, 40)]
    assert sum(borders) == len(log._contents.segments) - 1
    log.close()
    log = open_log(disk)
    assert at_hand(log, 1, 1) is None  # not verified yet
    read(log, 1, 1)
    assert at_hand(log, 1, 1) is not None


def test_a_page_that_takes_a_long_read_is_not_at_hand() -> None:
    log = open_log(SimFilesystem(Random(0)), segment_bytes_max=10**8)
    append_durably(log, *("x" * 1000 for _ in range(200)))
    assert at_hand(log, 1, 200) is not None
    append_durably(log, *("x" * 1000 for _ in range(300)))
    assert at_hand(log, 201, 500) is None
    assert at_hand(log, 201, 400) is not None
    assert at_hand(log, 350, 350) is not None


def test_an_entry_is_read_where_it_should_be_and_its_hash_at_the_end_of_the_batch() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=10**8)
    append_durably(log, *("x" * 100 for _ in range(1000)))
    (path,) = Original(everything(disk)).segments
    file = Content(everything(disk)[path])
    bounds = Bounds(0, len(file.content), EntryId(1), EntryId(1000))
    page = pages._page_in(cast(File, file), bounds, EntryId(500), EntryId(500))
    assert page == expected(Original(everything(disk)), 500, 500)
    assert sum(size for _, size in file.reads) < 6000


def test_entries_of_unequal_length_are_found_farther_away() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=10**8)
    append_durably(log, *("x" * (10 if place < 400 else 2000) for place in range(450)))
    original = Original(everything(disk))
    for place in range(1, 451):
        assert at_hand(log, place, place) == expected(original, place, place)


def test_rot_after_the_check_is_not_at_hand() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    append_durably(log, "one", "two", "three")
    (path,) = Original(everything(disk)).segments
    content = everything(disk)[path]
    for place in range(len(content)):
        rotten = content[:place] + b"~" + content[place + 1 :]
        page = page_in(rotten, 1, 3, of=3)
        assert page is None or page.lines.count(b"\n") == 3
    assert page_in(content.replace(b'"id":2', b'"ix":2'), 2, 2, of=3) is None
    assert page_in(content.replace(b'"batch"', b'"botch"'), 2, 2, of=3) is None


def test_what_takes_little_is_told_before_it_is_read() -> None:
    log = open_log(SimFilesystem(Random(0)), segment_bytes_max=3 * pages.PAGE_READ_BYTES)
    append_durably(log, "one")
    append_durably(log, "two")
    assert log.reader(EntryId(1), EntryId(2)).is_at_hand()
    assert not log.reader(EntryId(1), EntryId(3)).is_at_hand(), "there is no third"
    assert not log.reader(EntryId(4), EntryId(4)).is_at_hand()
    append_durably(log, "x" * 2 * pages.PAGE_READ_BYTES)
    assert not log.reader(EntryId(1), EntryId(3)).is_at_hand(), "it is long"


def test_nothing_is_at_hand_of_what_this_process_has_not_verified() -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=300)
    for text in ("one", "two", "three"):
        append_durably(log, text)
    log.close()
    log = open_log(disk, segment_bytes_max=300)
    reader = log.reader(EntryId(1), EntryId(1))
    assert not reader.is_at_hand()
    read(log)
    assert reader.is_at_hand()


def test_an_entry_that_is_in_none_of_the_margins_is_not_at_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lines of very unequal length: the guess by their number is far off."""
    lines = b"".join(
        b'{"id":%d,"message":"%b"}\n' % (n, b"x" * 2000 * (n < 9)) for n in range(1, 99)
    )
    monkeypatch.setattr(pages, "MARGINS", (100, 200))
    file = Content(lines + b'{"batch":{"first":1,')
    bounds = Bounds(0, len(file.content), EntryId(1), EntryId(98))
    assert pages._page_in(cast(File, file), bounds, EntryId(50), EntryId(50)) is None
    assert len(file.reads) == 2
    assert max(size for _, size in file.reads) < 1000


def test_the_end_that_is_written_stays_at_hand_when_its_index_has_to_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("replog.storage.contents.INDEXES_MAX", 1)
    log = open_log(SimFilesystem(Random(0)), segment_bytes_max=700)
    while len(log._contents.segments) < 2:
        append_durably(log, "message")
    first, last = EntryId(1), log.head.last_id
    assert not log._contents.segments[-1].is_sealed
    read(log, 1, 1)
    read(log, last, last)
    assert not log.reader(first, first).is_at_hand(), "it made room for the last"
    read(log, 1, 1)
    assert log.reader(last, last).is_at_hand(), "nobody would verify it anew while it grows"
