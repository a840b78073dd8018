"""Many entries at once: batched appends and the `Producer`, beside asynchronous publishing.

NETWORK.
"""

from __future__ import annotations

import json

import uvloop

from benchmarks.load import HttpExchange
from benchmarks.peers.bench import Bench, load, say
from benchmarks.peers.disk import writes_per_second
from benchmarks.peers.figures import Quantity
from benchmarks.peers.pipelined import WINDOW, publish_for
from benchmarks.peers.systems import nats, ours
from benchmarks.peers.systems.system import HOST, MESSAGE, Endpoint
from benchmarks.producing import produce
from replog.client import Client

ROW = "batches"
BATCH_ENTRIES = 1_000
CLIENTS = 4

BATCHED = Quantity(ROW, f"{BATCH_ENTRIES:,} entries a request, {CLIENTS} clients, entries/s")
PRODUCED = Quantity(ROW, "one client's background pipeline, entries/s")
DISK = "write + fdatasync"
SETTINGS = (
    "The pipelines are `replog.Producer` with its defaults at w=all, and asynchronous publishing "
    f"to JetStream from Python: {WINDOW:,} messages under way on one connection, ready-made, their "
    "acknowledgements counted and not parsed."
)


def measure(bench: Bench) -> None:
    for number in range(1, bench.rounds + 1):
        for system in bench.systems:
            name = system.portrait.name
            if name not in {ours.NAME, nats.NAME}:
                continue
            with bench.folder() as folder, system.run(folder) as endpoint:
                if name == ours.NAME:
                    _append_to_ours(bench, endpoint)
                else:
                    uvloop.run(publish_for(endpoint.port, seconds=bench.seconds / 4))
                    published = uvloop.run(publish_for(endpoint.port, seconds=bench.seconds))
                    bench.figures.add(PRODUCED, name, published)
            say(f"round {number}: {name}: batches and pipelines")
        with bench.folder() as folder:
            written = writes_per_second(
                folder / "file", BATCH_ENTRIES * _line(), seconds=bench.seconds / 2
            )
            bench.figures.add(BATCHED, DISK, BATCH_ENTRIES * written)


def _line() -> bytes:
    return json.dumps({"message": MESSAGE}).encode() + b"\n"


def _append_to_ours(bench: Bench, endpoint: Endpoint) -> None:
    body = BATCH_ENTRIES * _line()
    request = (
        "POST /logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body
    batched = Endpoint(endpoint.port, lambda: HttpExchange(lambda: request))
    load(ours.NAME, batched, clients=CLIENTS, seconds=bench.seconds / 4)
    result = load(ours.NAME, batched, clients=CLIENTS, seconds=bench.seconds)
    bench.figures.add(BATCHED, ours.NAME, BATCH_ENTRIES * result.per_second)

    entries = bench.scaled(400_000)
    with Client([f"http://{HOST}:{endpoint.port}"]) as client:
        produce(client, max(1, entries // 4), MESSAGE)
        bench.figures.add(
            PRODUCED, ours.NAME, entries / produce(client, entries, MESSAGE).elapsed_s
        )
