"""What a log that is opened knows to be committed (R3): its note, and the trailers it holds.

SHELL.
"""

from __future__ import annotations

from random import Random

from replog.core.entry import EntryId, Epoch
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import Original, changed, disk_with, everything, open_log
from tests.storage.small_log import BOTH, MARKS

BATCHES = 12


def original() -> Original:
    """A log of several segments in which each trailer says that all before it is committed."""
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for number in range(1, BATCHES + 1):
        log.append(
            [b'"entry %d"' % number],
            epoch=Epoch(1),
            committed_id=EntryId(number - 1),
            time_ms=1_795_687_200_000,
        )
        log.sync()
    log.close()
    made = Original(everything(disk))
    assert len(made.segments) >= 3
    return made


def rotten(made: Original, number: int) -> dict[str, bytes]:
    """Return the files with one bit of the batch `number` (from 1) turned."""
    placed = made.batches[number - 1]
    content = bytearray(made.files[placed.path])
    content[placed.span.entries_start + 20] ^= 1
    return changed(made.files, placed.path, bytes(content))


@BOTH
def test_the_last_trailer_tells_what_a_lost_note_told(is_master: bool) -> None:
    log = open_log(disk_with(original().files), is_master=is_master)
    assert (log.commit_note, log.known_committed) == (0, BATCHES - 1)


@BOTH
def test_damage_hides_nothing_of_what_the_trailers_behind_it_told(is_master: bool) -> None:
    log = open_log(disk_with(rotten(original(), BATCHES - 1)), is_master=is_master)
    assert log.head.last_id == BATCHES - 2
    assert log.known_committed == BATCHES - 1


@BOTH
def test_damage_hides_nothing_of_what_the_note_told(is_master: bool) -> None:
    made = original()
    disk = disk_with(made.files)
    log = open_log(disk, is_master=is_master)
    log.note_commit(EntryId(BATCHES))
    log.close()
    rotted = disk_with(rotten(made, 3) | {MARKS: everything(disk)[MARKS]})
    assert open_log(rotted, is_master=is_master).known_committed == BATCHES


@BOTH
def test_an_empty_log_knows_nothing_to_be_committed(is_master: bool) -> None:
    assert open_log(SimFilesystem(Random(0)), is_master=is_master).known_committed == 0


def test_what_is_shown_below_damage_does_not_lower_the_note() -> None:
    disk = disk_with(original().files)
    log = open_log(disk, is_master=False)
    log.note_commit(EntryId(BATCHES))
    log.note_commit(EntryId(5))
    assert log.commit_note == BATCHES
    disk.end_process()
    assert open_log(disk, is_master=False).commit_note == BATCHES
