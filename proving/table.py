"""All harnesses, by row.

PURE.
"""

from __future__ import annotations

from proving.harness import Harness
from proving.harnesses import (
    bad_input,
    clocks,
    compose_storms,
    decoders,
    dropped_packets,
    error_paths,
    full_disks,
    hostile_clients,
    kill_storms,
    partitions,
    planted,
    power_cuts,
    rejoin,
    retries,
    rolling_restarts,
    rot,
    simulator,
    slow_disks,
    soak,
    syscalls,
)

HARNESSES: tuple[Harness, ...] = (
    *simulator.HARNESSES,
    *planted.HARNESSES,
    *power_cuts.HARNESSES,
    *syscalls.HARNESSES,
    *rot.HARNESSES,
    *rejoin.HARNESSES,
    *partitions.HARNESSES,
    *dropped_packets.HARNESSES,
    *kill_storms.HARNESSES,
    *rolling_restarts.HARNESSES,
    *compose_storms.HARNESSES,
    *retries.HARNESSES,
    *bad_input.HARNESSES,
    *hostile_clients.HARNESSES,
    *full_disks.HARNESSES,
    *slow_disks.HARNESSES,
    *clocks.HARNESSES,
    *decoders.HARNESSES,
    *error_paths.HARNESSES,
    *soak.HARNESSES,
)

HARNESS_BY_NAME = {harness.name: harness for harness in HARNESSES}
assert len(HARNESS_BY_NAME) == len(HARNESSES), "two harnesses have one name"
