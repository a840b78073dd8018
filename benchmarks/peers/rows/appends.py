"""Single appends: each client sends one message and waits until it is acknowledged.

NETWORK. Each round starts each system anew on empty folders, one after the other: none runs
beside another, and none has a longer log than another.
"""

from __future__ import annotations

from benchmarks.peers.bench import Bench, load, say
from benchmarks.peers.disk import writes_per_second
from benchmarks.peers.figures import Quantity
from benchmarks.peers.systems.system import MESSAGE

ROW = "appends"
DISK = "write + fdatasync"


def per_second(clients: int) -> Quantity:
    return Quantity(ROW, f"{_of(clients)}, appends/s")


def p50_ms(clients: int) -> Quantity:
    return Quantity(ROW, f"{_of(clients)}, p50 ms", digits=2)


def p99_ms(clients: int) -> Quantity:
    return Quantity(ROW, f"{_of(clients)}, p99 ms", digits=2)


def _of(clients: int) -> str:
    return "1 client" if clients == 1 else f"{clients} clients"


def measure(bench: Bench) -> None:
    for number in range(1, bench.rounds + 1):
        for system in bench.systems:
            name = system.portrait.name
            with bench.folder() as folder, system.run(folder) as endpoint:
                load(name, endpoint, clients=max(bench.clients), seconds=bench.seconds / 4)
                for clients in bench.clients:
                    result = load(name, endpoint, clients=clients, seconds=bench.seconds)
                    bench.figures.add(per_second(clients), name, result.per_second)
                    bench.figures.add(p50_ms(clients), name, result.percentile_ms(50))
                    bench.figures.add(p99_ms(clients), name, result.percentile_ms(99))
                    say(f"round {number}: {name}, {_of(clients)}: {result.per_second:,.0f}/s")
        with bench.folder() as folder:
            written = writes_per_second(
                folder / "file", MESSAGE.encode(), seconds=bench.seconds / 2
            )
            bench.figures.add(per_second(1), DISK, written)
            bench.figures.add(p50_ms(1), DISK, 1000 / written)
