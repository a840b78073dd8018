"""A small log of several segments, and what must hold of whatever is left of it.

SHELL.
"""

from __future__ import annotations

from functools import cache
from random import Random

import pytest

from replog.core.entry import Head
from replog.core.errors import DamagedLogError
from replog.storage.log import Log
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import (
    DIRECTORY,
    QUARANTINE,
    Files,
    Original,
    append_durably,
    disk_with,
    everything,
    files_of,
    open_log,
    read_what_is_good,
    texts,
)

MARKS = f"{DIRECTORY}/marks"
COUNTS = (1, 3, 1, 1, 2, 1, 1, 3, 1, 1, 2)
BOTH = pytest.mark.parametrize("is_master", [True, False], ids=["master", "secondary"])


@cache
def small(*, is_closed: bool) -> Original:
    """A log of several segments; its last batches are behind the durable mark or not."""
    disk = SimFilesystem(Random(0))
    log = open_log(disk)
    for messages in texts(*COUNTS):
        append_durably(log, *messages)
    if is_closed:
        log.close()
    original = Original(everything(disk))
    assert len(original.segments) >= 3
    assert len([b for b in original.batches if b.path == original.segments[-1]]) >= 3
    return original


def mark_of(original: Original) -> Head:
    """Return the durable mark that stands beside the original."""
    log = open_log(disk_with(original.files))
    del log
    disk = disk_with({MARKS: original.files[MARKS]})
    marks = open_log(disk).damage
    return next(h for h in original.heads if marks and h.last_id == marks[0].claimed_id)


def opened(files: Files, *, is_master: bool) -> tuple[SimFilesystem, Log]:
    disk = disk_with(files)
    return disk, open_log(disk, is_master=is_master)


def check(original: Original, disk: SimFilesystem, log: Log, *, least: Head) -> None:
    """Assert what must hold whatever happened: nothing wrong is served, `least` is there
    or its loss is named exactly, and nothing that was not cut by the rules is gone."""
    lines = read_what_is_good(log)
    assert log.head in original.heads
    assert lines == original.lines(log.head.last_id)
    for head in original.heads:
        if head.position <= log.head.position:
            assert log.contains(head)
        else:
            assert not log.contains(head)
    assert log.durable == log.head
    if log.head.position >= least.position:
        return
    assert log.damage, (log.head, least)
    assert log.damage[0].before == log.head
    assert log.cuts == ()
    with pytest.raises(DamagedLogError):
        append_durably(log, "refused while damaged")
    following = original.batches[original.heads.index(log.head)]
    assert (log.damage[0].segment, log.damage[0].offset) == (
        following.segment,
        following.span.start,
    )


def quarantined(disk: SimFilesystem) -> list[bytes]:
    return list(files_of(disk, QUARANTINE).values())
