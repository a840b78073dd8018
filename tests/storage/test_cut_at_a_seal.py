"""A cut back to the end of a sealed segment leaves it sealed: what follows opens the next."""

from __future__ import annotations

from random import Random

from tests.simulator.disk import SimFilesystem
from tests.storage.logs import SEGMENTS, append_durably, open_log, read


def test_after_a_cut_of_all_behind_a_seal_the_next_batch_opens_a_segment() -> None:
    """Simulator seed 1031: the damaged last file went, and no stream fitted any more."""
    disk = SimFilesystem(Random(1))
    log = open_log(disk)
    count = 0
    while len(disk.list(SEGMENTS)) < 2:
        count += 1
        append_durably(log, f"message {count}")
    log.close()
    first, last = disk.list(SEGMENTS)
    disk.lose_end(SEGMENTS, last, 10)

    log = open_log(disk)
    assert [damage.segment for damage in log.damage] == [last]
    log.cut(log.head)
    assert disk.list(SEGMENTS) == [first]
    head = append_durably(log, "again")
    log.close()

    assert disk.list(SEGMENTS) == [first, last]
    opened = open_log(disk)
    assert (opened.head, opened.damage) == (head, ())
    assert read(opened).count(b"\n") == count
