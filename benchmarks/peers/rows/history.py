"""The whole log in one `GET /logs`, beside nginx with a file of the same bytes.

NETWORK.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.load import read_all
from benchmarks.peers.bench import Bench, say
from benchmarks.peers.figures import Quantity
from benchmarks.peers.logs import LogSize, master_on
from benchmarks.peers.memory import forget_highest, highest_mb
from benchmarks.peers.systems import nginx, ours
from benchmarks.peers.systems.system import HOST
from tests.support.cluster import Node

ROW = "history"
ENTRIES = 1_000_000
ENTRIES_OF_SHORT_LOG = 100_000
SETTINGS = (
    "One connection, read to its end and thrown away; nginx serves a file of the same bytes. The "
    "log came in batches of 1,000 entries, or one by one, which is the worst case: a trailer and "
    "a hash for each."
)


def mb_per_second(batch_entries: int) -> Quantity:
    return Quantity(ROW, f"{_came(batch_entries)}, MB/s")


def first_byte_ms(batch_entries: int) -> Quantity:
    return Quantity(ROW, f"{_came(batch_entries)}, first byte after, ms", digits=2)


def peak_mb(batch_entries: int) -> Quantity:
    return Quantity(ROW, f"{_came(batch_entries)}, resident memory at its highest, MB", digits=1)


def short_peak_mb(batch_entries: int) -> Quantity:
    return Quantity(ROW, f"the same with a tenth of the log, {_came(batch_entries)}", digits=1)


def _came(batch_entries: int) -> str:
    return "one by one" if batch_entries == 1 else f"batches of {batch_entries:,}"


def measure(bench: Bench) -> None:
    for batch_entries in bench.batch_entries:
        short = LogSize(bench.scaled(ENTRIES_OF_SHORT_LOG), batch_entries)
        with master_on(bench, short) as node:
            _add_peak(bench, short_peak_mb(batch_entries), node)
        size = LogSize(bench.scaled(ENTRIES), batch_entries)
        with ExitStack() as stack:
            node = stack.enter_context(master_on(bench, size))
            _add_peak(bench, peak_mb(batch_entries), node)
            sources = {ours.NAME: (node.port, "/logs")}
            if bench.has_nginx:
                folder = stack.enter_context(bench.folder())
                port = stack.enter_context(nginx.serving(folder, f"{node.url}/logs"))
                sources[nginx.NAME] = (port, nginx.SERVED)
            for number in range(1, bench.rounds + 1):
                for name, (port, path) in sources.items():
                    read = read_all(HOST, port, path)
                    add = bench.figures.add
                    add(mb_per_second(batch_entries), name, read.megabytes_per_second)
                    add(first_byte_ms(batch_entries), name, 1000 * read.first_byte_s)
                say(f"round {number}: GET /logs, {_came(batch_entries)}")


def _add_peak(bench: Bench, quantity: Quantity, node: Node) -> None:
    """Read as often as in the rounds, and note what memory that took at its highest."""
    forget_highest(node.pid)
    for _ in range(bench.rounds):
        read_all(HOST, node.port)
    bench.figures.add(quantity, ours.NAME, highest_mb(node))
