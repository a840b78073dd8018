"""Damage (R13): named at open, by a read or by the scrubber, and closed from another node."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from random import Random

import pytest

from replog.core.entry import EntryId, Head
from replog.core.errors import DamagedLogError, DiskFullError, StorageError
from replog.core.messages import Damage
from replog.storage.log import Log
from replog.storage.span import BadBatch
from tests.simulator.disk import NodeDied, SimFilesystem
from tests.storage.faults import FaultyFilesystem, never, nth
from tests.storage.logs import (
    DIRECTORY,
    QUARANTINE,
    SEGMENTS,
    Files,
    Original,
    append_durably,
    changed,
    disk_with,
    everything,
    files_of,
    open_log,
    read,
    read_what_is_good,
    texts,
)

COUNTS = (1, 3, 1, 1, 2, 1, 1, 3, 1, 1, 2)
BOTH = pytest.mark.parametrize("is_master", [True, False], ids=["master", "secondary"])


@cache
def original() -> Original:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for messages in texts(*COUNTS):
        append_durably(log, *messages)
    log.close()
    return Original(everything(disk))


def segments(files: Files) -> Files:
    return {path: content for path, content in files.items() if path.startswith(SEGMENTS)}


def payload_for(damage: Damage) -> bytes:
    """Return what another node would send for a range."""
    return original().payload(damage.before, damage.last_id or damage.claimed_id)


def repaired(log: Log) -> None:
    """Repair whatever is damaged, from the original, until nothing is."""
    while log.damage:
        before = log.head
        head = log.repair(log.damage[0], payload_for(log.damage[0]))
        assert head == log.head == log.durable
        assert head.position > before.position


def whole_again(disk: SimFilesystem, log: Log) -> None:
    assert (log.head, log.durable, log.damage) == (original().head, original().head, ())
    assert files_of(disk) == segments(original().files)
    assert read(log) == original().lines(log.head.last_id)
    for head in original().heads:
        assert log.contains(head)


def spoiled() -> Iterator[tuple[str, Files]]:
    """Yield the original, spoiled in every way that a test of recovery names."""
    files = original().files
    paths = original().segments
    for path in paths:
        content = files[path]
        for offset in range(0, len(content), 17):
            rotten = bytearray(content)
            rotten[offset] ^= 1 << (offset % 8)
            yield f"bit flip in {path} at {offset}", changed(files, path, bytes(rotten))
        for stop in range(0, len(content), 61):
            yield f"{path} cut off at {stop}", changed(files, path, content[:stop])
        yield f"{path} lost", changed(files, path, None)
        hole = content[:100] + bytes(len(content) - 200) + content[-100:]
        yield f"hole in {path}", changed(files, path, hole)
        junk = content[:300] + b"junk\n" + content[300:]
        yield f"junk in {path}", changed(files, path, junk)
        yield f"junk behind {path}", changed(files, path, content + b"junk\n" * 9)
        double = content + content[original().batch_at(path, len(content) - 1).span.start :]
        yield f"last batch of {path} twice", changed(files, path, double)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        swapped = changed(files, paths[one], files[paths[other]])
        yield f"{one} and {other} swapped", changed(swapped, paths[other], files[paths[one]])
    for stray in (2, 9):  # a segment that somebody renamed
        renamed = changed(files, f"{SEGMENTS}/{stray:020d}.ndjson", files[paths[1]])
        yield f"segment at {stray}", changed(renamed, paths[1], None)
    for lost in (paths[:2], paths[1:], paths):
        left = {path: content for path, content in files.items() if path not in lost}
        yield f"{len(lost)} segments lost", left


SPOILED = dict(spoiled())


@BOTH
def test_whatever_was_damaged_is_the_same_as_before_once_repaired(is_master: bool) -> None:
    damaged = 0
    for name, files in SPOILED.items():
        disk = disk_with(files)
        log = open_log(disk, is_master=is_master)
        read_what_is_good(log)
        if not log.damage:
            # Bytes behind the end of the log never counted: they were cut at open.
            assert "behind" in name or "twice" in name, name
            continue
        damaged += 1
        repaired(log)
        assert files_of(disk) == segments(original().files), name
        whole_again(disk, log)
        append_durably(log, "and on")
        log.close()
        log = open_log(disk, is_master=is_master)
        assert (log.head.last_id, log.damage, log.cuts) == (original().head.last_id + 1, (), ())
    assert damaged > len(SPOILED) * 0.95


def test_what_is_replaced_is_in_the_quarantine() -> None:
    for name, files in SPOILED.items():
        if "flip" not in name and "hole" not in name:
            continue
        disk = disk_with(files)
        log = open_log(disk)
        read_what_is_good(log)
        repaired(log)
        kept = b"".join(files_of(disk, QUARANTINE).values())
        path = next(path for path in original().segments if path in name)
        pairs = zip(files[path], original().files[path], strict=True)
        bad = [at for at, (found, right) in enumerate(pairs) if found != right]
        assert files[path][bad[0] : bad[-1] + 1] in kept


@BOTH
def test_bytes_that_do_not_close_the_chain_are_refused_and_change_nothing(is_master: bool) -> None:
    other_disk = SimFilesystem(Random(0))
    other = open_log(other_disk)
    for messages in texts(*COUNTS):
        append_durably(other, *(text.upper() for text in messages))
    foreign = Original(everything(other_disk))
    for files in list(SPOILED.values())[::7]:
        disk = disk_with(files)
        log = open_log(disk, is_master=is_master)
        read_what_is_good(log)
        if not log.damage:
            continue
        before, damage = everything(disk), log.damage
        right = payload_for(damage[0])
        wrong = [
            b"",
            right[:-1],
            right[1:],
            right + b"\n",
            right[:40] + b"!" + right[41:],
            foreign.payload(damage[0].before, damage[0].last_id or damage[0].claimed_id),
        ]
        if damage[0].last_id is not None:
            beyond = original().payload(damage[0].before, original().head.last_id)
            wrong += [beyond] if beyond != right else []
            first = next(b for b in original().batches if b.before == damage[0].before)
            short = original().files[first.path][first.span.start : first.span.stop]
            wrong += [short] if short != right else []
        for payload in wrong:
            with pytest.raises(BadBatch):
                log.repair(damage[0], payload)
            assert segments(everything(disk)) == segments(before)
            assert not files_of(disk, QUARANTINE)
            assert log.damage == damage
        repaired(log)
        whole_again(disk, log)


def test_an_open_end_may_be_repaired_in_parts() -> None:
    for at in range(len(original().batches)):
        batch = original().batches[at]
        files = changed(
            original().files, batch.path, original().files[batch.path][: batch.span.start]
        )
        files = {path: content for path, content in files.items() if path <= batch.path}
        files[f"{DIRECTORY}/marks"] = original().files[f"{DIRECTORY}/marks"]
        disk = disk_with(files)
        log = open_log(disk)
        for expected in original().heads[at + 1 :]:
            assert log.damage[0].claimed_id == original().head.last_id
            assert (
                log.repair(log.damage[0], original().payload(log.head, expected.last_id))
                == expected
            )
            assert bool(log.damage) == (expected != original().head)
        whole_again(disk, log)


def test_a_range_that_is_not_damaged_is_not_repaired() -> None:
    disk = disk_with(original().files)
    log = open_log(disk)
    batch = original().batches[2]
    stranger = Damage(
        batch.before, batch.span.last_id, batch.segment, batch.span.start, "", batch.span.last_id
    )
    with pytest.raises(StorageError):
        log.repair(stranger, original().payload(batch.before, batch.span.last_id))
    whole_again(disk, log)


def test_a_crash_anywhere_in_a_repair_leaves_the_damage_or_its_end() -> None:
    cases = [
        files for name, files in SPOILED.items() if "flip" not in name and "cut off" not in name
    ]
    died = 0
    for number, files in enumerate(cases):
        for call in count(1):
            disk = disk_with(files, seed=number * 100 + call)
            log = open_log(disk)
            read_what_is_good(log)
            if not log.damage:
                break
            known = log.head
            disk.calls_to_death = call
            try:
                repaired(log)
            except NodeDied:
                died += 1
                (disk.lose_power if call % 2 else disk.end_process)()
                log = open_log(disk)
                lines = read_what_is_good(log)
                assert lines == original().lines(log.head.last_id)
                assert log.head.position >= known.position
                assert bool(log.damage) == (log.head != original().head)
                repaired(log)
                whole_again(disk, log)
                continue
            break
    assert died > 8 * len(cases)


# --- found while it runs ------------------------------------------------------------------


def rot(disk: SimFilesystem, at: int) -> Head:
    """Flip a bit in a batch of a running log; return the head below it."""
    batch = original().batches[at]
    disk.flip_bit(batch.path, batch.span.entries_start + 15, 2)
    return batch.before


@BOTH
@pytest.mark.parametrize("at", range(8))
def test_rot_in_a_sealed_segment_is_found_by_the_first_read_of_it(is_master: bool, at: int) -> None:
    disk = disk_with(original().files)
    log = open_log(disk, is_master=is_master)
    before = rot(disk, at)
    batch = original().batches[at]
    assert not log.damage
    lines, said = b"", ""
    reader = log.reader(EntryId(1), original().head.last_id)
    try:
        while (chunk := reader.next_chunk()) is not None:
            lines += chunk
    except DamagedLogError as error:
        said = str(error)
    reader.close()
    assert batch.segment in said
    assert original().lines(before.last_id).startswith(lines)
    damage = log.damage[-1]
    assert log.damage == (damage,)
    assert (damage.before, damage.last_id) == (before, batch.span.last_id)
    assert (damage.segment, damage.offset) == (batch.segment, batch.span.start)
    assert log.head == log.durable == before
    assert read(log) == original().lines(before.last_id)
    with pytest.raises(DamagedLogError):
        append_durably(log, "no")
    with pytest.raises(DamagedLogError):
        log.append_batches([])
    repaired(log)
    whole_again(disk, log)
    append_durably(log, "and on")


def test_rot_is_found_by_every_way_to_read() -> None:
    batch = original().batches[5]
    ways: list[Callable[[Log], object]] = [
        lambda log: read(log, batch.span.first_id, batch.span.first_id),
        lambda log: log.contains(batch.span.head),
        lambda log: log.around(batch.span.first_id),
        lambda log: log.read_batches(batch.before, through=original().head.last_id, size_max=1),
    ]
    for way in ways:
        disk = disk_with(original().files)
        log = open_log(disk)
        rot(disk, 5)
        with pytest.raises(DamagedLogError, match=batch.segment):
            way(log)
        assert log.head == batch.before


def test_a_segment_that_vanishes_is_damage_and_comes_back() -> None:
    disk = disk_with(original().files)
    log = open_log(disk)
    disk.remove(original().segments[1])
    with pytest.raises(DamagedLogError):
        read(log)
    assert log.damage[0].segment in original().segments[1]
    repaired(log)
    whole_again(disk, log)


def test_rot_in_two_segments_is_found_and_repaired_whatever_is_found_first() -> None:
    for first, second in ((1, 5), (5, 1), (1, 3), (3, 1)):
        disk = disk_with(original().files)
        log = open_log(disk)
        rot(disk, first)
        read_what_is_good(log)
        rot(disk, second)
        for _ in range(4):
            log.scrub_next()
        # Behind damage nothing is served, so nothing is looked at either.
        named = [1] if first == 1 else [1, first]
        assert [damage.before for damage in log.damage] == [
            original().batches[at].before for at in named
        ]
        assert log.head == log.damage[0].before
        repaired(log)
        read_what_is_good(log)
        repaired(log)
        whole_again(disk, log)


def test_a_repair_that_finds_no_space_leaves_no_copies_and_can_be_made_later() -> None:
    disk = disk_with(original().files)
    filesystem = FaultyFilesystem(disk)
    log = open_log(filesystem)
    rot(disk, 4)
    read_what_is_good(log)
    rot(disk, 3)
    log.scrub_next()
    with pytest.raises(BadBatch):
        log.repair(log.damage[0], payload_for(log.damage[0]))
    (damage,) = log.damage
    rotten = files_of(disk)
    for kind in ("create", "write"):
        for number in range(1, 5):
            filesystem.choose = nth(kind, number, errno.ENOSPC)
            with pytest.raises(DiskFullError):
                log.repair(damage, payload_for(damage))
            assert files_of(disk) == rotten
            assert files_of(disk, QUARANTINE) == {}
    filesystem.choose = never
    repaired(log)
    whole_again(disk, log)
    assert len(files_of(disk, QUARANTINE)) == 2, "of either segment"


@BOTH
@pytest.mark.parametrize("at", [3, 7])
def test_ranges_that_turn_out_to_be_one_are_named_as_one_and_repaired(
    is_master: bool, at: int
) -> None:
    """The end of a segment rots after the beginning of the next one was found, or was not."""
    disk = disk_with(original().files)
    log = open_log(disk, is_master=is_master)
    assert original().batches[at].path != original().batches[at + 1].path
    rot(disk, at + 1)
    read_what_is_good(log)
    before = rot(disk, at)
    while not any(damage.before == before for damage in log.damage):
        log.scrub_next()
    with pytest.raises(BadBatch):
        log.repair(log.damage[0], payload_for(log.damage[0]))
    (found,) = log.damage
    assert found.before == before == log.head
    repaired(log)
    whole_again(disk, log)


@pytest.mark.parametrize("at", range(11))
def test_the_scrubber_finds_rot_in_what_has_been_verified_before(at: int) -> None:
    disk = disk_with(original().files)
    log = open_log(disk)
    assert read(log) == original().lines(original().head.last_id)
    assert [log.scrub_next() for _ in range(5)] == [None] * 5
    before = rot(disk, at)
    found = [damage for damage in (log.scrub_next() for _ in range(3)) if damage is not None]
    assert log.damage == tuple(found)
    assert found[0].before == before == log.head
    repaired(log)
    whole_again(disk, log)
