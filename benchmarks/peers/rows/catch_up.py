"""An empty secondary that takes over a log, beside a plain copy of the same files.

DISK and NETWORK. The copy hashes what it copies and syncs each file: no less is safe.
"""

from __future__ import annotations

import hashlib
import signal
import time
from pathlib import Path

from benchmarks.large import catch_up, start
from benchmarks.nodes import measured_nodes
from benchmarks.peers.bench import Bench, say
from benchmarks.peers.disk import sync
from benchmarks.peers.figures import Quantity
from benchmarks.peers.logs import LogSize
from benchmarks.peers.systems import ours
from tests.support.cluster import S1

ROW = "catch-up"
ENTRIES = 7_700_000
BATCH_ENTRIES = 100
LOOK_EVERY_S = 0.05
COPY = "copy"
SETTINGS = (
    "It takes over the whole log: verified, written, synced. The clock starts with its first "
    "entries. The copy reads, hashes (SHA-256), writes and syncs the same files, in one Python "
    "process."
)

MB_PER_SECOND = Quantity(ROW, f"1 GB in batches of {BATCH_ENTRIES}, MB/s of files")

_PIECE_BYTES = 1 << 20


def measure(bench: Bench) -> None:
    size = LogSize(bench.scaled(ENTRIES), BATCH_ENTRIES)
    log = bench.logs.get(size)
    with bench.folder() as folder, measured_nodes(folder, secondaries=1) as cluster:
        master, secondary = cluster.master, cluster.node[S1]
        master.data = log
        start(master, until="/readyz")
        log_mb = sum(path.stat().st_size for path in master.segment_files()) / 1e6
        for number in range(1, bench.rounds + 1):
            to = folder / COPY
            bench.figures.add(MB_PER_SECOND, COPY, log_mb / _copy_s(master.segment_files(), to))
            part = catch_up(secondary, entries=size.entries, look_every_s=LOOK_EVERY_S)
            bench.figures.add(MB_PER_SECOND, ours.NAME, log_mb * part)
            secondary.end(signal.SIGTERM)
            cluster.empty(S1)
            say(f"round {number}: catch-up over {log_mb:,.0f} MB")


def _copy_s(files: list[Path], to: Path) -> float:
    """Copy, hash and sync `files`; return the seconds. The copies are removed."""
    to.mkdir()
    started = time.perf_counter()
    for path in files:
        digest = hashlib.sha256()
        with path.open("rb") as source, (to / path.name).open("wb", buffering=0) as target:
            while piece := source.read(_PIECE_BYTES):
                digest.update(piece)
                target.write(piece)
            sync(target.fileno())
    elapsed_s = time.perf_counter() - started
    for path in to.iterdir():
        path.unlink()
    to.rmdir()
    return elapsed_s
