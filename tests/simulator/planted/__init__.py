"""Bugs put into the core, the log and the shell on purpose: can the tests see them?

PURE.
"""

from __future__ import annotations

from tests.simulator.planted import counting, disk, keys, links, reading, reigns, streams
from tests.simulator.planted.bug import Planted

PLANTED: tuple[Planted, ...] = (
    *disk.BUGS,
    *streams.BUGS,
    *links.BUGS,
    *reigns.BUGS,
    *counting.BUGS,
    *reading.BUGS,
    *keys.BUGS,
)

BUG_BY_NAME = {planted.name: planted for planted in PLANTED}
assert len(BUG_BY_NAME) == len(PLANTED), "two bugs have one name"
