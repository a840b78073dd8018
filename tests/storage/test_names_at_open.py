"""A name that is seen at open may not be durable: it is made so before anything counts."""

from __future__ import annotations

from random import Random

import pytest

from replog.core.errors import DamagedLogError
from tests.simulator.disk import NodeDied, SimFilesystem
from tests.storage.logs import (
    Original,
    append_durably,
    disk_with,
    everything,
    open_log,
    read,
    texts,
)


def original() -> Original:
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for messages in texts(1, 3, 1, 1, 2, 1, 1, 3):
        append_durably(log, *messages)
    log.close()
    return Original(everything(disk))


def test_a_repair_that_died_at_any_call_and_looks_whole_is_durable_after_the_next_start() -> None:
    """Simulator seed 4808: killed between the rename and the directory's sync.

    The next start saw a whole log, took it for durable, and a power loss brought the
    damage back.
    """
    whole = original()
    looked_whole = 0
    call = 0
    is_through = False
    while not is_through:
        call += 1
        disk = disk_with(whole.files)
        disk.flip_bit(whole.segments[0], 300, 3)
        log = open_log(disk)
        with pytest.raises(DamagedLogError):
            read(log)
        damage = log.damage[0]
        disk.calls_to_death = call
        try:
            log.repair(damage, whole.payload(damage.before, damage.last_id))
            is_through = True
        except NodeDied:
            pass
        disk.end_process()

        opened = open_log(disk)
        try:
            lines = read(opened)
        except DamagedLogError:
            continue
        looked_whole += 1
        assert lines == whole.lines(whole.head.last_id)
        disk.keeps_unsynced = 0.0
        disk.lose_power()
        again = open_log(disk)
        assert read(again) == lines, f"died in call {call}"
    assert looked_whole > 1, "no death left a log that looks whole"
