"""Files that stay open between small reads: few, and none whose segment is not the log's."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from random import Random

import pytest

from replog.core.entry import GENESIS, EntryId, Head
from replog.storage import open_files
from replog.storage.filesystem import File, PosixFile, PosixFilesystem
from replog.storage.log import Log
from replog.storage.open_files import OpenFiles
from replog.storage.pages import Page
from replog.storage.segment import Segment
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import append_durably, open_log, read


def _at_hand(log: Log, id: int) -> Page | None:
    return log.reader(EntryId(id), EntryId(id)).page_at_hand()


def _ends_of_batches(log: Log, count: int) -> list[Head]:
    return [append_durably(log, f"message {place}" + "x" * 200) for place in range(count)]


def _descriptor(file: File) -> int:
    assert isinstance(file, PosixFile)
    return file._descriptor


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_a_file_is_opened_once_for_many_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(SimFilesystem(Random(0)), segment_bytes_max=10**6)
    append_durably(log, "one", "two")
    assert _at_hand(log, 1) is not None
    monkeypatch.setattr(log._contents.open_files, "_open", None)  # whoever opens now, fails
    for _ in range(3):
        assert _at_hand(log, 2) is not None


def test_so_many_are_open_and_the_least_used_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "OPEN_FILES_MAX", 2)
    log = open_log(SimFilesystem(Random(0)), segment_bytes_max=300)
    _ends_of_batches(log, 5)
    first, second, third = log._contents.segments[:3]
    for place in (1, 2, 1, 3):
        assert _at_hand(log, place) is not None
    files = log._contents.open_files
    assert len(files) == 2
    assert set(files._idle) == {first, third}
    assert second not in files._idle


def test_what_was_cut_is_closed_and_read_no_more() -> None:
    log = open_log(SimFilesystem(Random(0)), segment_bytes_max=10**6)
    ends = _ends_of_batches(log, 3)
    assert _at_hand(log, 3) is not None
    log.cut(ends[0])
    assert len(log._contents.open_files) == 0
    append_durably(log, "another")
    lines = read(log, 2)
    assert lines == b'{"id":2,"message":"another"}\n'
    page = _at_hand(log, 2)
    assert page is not None
    assert page.lines == lines


def test_a_descriptor_is_not_closed_while_somebody_reads_from_it(tmp_path: Path) -> None:
    log = open_log(PosixFilesystem(), directory=str(tmp_path), segment_bytes_max=10**6)
    _ends_of_batches(log, 2)
    (segment,) = log._contents.segments
    files = log._contents.open_files
    taken, another = files.take(segment), files.take(segment)
    assert taken is not another
    log.cut(GENESIS)
    assert segment.is_retired
    for file in (taken, another):
        descriptor = _descriptor(file)
        assert _is_open(descriptor)
        files.give_back(segment, file)
        assert not _is_open(descriptor)
    assert len(files) == 0


def test_two_that_read_from_one_file_leave_one_open(tmp_path: Path) -> None:
    log = open_log(PosixFilesystem(), directory=str(tmp_path), segment_bytes_max=10**6)
    _ends_of_batches(log, 1)
    (segment,) = log._contents.segments
    files = log._contents.open_files
    taken, another = files.take(segment), files.take(segment)
    descriptors = [_descriptor(file) for file in (taken, another)]
    files.give_back(segment, taken)
    files.give_back(segment, another)
    assert [_is_open(descriptor) for descriptor in descriptors] == [True, False]
    assert files.take(segment) is taken
    log.close()
    files.give_back(segment, taken)
    assert not _is_open(descriptors[0])


def test_a_log_that_is_closed_keeps_no_file(tmp_path: Path) -> None:
    log = open_log(PosixFilesystem(), directory=str(tmp_path), segment_bytes_max=10**6)
    _ends_of_batches(log, 1)
    assert _at_hand(log, 1) is not None
    (file,) = log._contents.open_files._idle.values()
    descriptor = _descriptor(file)
    log.close()
    assert not _is_open(descriptor)


def test_what_cannot_be_opened_is_not_at_hand() -> None:
    def refuse(segment: Segment) -> File:
        raise OSError(errno.EMFILE, "too many", segment.name)

    log = open_log(SimFilesystem(Random(0)))
    append_durably(log, "one")
    log._contents.open_files = OpenFiles(refuse)
    assert _at_hand(log, 1) is None
