"""A batch whose hash is right and whose epoch or time goes back is damage, not a crash.

No disk makes one: it takes a faulty program or a forger.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from replog.core.entry import Head
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import QUARANTINE, SEGMENTS, append_durably, files_of, open_log, read
from tests.support import format1

LATER = "2100-01-01T00:00:00.000Z"
PATH = f"{SEGMENTS}/{1:020d}.ndjson"
BACK = pytest.mark.parametrize(
    ("epoch", "time", "reason"),
    [
        pytest.param(1, LATER, "its epoch 1 is below 2", id="epoch"),
        pytest.param(2, "2000-01-01T00:00:00.000Z", "its time is before", id="time"),
    ],
)


@dataclass(frozen=True, slots=True)
class Forged:
    """A disk with a log of two entries and forged bytes from `offset` on."""

    disk: SimFilesystem
    end: Head
    offset: int
    payload: bytes


def forged(epoch: int, time: str, *, goes_on: bool = False) -> Forged:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    append_durably(log, "one")
    end = append_durably(log, "two", epoch=2)
    log.close()
    back = format1.batch(
        format1.entries(3, "three"), first=3, last=3, prev=end.hash, epoch=epoch, time=time
    )
    behind = format1.batch(
        format1.entries(4, "four"), first=4, last=4, prev=back.hash, epoch=2, time=LATER
    )
    payload = back.payload + (behind.payload if goes_on else b"")
    file = disk.open(PATH, writable=True)
    offset = file.size()
    file.write_at(offset, payload)
    file.sync()
    file.close()
    return Forged(disk, end, offset, payload)


@BACK
def test_a_master_names_it_and_serves_what_is_before_it(epoch: int, time: str, reason: str) -> None:
    """It died at open: the batch, good by itself, was taken for the one that follows."""
    made = forged(epoch, time)
    log = open_log(made.disk)
    (damage,) = log.damage
    assert (damage.before, damage.last_id, damage.offset) == (made.end, None, made.offset)
    assert damage.reason.startswith(reason)
    assert read(log).count(b"\n") == 2


@BACK
def test_a_secondary_moves_it_to_the_quarantine_as_a_remainder(
    epoch: int, time: str, reason: str
) -> None:
    made = forged(epoch, time, goes_on=True)
    log = open_log(made.disk, is_master=False)
    assert (log.head, log.damage) == (made.end, ())
    assert reason in log.cuts[0].reason
    assert list(files_of(made.disk, QUARANTINE).values()) == [made.payload]


@BACK
def test_a_good_batch_behind_it_ends_the_damage(epoch: int, time: str, reason: str) -> None:
    made = forged(epoch, time, goes_on=True)
    log = open_log(made.disk)
    (damage,) = log.damage
    assert (damage.first_id, damage.last_id, damage.offset) == (3, 3, made.offset)
    assert damage.reason.startswith(reason)
    assert log.head == made.end
