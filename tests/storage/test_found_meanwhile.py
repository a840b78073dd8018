"""Damage that a reader finds while the log is cut or repaired is not forgotten (R13)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from itertools import count

import pytest

from replog.core.entry import GENESIS, LogId
from replog.core.errors import DamagedLogError
from replog.storage import cut, log
from replog.storage.contents import Contents
from replog.storage.filesystem import Filesystem
from replog.storage.layout import Layout
from replog.storage.log import Log
from replog.storage.marks import Marks
from replog.storage.recovery import Recovered, recover
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import SEGMENTS, files_of, read
from tests.storage.small_log import opened, small

ORIGINAL = small(is_closed=True)
FIRST = ORIGINAL.batches[0]
LATER = ORIGINAL.batches[2]


def find_damage_in_the_first_batch(disk: SimFilesystem, log: Log) -> None:
    disk.flip_bit(FIRST.path, FIRST.span.entries_start, 2)
    with pytest.raises(DamagedLogError):
        read(log, last=1)


def test_while_a_cut_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, log = opened(ORIGINAL.files, is_master=False)
    copy_away = cut.copy_away

    def copy_while_somebody_reads(contents: Contents, plan: cut.CutPlan) -> object:
        find_damage_in_the_first_batch(disk, log)
        return copy_away(contents, plan)

    monkeypatch.setattr(cut, "copy_away", copy_while_somebody_reads)
    before = files_of(disk).keys()
    with pytest.raises(DamagedLogError, match="damaged from id 1 "):
        log.cut(ORIGINAL.batches[1].span.head)
    assert [found.first_id for found in log.damage] == [1]
    assert log.head == GENESIS
    assert files_of(disk).keys() == before, "nothing was cut"


def test_while_a_range_is_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, own = opened(ORIGINAL.files, is_master=False)
    disk.flip_bit(LATER.path, LATER.span.entries_start, 2)
    with pytest.raises(DamagedLogError):
        read(own)
    reads = count()

    def recover_while_somebody_reads(
        filesystem: Filesystem,
        layout: Layout,
        marks: Marks,
        *,
        log_id: LogId,
        is_master: bool,
        suspects: AbstractSet[str],
    ) -> Recovered:
        recovered = recover(
            filesystem, layout, marks, log_id=log_id, is_master=is_master, suspects=suspects
        )
        if next(reads) == 0:
            find_damage_in_the_first_batch(disk, own)
        return recovered

    monkeypatch.setattr(log, "recover", recover_while_somebody_reads)
    for first_id in (LATER.span.first_id, 1):
        [damage] = own.damage
        assert damage.first_id == first_id
        own.repair(damage, ORIGINAL.payload(damage.before, damage.last_id))
    assert (own.head, own.damage) == (ORIGINAL.head, ())
    assert files_of(disk) == {
        path: content for path, content in ORIGINAL.files.items() if SEGMENTS in path
    }
