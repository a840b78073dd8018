"""Bytes that rot after this process has verified them: what is said of them is proved anew."""

from __future__ import annotations

from random import Random

import pytest

from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError
from replog.storage.log import Log
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import read
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
