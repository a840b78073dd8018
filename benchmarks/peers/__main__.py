"""`python -m benchmarks.peers`: measure this log beside its peers, each as three local nodes.

SHELL. `--smoke` only proves that the program works: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from benchmarks.peers.bench import Bench, say
from benchmarks.peers.install import command_line, install_missing
from benchmarks.peers.rows import appends
from benchmarks.peers.systems.baseline import Baseline
from benchmarks.peers.systems.etcd import Etcd
from benchmarks.peers.systems.nats import Nats
from benchmarks.peers.systems.ours import Ours
from benchmarks.peers.systems.redis import Redis
from benchmarks.peers.systems.system import System

SYSTEMS: dict[str, Callable[[], System]] = {
    "etcd": Etcd,
    "nats": Nats,
    "redis": Redis,
    "baseline": Baseline,
}
ROWS: dict[str, Callable[[Bench], None]] = {appends.ROW: appends.measure}


@dataclass(frozen=True, slots=True)
class Options:
    directory: str | None
    rounds: int
    seconds: float
    clients: list[int]
    entries: int
    only: list[str]
    peers: list[str]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    systems = systems_here(options.peers)
    with tempfile.TemporaryDirectory(prefix="replog-peers-", dir=options.directory) as name:
        bench = Bench(
            Path(name), options.rounds, options.seconds, options.clients, options.entries, systems
        )
        for row in options.only:
            ROWS[row](bench)
    for quantity, of in bench.figures.samples.items():
        print(quantity.text)
        for system in of:
            measured = bench.figures.measured(quantity, system)
            assert measured is not None
            print(f"   {system:20} {measured.text(quantity.digits)}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End as at Ctrl-C: everything that was started is ended on the way out."""
    raise KeyboardInterrupt


def systems_here(names: Sequence[str]) -> list[System]:
    """Return this system and those of `names` that can be started, installed where possible."""
    systems = [SYSTEMS[name]() for name in names]
    needed = [one.portrait.program for one in systems if one.portrait.program is not None]
    missing = install_missing(needed)
    if missing:
        say(f"goes on without {', '.join(missing)}; to install: {command_line(missing)}")
    return [Ours(), *(one for one in systems if one.portrait.program not in missing)]


def parse(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--directory", help="where data goes (default: the temporary folder)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5, help="of one round of one system")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--entries", type=int, default=10_000_000, help="of the largest logs")
    parser.add_argument("--only", default=",".join(ROWS), help="rows, separated by commas")
    parser.add_argument("--peers", default=",".join(SYSTEMS), help="likewise; none: no peer")
    given = parser.parse_args(arguments)
    return Options(
        directory=given.directory,
        rounds=given.rounds,
        seconds=given.seconds,
        clients=given.clients,
        entries=given.entries,
        only=_names(parser, given.only, ROWS),
        peers=_names(parser, "" if given.peers == "none" else given.peers, SYSTEMS),
    )


def _names(parser: argparse.ArgumentParser, given: str, known: Sequence[str] | object) -> list[str]:
    assert isinstance(known, dict)
    names = [name for name in given.split(",") if name]
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
    return names


if __name__ == "__main__":
    main()
