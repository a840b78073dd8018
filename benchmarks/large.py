"""A large log: reading it, restarting on it, catching up with it, and the memory that takes.

DISK and NETWORK. The master's directory is filled offline, through the storage layer: that is
faster than clients are, and the bytes are the same.
"""

from __future__ import annotations

import http.client
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.appends import memory_mb, memory_table
from benchmarks.load import read_all
from benchmarks.nodes import measured_nodes
from benchmarks.report import Measured, measured, table
from replog.core.entry import EntryId, Epoch, LogId
from replog.core.messages import Batches
from replog.node.directory import open_directory
from replog.node.views import Role
from replog.storage.batch import encode_batch, encode_message, header_line
from replog.storage.filesystem import PosixFilesystem
from replog.storage.log import SEGMENT_BYTES_MAX, Log
from tests.support.cluster import MASTER, S1, S2, Node, ProcessCluster

DEADLINE_S = 120.0

_LOG_ID = LogId("bench")
_EPOCH = Epoch(1)
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LargeReport:
    """Figures for one log; `batch_entries` is how many entries each of its batches has."""

    entries: int
    batch_entries: int
    log_mb: float
    fill_s: float
    read_mb_per_second: Measured
    read_secondary_mb_per_second: Measured
    catch_up_mb_per_second: Measured
    restart_master_s: Measured
    restart_secondary_s: Measured
    memory_mb_before: dict[str, float]
    memory_mb_after: dict[str, float]

    def text(self) -> str:
        rows = [
            ["GET /logs at the master, MB/s of answer", self.read_mb_per_second.text()],
            ["GET /logs at a secondary, MB/s", self.read_secondary_mb_per_second.text()],
            ["catch-up of an empty secondary, MB/s of log", self.catch_up_mb_per_second.text()],
            ["restart of the master, s until /readyz", self.restart_master_s.text(2)],
            ["restart of a secondary, s until /livez", self.restart_secondary_s.text(2)],
        ]
        kind = "one entry" if self.batch_entries == 1 else f"{self.batch_entries:,} entries"
        title = f"A log of {self.entries:,} entries in batches of {kind}, {self.log_mb:,.0f} MB"
        memory = memory_table(
            "Resident memory, MB, before and after all of this",
            self.memory_mb_before,
            self.memory_mb_after,
        )
        return table(title, ["", "median (spread)"], rows) + memory


def fill(directory: Path, *, entries: int, batch_entries: int, message: str) -> None:
    """Make a master's data directory that holds `entries` entries.

    Batches are made one by one and written many at once, as a secondary writes what it receives:
    to write each on its own takes more than twice as long.
    """
    opened = open_directory(PosixFilesystem(), str(directory), role=Role.MASTER, take_over=False)
    opened.store(log_id=_LOG_ID, epoch=_EPOCH, epoch_owner=opened.state.node_id)
    log = opened.log
    log.set_log_id(_LOG_ID)
    messages = [encode_message(message)] * batch_entries
    offset = 0
    while log.head.last_id < entries:
        offset = _fill_on(log, messages, entries=entries, offset=offset)
    log.sync()
    log.note_commit(EntryId(entries))
    opened.close()


def _fill_on(log: Log, messages: list[bytes], *, entries: int, offset: int) -> int:
    """Append about `_PIECE_BYTES`; return where the next batch begins in its segment."""
    after = head = log.head
    payloads: list[bytes] = []
    size = 0
    seal = False
    while head.last_id < entries and size < _PIECE_BYTES and not seal:
        seal = offset >= SEGMENT_BYTES_MAX
        batch = encode_batch(
            after=head,
            messages=messages[: entries - head.last_id],
            epoch=_EPOCH,
            committed_id=head.last_id,
            time_ms=head.last_id,
            seal=seal,
            header=header_line(_LOG_ID, EntryId(head.last_id + 1), head.hash)
            if not offset
            else b"",
        )
        head = batch.head
        payloads.append(batch.payload)
        size, offset = size + len(batch.payload), offset + len(batch.payload)
    log.append_batches([Batches(_EPOCH, after, head, after.last_id, b"".join(payloads))])
    return 0 if seal else offset


