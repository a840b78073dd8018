"""Reads of single entries and of pages at random places, from one node.

NETWORK.
"""

from __future__ import annotations

import itertools
import random

from benchmarks.load import HttpExchange
from benchmarks.peers.bench import Bench, load, say
from benchmarks.peers.figures import Quantity
from benchmarks.peers.logs import LogSize, master_on
from benchmarks.peers.systems import ours
from benchmarks.peers.systems.system import Endpoint

ROW = "lookups"
ENTRIES = 1_000_000
BATCH_ENTRIES = 1_000
CLIENTS = 32
PAGE_ENTRIES = 100

ENTRY_READS = Quantity(ROW, f"GET /logs/{{id}}, {CLIENTS} clients, reads/s")
PAGE_READS = Quantity(ROW, f"pages of {PAGE_ENTRIES}, {CLIENTS} clients, reads/s")

_PLACES = 20_000
_SEED = 1


def measure(bench: Bench) -> None:
    size = LogSize(bench.scaled(ENTRIES), BATCH_ENTRIES)
    chosen = random.Random(_SEED)  # noqa: S311 - the same places in each run
    places = [chosen.randint(1, size.entries) for _ in range(_PLACES)]
    entries = [_get(f"/logs/{place}") for place in places]
    pages = [_get(f"/logs?from={place}&limit={PAGE_ENTRIES}") for place in places]
    with master_on(bench, size) as node:
        for number in range(bench.rounds + 1):
            for quantity, endpoint in (
                (ENTRY_READS, _in_turn(node.port, entries)),
                (PAGE_READS, _in_turn(node.port, pages)),
            ):
                seconds = bench.seconds if number else bench.seconds / 4
                result = load(ours.NAME, endpoint, clients=CLIENTS, seconds=seconds)
                if number:
                    bench.figures.add(quantity, ours.NAME, result.per_second)
            say(f"round {number}: reads at random" if number else "warm: reads at random")


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()


def _in_turn(port: int, requests: list[bytes]) -> Endpoint:
    """Let all clients together go around `requests`."""
    turn = itertools.cycle(requests)
    return Endpoint(port, lambda: HttpExchange(turn.__next__))
