"""What a disk does not give, or gives wrongly once, and what changes between two reads."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError, StorageError
from replog.storage.batch import encode_message
from replog.storage.log import Log
from tests.simulator.disk import SimFilesystem
from tests.storage.faults import Call, Chooser, FaultyFilesystem, never, nth
from tests.storage.logs import LOG_ID, NOTHING, TIME_MS, disk_with, files_of, open_log, read
from tests.storage.small_log import small

ORIGINAL = small(is_closed=True)
END = ORIGINAL.head.last_id
SECOND = next(batch for batch in ORIGINAL.batches if batch.path == ORIGINAL.segments[1])


def faulty() -> tuple[SimFilesystem, FaultyFilesystem, Log]:
    disk = disk_with(ORIGINAL.files)
    filesystem = FaultyFilesystem(disk)
    return disk, filesystem, open_log(filesystem)


def always(name: str, error: int) -> Chooser:
    """Return what fails every such call on the second segment."""
    return lambda call: error if call == Call(name, SECOND.segment) else 0


def once_at(name: str, act: Callable[[], object]) -> Chooser:
    """Return what acts just before the first such call, and lets all be."""
    left = [act]

    def choose(call: Call) -> int:
        if call.name == name and left:
            left.pop()()
        return 0

    return choose


def read_all(log: Log) -> None:
    assert read(log, 1, END) == ORIGINAL.lines(END)


def unreadable() -> tuple[SimFilesystem, FaultyFilesystem, Log]:
    """Return a log of which a read found that the disk does not give the second segment."""
    disk, filesystem, log = faulty()
    filesystem.choose_read = always("read", errno.EIO)
    with pytest.raises(DamagedLogError, match=r"cannot be read \(Input/output error\)"):
        read(log)
    (damage,) = log.damage
    assert (damage.before, damage.offset) == (SECOND.before, 0)
    return disk, filesystem, log


def test_bytes_that_the_disk_does_not_give_are_replaced() -> None:
    disk, filesystem, log = unreadable()
    (damage,) = log.damage
    was = disk.find(SECOND.path)
    filesystem.choose_read = lambda call: (
        always("read", errno.EIO)(call) * (disk.find(SECOND.path) is was)
    )
    assert log.repair(damage, ORIGINAL.payload(damage.before, damage.last_id)) == ORIGINAL.head
    read_all(log)
    assert files_of(disk) == {path: ORIGINAL.files[path] for path in ORIGINAL.segments}


def test_bytes_that_the_disk_gives_again_are_no_damage_any_more() -> None:
    """It stayed one until the next start: no repair was taken for what verifies."""
    disk, filesystem, log = unreadable()
    (damage,) = log.damage
    filesystem.choose_read = never
    filesystem.said()
    assert log.repair(damage, ORIGINAL.payload(damage.before, damage.last_id)) == ORIGINAL.head
    assert log.damage == ()
    read_all(log)
    assert not [call for call in filesystem.calls if call.name in ("rename", "remove", "create")]
    assert files_of(disk) == {path: ORIGINAL.files[path] for path in ORIGINAL.segments}


@pytest.mark.parametrize("is_verified", [True, False])
@pytest.mark.parametrize(("name", "says"), [("read", "cannot read"), ("open", "cannot open")])
def test_a_reason_that_is_not_the_disks_is_no_damage(
    name: str, says: str, *, is_verified: bool
) -> None:
    _, filesystem, log = faulty()
    if is_verified:
        read_all(log)
    filesystem.choose_read = always(name, errno.EMFILE)
    with pytest.raises(StorageError, match=f"{says} {SECOND.segment}") as raised:
        read(log)
    assert not isinstance(raised.value, DamagedLogError)
    assert log.damage == ()
    filesystem.choose_read = never
    read_all(log)


def test_a_read_that_fails_once_of_what_verifies_is_to_be_tried_again() -> None:
    _, filesystem, log = faulty()
    read_all(log)
    filesystem.choose_read = nth("read", 1, errno.EIO)
    with pytest.raises(StorageError, match="could not be read, but verifies now; try again"):
        read(log)
    assert log.damage == ()
    read_all(log)


def test_a_small_page_that_cannot_be_read_is_not_at_hand() -> None:
    _, filesystem, log = faulty()
    read_all(log)
    reader = log.reader(EntryId(2), EntryId(3))
    filesystem.choose_read = nth("read", 1, errno.EIO)
    assert reader.page_at_hand() is None
    page = reader.page_at_hand()
    assert page is not None
    assert page.lines == read(log, 2, 3)


def test_a_digit_that_is_read_wrongly_once_does_not_deny_a_batch() -> None:
    """Its trailer, as it was read first, is another one; the chain is asked before a no."""
    disk, filesystem, log = faulty()
    read_all(log)
    batch = next(one for one in ORIGINAL.batches if one.span.start > 0)
    offset = batch.span.stop - len('0"}}\n')
    digit = ORIGINAL.files[batch.path][offset]
    bit = next(bit for bit in range(8) if chr(digit ^ 1 << bit) in "0123456789abcdef")
    reads = 0

    def choose(call: Call) -> int:
        nonlocal reads
        reads += call.name == "read"
        if call.name == "read" and reads <= 2:
            disk.flip_bit(batch.path, offset, bit)
        return 0

    filesystem.choose_read = choose
    assert log.contains(batch.span.head)
    assert reads >= 2
    assert log.damage == ()


@pytest.mark.parametrize("name", ["open", "read"])
def test_a_segment_that_is_cut_off_meanwhile_is_looked_up_again(name: str) -> None:
    _, filesystem, log = faulty()
    filesystem.choose_read = once_at(name, lambda: log.cut(SECOND.before))
    with pytest.raises(DamagedLogError, match=f"the log, which ends at {SECOND.before.last_id}"):
        log.time_of(SECOND.span.first_id)
    assert (log.head, log.damage) == (SECOND.before, ())


def test_a_proof_that_a_cut_overtakes_is_made_anew() -> None:
    _, filesystem, log = faulty()
    read_all(log)
    filesystem.choose_read = once_at("read", lambda: log.cut(SECOND.before))
    assert log.around(SECOND.span.first_id) == (SECOND.before, None)
    assert (log.head, log.damage) == (SECOND.before, ())


def test_a_file_that_is_gone_is_named_by_the_scrubber() -> None:
    disk, _, log = faulty()
    read_all(log)
    disk.remove(SECOND.path)
    assert log.scrub_next() is None
    found = log.scrub_next()
    assert found is not None
    assert (found.before, found.segment, found.reason) == (
        SECOND.before, SECOND.segment, "the file is not there any more",
    )  # fmt: skip


def test_a_stretch_that_another_reader_verified_is_not_read_again() -> None:
    _, filesystem, log = faulty()
    segment = log._contents.holding(SECOND.span.first_id)
    assert segment is not None
    file = log._contents.open(segment)
    read_all(log)
    filesystem.choose_read = always("read", errno.EIO)
    stop = segment.stop.offset
    assert segment.verify_next(file, log_id=LOG_ID, before=stop) is None
    assert segment.verify_next(file, log_id=LOG_ID, before=stop + 1) is None
    file.close()


def test_damage_that_two_readers_find_is_named_once() -> None:
    disk, _, log = faulty()
    segment = log._contents.holding(SECOND.span.first_id)
    assert segment is not None
    disk.flip_bit(SECOND.path, SECOND.span.entries_start, 3)
    texts = {str(log._contents.found_bad(segment)) for _ in range(2)}
    assert len(texts) == 1
    assert [damage.before for damage in log.damage] == [SECOND.before]


def test_a_batch_that_is_written_while_damage_is_found_comes_back_with_the_repair() -> None:
    disk, filesystem, log = faulty()
    disk.flip_bit(SECOND.path, SECOND.span.entries_start, 3)

    def find(call: Call) -> int:
        if call.name == "write" and not log.damage:
            with pytest.raises(DamagedLogError):
                read(log)
        return 0

    filesystem.choose = find
    batch = log.append(
        [encode_message("next")],
        epoch=ORIGINAL.head.epoch,
        committed_id=NOTHING,
        time_ms=TIME_MS,
    )
    assert log.head == SECOND.before, "what is shown ends before the damage"
    assert log.sync() == batch.head
    (damage,) = log.damage
    log.repair(damage, ORIGINAL.payload(damage.before, damage.last_id))
    assert (log.head, log.damage) == (batch.head, ())
    assert read(log, END + 1) == b'{"id":%d,"message":"next"}\n' % (END + 1)
