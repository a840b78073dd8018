"""Damage that a read finds does not change what was written and synced elsewhere."""

from __future__ import annotations

from random import Random

import pytest

from replog.core.errors import DamagedLogError
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import SEGMENTS, append, append_durably, open_log, read


def test_a_sync_says_what_it_made_durable_though_damage_was_found_meanwhile() -> None:
    """Simulator seed 3697: the core took the end below the damage for its durable head."""
    disk = SimFilesystem(Random(1))
    log = open_log(disk)
    for number in range(12):
        append_durably(log, f"message {number}")
    log.close()
    disk.flip_bit(f"{SEGMENTS}/{disk.list(SEGMENTS)[0]}", 300, 3)

    log = open_log(disk)
    head = append(log, "one more")
    with pytest.raises(DamagedLogError):
        read(log)
    assert log.sync() == head
    assert log.durable.last_id < head.last_id, "what is shown and counted is below the damage"
