"""Repairs whose bytes verify, and that do not fit into the files that are there.

Hashes say which bytes follow which, and not in which file: a batch may have been put, by
whatever program, where no log has it.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from itertools import count

import pytest

from replog.core.entry import GENESIS, EntryId
from replog.core.errors import DamagedLogError, StorageError
from replog.core.messages import Damage
from replog.storage.log import Log
from replog.storage.span import BadBatch
from tests.simulator.disk import SimFilesystem
from tests.storage.faults import Call, FaultyFilesystem, never, nth
from tests.storage.logs import (
    LOG_ID,
    SEGMENTS,
    Files,
    disk_with,
    files_of,
    open_log,
    read,
    read_what_is_good,
)
from tests.storage.small_log import MARKS, opened, quarantined, small
from tests.support import format1

ORIGINAL = small(is_closed=True)


def path_of(first: int) -> str:
    return f"{SEGMENTS}/{first:020d}.ndjson"


@dataclass
class Forger:
    """Makes batches of one entry that follow on one another."""

    hash: bytes = format1.GENESIS_HASH
    last_id: int = 0
    epoch: int = 1
    text: str = "forged"

    def batch(self, *, opens: bool = False, seals: bool = False, is_empty: bool = False) -> bytes:
        first = self.last_id + 1
        last = self.last_id if is_empty else first
        self.epoch += is_empty
        header = format1.header(log_id=LOG_ID, first=first, prev=self.hash) if opens else b""
        lines = header + (b"" if is_empty else format1.entries(first, self.text))
        made = format1.batch(
            lines,
            first=first,
            last=last,
            prev=self.hash,
            epoch=self.epoch,
            rest=',"seal":true' if seals else "",
        )
        self.hash, self.last_id = made.hash, last
        return made.payload


def rotten(content: bytes) -> bytes:
    at = content.index(b"forged")
    return content[:at] + b"F" + content[at + 1 :]


def refused(log: Log, damage: Damage, payload: bytes, reason: str, disk: SimFilesystem) -> None:
    before = files_of(disk)
    with pytest.raises(BadBatch, match=reason):
        log.repair(damage, payload)
    assert files_of(disk) == before
    assert damage in log.damage


def opened_damaged(files: Files) -> tuple[SimFilesystem, Log, Damage]:
    disk = disk_with({MARKS: ORIGINAL.files[MARKS], **files})
    log = open_log(disk)
    return disk, log, log.damage[0]


def test_a_header_line_behind_a_batch_that_does_not_seal_is_refused() -> None:
    forger = Forger()
    first, second = forger.batch(opens=True), forger.batch(opens=True)
    disk, log, damage = opened_damaged({path_of(1): rotten(first)})
    refused(log, damage, first + second, "a header line stands in the middle", disk)


def test_a_sealing_batch_before_more_of_the_same_file_is_refused() -> None:
    forger = Forger()
    sealing, behind = forger.batch(opens=True, seals=True), forger.batch()
    disk, log, damage = opened_damaged({path_of(1): rotten(sealing) + behind})
    assert damage.last_id == 1
    refused(log, damage, sealing, "its segments do not end where those of this log do", disk)


def test_a_batch_that_would_take_the_name_of_the_file_behind_it_is_refused() -> None:
    forger = Forger()
    sealing = forger.batch(opens=True, seals=True)
    opening = forger.batch(opens=True, is_empty=True)
    behind = forger.batch(opens=True)
    disk, log, damage = opened_damaged({path_of(1): sealing, path_of(2): behind})
    assert (damage.before, damage.last_id) == (GENESIS, 1)
    refused(
        log, damage, sealing + opening, "its segments do not end where those of this log do", disk
    )


def test_good_batches_in_the_file_of_the_segment_before_theirs_are_refused() -> None:
    """As where somebody put two files together that both had lost their ends."""
    one, other = ORIGINAL.segments[:2]
    batches = [batch for batch in ORIGINAL.batches if batch.path == one]
    moved = next(batch for batch in ORIGINAL.batches if batch.path == other and batch.span.start)
    joined = ORIGINAL.files[one][: batches[-1].span.start]
    joined += ORIGINAL.files[other][moved.span.start :]
    files = {path: content for path, content in ORIGINAL.files.items() if path != other}
    disk, log = opened({**files, one: joined}, is_master=True)
    with pytest.raises(DamagedLogError):
        read(log)
    damage = log.damage[0]
    assert (damage.before, damage.last_id) == (batches[-1].before, moved.before.last_id)
    payload = ORIGINAL.payload(damage.before, damage.last_id)
    refused(log, damage, payload, "its segments do not begin where those of this log do", disk)


def test_a_repair_is_taken_where_the_marks_are_lost() -> None:
    """Nothing says then how far the log was durable: what verifies is the best there is."""
    last = ORIGINAL.batches[-1]
    content = bytearray(ORIGINAL.files[last.path])
    content[last.span.entries_start + 15] ^= 4
    files = {**ORIGINAL.files, last.path: bytes(content), MARKS: bytes(len(ORIGINAL.files[MARKS]))}
    disk, log = opened(files, is_master=True)
    (damage,) = log.damage
    assert log.repair(damage, ORIGINAL.payload(damage.before, None)) == ORIGINAL.head
    assert log.damage == ()
    assert files_of(disk)[last.path] == ORIGINAL.files[last.path]


def test_what_is_behind_a_part_of_a_repair_stays_for_the_rest_of_it() -> None:
    """Its bytes still say that there were later entries, though none of them verifies."""
    *_, second, last = ORIGINAL.batches
    assert second.path == last.path
    content = bytearray(ORIGINAL.files[last.path])
    for batch in (second, last):
        content[batch.span.entries_start + 15] ^= 4
    disk, log = opened({**ORIGINAL.files, last.path: bytes(content)}, is_master=True)
    (damage,) = log.damage
    assert damage.before == second.before
    part = ORIGINAL.payload(second.before, second.span.last_id)
    assert log.repair(damage, part) == second.span.head
    assert files_of(disk)[last.path][last.span.start :] == bytes(content[last.span.start :])
    assert log.damage[0].claimed_id == ORIGINAL.head.last_id
    assert log.repair(log.damage[0], ORIGINAL.payload(last.before, None)) == ORIGINAL.head
    assert read(log) == ORIGINAL.lines(ORIGINAL.head.last_id)
    assert len(quarantined(disk)) == 2


def test_whatever_read_fails_in_a_part_of_a_repair_the_rest_can_follow() -> None:
    *_, second, last = ORIGINAL.batches
    content = bytearray(ORIGINAL.files[last.path])
    for batch in (second, last):
        content[batch.span.entries_start + 15] ^= 4
    part = ORIGINAL.payload(second.before, second.span.last_id)
    for number in count(1):
        disk = disk_with({**ORIGINAL.files, last.path: bytes(content)})
        filesystem = FaultyFilesystem(disk)
        log = open_log(filesystem)
        filesystem.choose_read = nth("read", number, errno.EIO)
        try:
            log.repair(log.damage[0], part)
        except (BadBatch, StorageError):
            assert log.damage
        is_over = filesystem.choose_read(Call("read", "")) != 0
        filesystem.choose_read = never
        log = open_log(disk)
        assert read_what_is_good(log) == ORIGINAL.lines(log.head.last_id)
        while log.damage:
            log.repair(log.damage[0], ORIGINAL.payload(log.head, log.damage[0].last_id))
        assert files_of(disk) == {path: ORIGINAL.files[path] for path in ORIGINAL.segments}
        if is_over:
            break
    assert number > 5


def test_a_file_that_another_log_has_under_the_same_name_is_damage_as_a_whole() -> None:
    mine, theirs = Forger(), Forger(text="fOrged")
    sealed, behind = mine.batch(opens=True, seals=True), mine.batch(opens=True)
    another = theirs.batch(opens=True, seals=True)
    assert len(another) == len(sealed)
    disk = disk_with({path_of(1): sealed, path_of(2): behind})
    log = open_log(disk)
    assert (log.head.last_id, log.damage) == (2, ())
    file = disk.open(path_of(1), writable=True)
    file.write_at(0, another)
    file.close()
    found = log.scrub_next()
    assert found is not None
    assert (found.before, found.last_id, found.offset) == (GENESIS, 1, 0)
    assert found.reason == "it is another segment"
    assert log.head == GENESIS


def test_batches_of_other_ids_in_as_many_bytes_do_not_answer_where_a_batch_ends() -> None:
    mine, theirs = Forger(), Forger()
    start = mine.batch(opens=True)
    assert theirs.batch(opens=True) == start
    rest = mine.batch() + mine.batch()
    longer = Forger(theirs.hash, theirs.last_id, text="")
    theirs.text = "x" * (len(rest) - len(longer.batch()))
    disk = disk_with({path_of(1): start + rest})
    log = open_log(disk)
    assert read(log).count(b"\n") == 3
    file = disk.open(path_of(1), writable=True)
    file.write_at(len(start), theirs.batch())
    assert file.size() == len(start) + len(rest)
    file.close()
    with pytest.raises(DamagedLogError):
        log.around(EntryId(2))
    assert log.damage[0].first_id == 3


def test_an_end_of_an_older_epoch_does_not_take_the_place_of_the_marked_one() -> None:
    """It has as many entries; one that has fewer is some of the range, and taken."""
    forger = Forger()
    first = forger.batch(opens=True)
    stale = Forger(forger.hash, forger.last_id, text="stale")
    forger.epoch = 2
    marked = forger.batch()
    whole = disk_with({path_of(1): first + marked})
    open_log(whole).close()
    marks = whole.open(MARKS, writable=False).read_at(0, whole.size(MARKS))
    disk = disk_with({MARKS: marks, path_of(1): first})
    log = open_log(disk)
    [damage] = log.damage
    assert (damage.last_id, damage.claimed_id) == (None, 2)
    refused(log, damage, stale.batch(), "it does not hold the batch of the durable mark", disk)
    log.repair(damage, marked)
    assert not log.damage