def _get(node: Node, path: str) -> tuple[int, bytes]:
    """Return status and body, or 0 where nobody answers yet."""
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def start(node: Node, *, until: str) -> float:
    """Start a node; return the seconds until `until` answers 200."""
    started = time.perf_counter()
    node.start()
    while _get(node, until)[0] != 200:
        if not node.is_running or time.perf_counter() - started > DEADLINE_S:
            raise SystemExit(f"{node.name} did not come up\n{node.said()[-4000:]}")
        time.sleep(0.005)
    return time.perf_counter() - started


def last_id(node: Node) -> int:
    shown = _get(node, "/health")[1]
    marker = b'"last_id":'
    at = shown.find(marker)
    return int(shown[at + len(marker) :].split(b",", 1)[0]) if at >= 0 else 0


def catch_up(node: Node, *, entries: int, look_every_s: float = 0.005) -> float:
    """Start a node on an empty directory; return which part of the log it took a second.

    The clock starts with the first entries that it holds, not with the dial: how long a
    master waits between two dials is a matter of back-off (R1). A log so short that it was
    there at once took as long as the look before.
    """
    start(node, until="/livez")
    deadline = time.perf_counter() + DEADLINE_S
    first = reached = 0
    started = before = time.perf_counter()
    is_started = False
    while reached < entries:
        time.sleep(look_every_s)
        reached, now = last_id(node), time.perf_counter()
        if now > deadline:
            raise SystemExit(f"{node.name} did not catch up\n{node.said()[-4000:]}")
        if reached and not is_started:
            is_started = True
            first, started = (reached, now) if reached < entries else (0, before)
        before = now
    elapsed_s = max(time.perf_counter() - started, 0.005)
    return (entries - first) / entries / elapsed_s


def measure_large(
    directory: Path, *, entries: int, batch_entries: int, rounds: int, message: str
) -> LargeReport:
    with measured_nodes(directory) as cluster:
        master, first, second = (cluster.node[name] for name in (MASTER, S1, S2))
        empty = memory_of_empty_nodes(cluster)
        cluster.empty(MASTER)
        fill_started = time.perf_counter()
        fill(master.data, entries=entries, batch_entries=batch_entries, message=message)
        fill_s = time.perf_counter() - fill_started
        log_mb = sum(path.stat().st_size for path in master.segment_files()) / 1e6

        restarts_master = [start(master, until="/readyz")]
        catch_ups = []
        for _ in range(max(1, rounds - 1)):
            if first.data.exists():
                if first.is_running:
                    first.end(signal.SIGTERM)
                cluster.empty(S1)
            catch_ups.append(log_mb * catch_up(first, entries=entries))
        cluster.empty(S2)
        catch_ups.append(log_mb * catch_up(second, entries=entries))
        reads = [read_all("127.0.0.1", master.port) for _ in range(rounds)]
        reads_secondary = [read_all("127.0.0.1", first.port) for _ in range(rounds)]
        after = memory_mb(cluster)
        restarts_secondary = []
        for _ in range(rounds):
            master.end(signal.SIGTERM)
            restarts_master.append(start(master, until="/readyz"))
            first.end(signal.SIGTERM)
            restarts_secondary.append(start(first, until="/livez"))
    return LargeReport(
        entries=entries,
        batch_entries=batch_entries,
        log_mb=log_mb,
        fill_s=fill_s,
        read_mb_per_second=measured([read.megabytes_per_second for read in reads]),
        read_secondary_mb_per_second=measured(
            [read.megabytes_per_second for read in reads_secondary]
        ),
        catch_up_mb_per_second=measured(catch_ups),
        restart_master_s=measured(restarts_master),
        restart_secondary_s=measured(restarts_secondary),
        memory_mb_before=empty,
        memory_mb_after=after,
    )


def memory_of_empty_nodes(cluster: ProcessCluster) -> dict[str, float]:
    """Start the cluster on empty directories, look at its memory, end it."""
    cluster.start_all()
    memory = memory_mb(cluster)
    for name in cluster.nodes:
        cluster.stop(name)
    return memory
