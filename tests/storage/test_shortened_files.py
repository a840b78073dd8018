"""A file that becomes shorter while it is in use is damage, also where it ends with a batch."""

from __future__ import annotations

import pytest

from replog.core.errors import DamagedLogError
from replog.storage.log import Log
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import Placed, read, read_what_is_good
from tests.storage.small_log import opened, small

ORIGINAL = small(is_closed=True)


def shortened(batch: Placed, *, is_verified: bool) -> tuple[SimFilesystem, Log]:
    """Return an open log, of which the file of `batch` ends where that begins."""
    disk, log = opened(ORIGINAL.files, is_master=True)
    if is_verified:
        read(log)
    file = disk.open(batch.path, writable=True)
    file.truncate(batch.span.start)
    file.close()
    return disk, log


def named(log: Log, batch: Placed) -> None:
    damage = log.damage[0]
    assert (damage.before, damage.segment, damage.offset) == (
        batch.before, batch.segment, batch.span.start,
    )  # fmt: skip
    assert log.head == batch.before


@pytest.mark.parametrize("is_verified", [True, False])
def test_the_scrubber_names_a_file_that_ends_at_any_batch(*, is_verified: bool) -> None:
    """It went round for ever: no batch was bad, and the end was never reached."""
    for batch in ORIGINAL.batches:
        _, log = shortened(batch, is_verified=is_verified)
        for _ in ORIGINAL.segments:
            log.scrub_next()
        named(log, batch)


@pytest.mark.parametrize("is_verified", [True, False])
def test_a_read_ends_before_what_is_missing_from_a_file(*, is_verified: bool) -> None:
    for batch in ORIGINAL.batches:
        _, log = shortened(batch, is_verified=is_verified)
        assert read_what_is_good(log) == ORIGINAL.lines(batch.before.last_id)
        named(log, batch)


def test_proving_where_a_batch_ends_finds_what_is_missing() -> None:
    for batch in ORIGINAL.batches:
        _, log = shortened(batch, is_verified=True)
        with pytest.raises(DamagedLogError, match="damaged from id"):
            log.around(batch.before.last_id)
        named(log, batch)
