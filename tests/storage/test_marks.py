"""The marks survive a write torn at any byte, and a commit note costs the mark nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replog.core.entry import EntryId, Epoch, Head
from replog.storage import marks as module
from replog.storage.filesystem import PosixFile, PosixFilesystem
from replog.storage.marks import BLOCK_BYTES, MARKS_BYTES, NO_MARK, DurableMark, Marks

DISK = PosixFilesystem()


def mark(number: int) -> DurableMark:
    head = Head(Epoch(number), EntryId(10 * number), bytes([number]) * 32)
    return DurableMark(head, EntryId(1), 1000 * number)


def reopen(path: Path) -> Marks:
    marks = Marks.open(DISK, str(path))
    marks.close()
    return marks


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "marks"


def test_a_new_file_says_that_nothing_was_durable(path: Path) -> None:
    Marks.create(DISK, str(path)).close()
    assert reopen(path).durable == NO_MARK
    assert reopen(path).commit_note == 0
    assert path.stat().st_size == MARKS_BYTES
    assert [p.name for p in path.parent.iterdir()] == ["marks"]


def test_the_last_mark_and_the_last_note_come_back(path: Path) -> None:
    marks = Marks.create(DISK, str(path))
    for number in range(1, 8):
        marks.note_commit(EntryId(10 * number - 5))
        marks.note_durable(mark(number))
        assert marks.durable == mark(number)
        assert reopen(path).durable == mark(number)
        assert reopen(path).commit_note == 10 * number - 5
    marks.note_commit(EntryId(70))
    assert marks.commit_note == 70
    marks.close()
    assert reopen(path).commit_note == 70


def test_a_mark_may_go_back_after_a_cut(path: Path) -> None:
    """R14: the younger mark counts, not the higher one."""
    marks = Marks.create(DISK, str(path))
    marks.note_durable(mark(9))
    marks.note_durable(mark(2))
    marks.close()
    assert reopen(path).durable == mark(2)


def test_numbering_goes_on_after_the_file_is_opened_again(path: Path) -> None:
    Marks.create(DISK, str(path)).close()
    for number in range(1, 6):
        marks = Marks.open(DISK, str(path))
        marks.note_durable(mark(number))
        marks.note_commit(EntryId(number))
        marks.close()
        assert reopen(path).durable == mark(number)
        assert reopen(path).commit_note == number


def torn(before: bytes, after: bytes, count: int) -> bytes:
    return after[:count] + before[count:]


def changed_range(before: bytes, after: bytes) -> range:
    differing = [i for i in range(len(before)) if before[i] != after[i]]
    return range(differing[0], differing[-1] + 2)


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_durable_mark_torn_at_any_byte_leaves_the_one_before(path: Path, rounds: int) -> None:
    """One round overwrites the first slot, two the second."""
    marks = Marks.create(DISK, str(path))
    for number in range(1, rounds + 1):
        marks.note_durable(mark(number))
    before = path.read_bytes()
    marks.note_durable(mark(rounds + 1))
    marks.close()
    after = path.read_bytes()
    for count in changed_range(before, after):
        path.write_bytes(torn(before, after, count))
        expected = {mark(rounds)} if torn(before, after, count) != after else {mark(rounds + 1)}
        assert reopen(path).durable in expected, count


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_commit_note_torn_at_any_byte_leaves_the_one_before(path: Path, rounds: int) -> None:
    marks = Marks.create(DISK, str(path))
    marks.note_durable(mark(4))
    for number in range(1, rounds + 1):
        marks.note_commit(EntryId(number))
    before = path.read_bytes()
    marks.note_commit(EntryId(rounds + 1))
    marks.close()
    after = path.read_bytes()
    for count in changed_range(before, after):
        path.write_bytes(torn(before, after, count))
        whole = torn(before, after, count) == after
        assert reopen(path).commit_note == rounds + whole, count
        assert reopen(path).durable == mark(4)


def test_the_one_good_slot_is_never_the_one_that_is_overwritten(path: Path) -> None:
    for rotten in module._DURABLE_BLOCKS:
        marks = Marks.create(DISK, str(path))
        marks.note_durable(mark(1))
        marks.note_durable(mark(2))
        marks.close()
        data = bytearray(path.read_bytes())
        data[rotten * BLOCK_BYTES + 30] ^= 1
        path.write_bytes(data)
        marks = Marks.open(DISK, str(path))
        survivor = marks.durable
        assert survivor in (mark(1), mark(2))
        before = path.read_bytes()
        marks.note_durable(mark(3))
        marks.close()
        path.write_bytes(torn(before, path.read_bytes(), rotten * BLOCK_BYTES + 100))
        assert reopen(path).durable == survivor


def test_notes_write_only_into_their_own_blocks(path: Path) -> None:
    """A block is what a disk may tear at once: no note shares one with a durable mark."""
    marks = Marks.create(DISK, str(path))
    marks.note_durable(mark(1))
    marks.note_durable(mark(2))
    before = path.read_bytes()
    for number in range(1, 6):
        marks.note_commit(EntryId(number))
    marks.close()
    after = path.read_bytes()
    assert len(after) == len(before) == 4 * BLOCK_BYTES
    assert after[: 2 * BLOCK_BYTES] == before[: 2 * BLOCK_BYTES]
    assert BLOCK_BYTES % 4096 == 0


def test_both_notes_torn_leave_the_note_that_the_durable_mark_carries(path: Path) -> None:
    marks = Marks.create(DISK, str(path))
    marks.note_commit(EntryId(7))
    marks.note_durable(mark(1))
    marks.note_commit(EntryId(8))
    marks.note_commit(EntryId(9))
    marks.close()
    data = path.read_bytes()
    path.write_bytes(data[: 2 * BLOCK_BYTES] + bytes(2 * BLOCK_BYTES))
    assert reopen(path).commit_note == 7


def test_every_flipped_bit_of_a_slot_is_noticed(path: Path) -> None:
    marks = Marks.create(DISK, str(path))
    marks.note_durable(mark(1))  # the first slot
    marks.note_commit(EntryId(5))
    marks.close()
    data = path.read_bytes()
    for block, used in ((0, 260), (2, 70)):
        for offset in [*range(used), BLOCK_BYTES - 2, BLOCK_BYTES - 1]:
            for bit in range(8):
                rotten = bytearray(data)
                rotten[block * BLOCK_BYTES + offset] ^= 1 << bit
                path.write_bytes(rotten)
                found = reopen(path)
                assert found.durable == (NO_MARK if block == 0 else mark(1)), (offset, bit)
                assert found.commit_note == (5 if block == 0 else 0), (offset, bit)


@pytest.mark.parametrize("size", [0, 1, 100, BLOCK_BYTES, MARKS_BYTES])
def test_where_no_slot_is_good_nothing_is_known(path: Path, size: int) -> None:
    path.write_bytes(bytes(size))
    assert reopen(path).durable is None
    assert reopen(path).commit_note == 0


def test_a_file_that_lost_its_end_keeps_the_slots_that_are_whole(path: Path) -> None:
    marks = Marks.create(DISK, str(path))
    marks.note_durable(mark(1))
    marks.close()
    path.write_bytes(path.read_bytes()[:BLOCK_BYTES])
    assert reopen(path).durable == mark(1)


def test_marks_that_find_no_space_again_and_again_leave_the_last_good_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = Marks.create(DISK, str(path))
    marks.note_durable(mark(1))
    marks.note_commit(EntryId(5))
    write_at = PosixFile.write_at

    def half(self: PosixFile, offset: int, data: bytes) -> None:
        write_at(self, offset, data[:30])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(PosixFile, "write_at", half)
        for number in (2, 3, 4):
            with pytest.raises(OSError, match="space"):
                marks.note_durable(mark(number))
            with pytest.raises(OSError, match="space"):
                marks.note_commit(EntryId(10 * number))
    assert reopen(path).durable == mark(1)
    assert reopen(path).commit_note == 5
    marks.note_durable(mark(5))
    assert reopen(path).durable == mark(5)
    marks.close()


def test_a_durable_mark_is_synced_and_a_commit_note_is_not(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = Marks.create(DISK, str(path))
    syncs: list[bytes] = []
    monkeypatch.setattr(
        "replog.storage.filesystem.PosixFile.sync", lambda self: syncs.append(path.read_bytes())
    )
    marks.note_commit(EntryId(1))
    assert syncs == []
    marks.note_durable(mark(1))
    assert syncs == [path.read_bytes()]
    marks.close()


@given(
    numbers=st.tuples(*[st.integers(0, 2**53)] * 4),
    digest=st.binary(min_size=32, max_size=32),
)
@settings(deadline=None)
def test_any_mark_comes_back_from_its_line(
    numbers: tuple[int, int, int, int], digest: bytes
) -> None:
    last_id, epoch, segment, offset = numbers
    mark = DurableMark(Head(Epoch(epoch), EntryId(last_id), digest), EntryId(segment), offset)
    line = module._durable_line(mark, 17, EntryId(last_id))
    assert len(line) == BLOCK_BYTES
    assert module._parse_durable(line) == (17, mark, last_id)
