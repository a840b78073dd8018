"""What a node takes from its directory into its core."""

from __future__ import annotations

from random import Random

import pytest

from replog.core.entry import EntryId
from replog.node.cores import shown_at_start
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import append_durably, open_log


@pytest.mark.parametrize(
    ("noted", "shown"), [(0, 0), (2, 2), (3, 2), (5, 5), (7, 5), (8, 8), (9, 8)]
)
def test_a_secondary_shows_whole_batches_only(noted: int, shown: int) -> None:
    """Simulator seed 589503: a disk that lied brought back a batch that another one replaced."""
    log = open_log(SimFilesystem(Random(0)), is_master=False, segment_bytes_max=700)
    for texts in ("ab", "cde", "fgh"):
        append_durably(log, *texts)
    log.note_commit(EntryId(noted))
    assert shown_at_start(log) == shown
