"""What `python -m benchmarks.peers` takes.

SHELL.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.rows.table import ROW_BY_NAME
from benchmarks.peers.systems import nginx
from benchmarks.peers.systems.baseline import Baseline
from benchmarks.peers.systems.etcd import Etcd
from benchmarks.peers.systems.nats import Nats
from benchmarks.peers.systems.redis import Redis
from benchmarks.peers.systems.system import System

SYSTEMS: dict[str, Callable[[], System]] = {
    "etcd": Etcd,
    "nats": Nats,
    "redis": Redis,
    "baseline": Baseline,
}
DOCUMENTS = Path(__file__).parents[2] / "docs"
PEERS = (*SYSTEMS, nginx.NAME)
BATCH_ENTRIES = (1_000, 1)
"""Of large logs: as they come from clients with much to say, and the worst case."""


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes and choices of one run.

    Attributes:
        keep: a file of results; rows that are not measured now are taken from it.
        write: where the document and its picture are written, if they are.
    """

    directory: str | None
    rounds: int
    seconds: float
    clients: list[int]
    entries: int
    batch_entries: Sequence[int]
    only: list[str]
    peers: list[str]
    keep: Path | None
    write: Path | None
    json: bool

    def programs(self) -> list[str]:
        """Return the programs that the chosen peers need."""
        portraits = [SYSTEMS[name]().portrait for name in self.peers if name in SYSTEMS]
        portraits += [nginx.PORTRAIT] if nginx.NAME in self.peers else []
        return [one.program for one in portraits if one.program is not None]


def parse(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    add = parser.add_argument
    add("--smoke", action="store_true", help="as little as proves that it works, without peers")
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=2.5, help="of one round of one system")
    add("--clients", type=int, nargs="+", default=[1, 32, 256], help="that append")
    add("--entries", type=int, default=10_000_000, help="of the largest logs; others in proportion")
    add("--only", default=",".join(ROW_BY_NAME), metavar="ROW[,ROW]", help="default: %(default)s")
    add("--peers", metavar="PEER[,PEER]", help=f"none, or of: {','.join(PEERS)} (default: all)")
    add("--directory", help="where data goes (default: the temporary folder)")
    add("--keep", type=Path, metavar="FILE", help="results are kept there; adds to those in it")
    add(
        "--write",
        type=Path,
        nargs="?",
        const=DOCUMENTS,
        metavar="FOLDER",
        help="write benchmarks-peers.md and its picture (default: into docs)",
    )
    add("--json", action="store_true", help="one object on standard output")
    given = parser.parse_args(arguments)
    if given.smoke:
        given.rounds, given.seconds, given.clients, given.entries = 1, 0.1, [1, 4], 20_000
        given.peers = given.peers or "baseline"
    return Options(
        directory=given.directory,
        rounds=given.rounds,
        seconds=given.seconds,
        clients=given.clients,
        entries=given.entries,
        batch_entries=BATCH_ENTRIES[:1] if given.smoke else BATCH_ENTRIES,
        only=_names(parser, given.only, ROW_BY_NAME),
        peers=_names(
            parser, {None: ",".join(PEERS), "none": ""}.get(given.peers, given.peers), PEERS
        ),
        keep=given.keep,
        write=given.write,
        json=given.json,
    )


def _names(parser: argparse.ArgumentParser, given: str, known: Iterable[str]) -> list[str]:
    names = [name for name in given.split(",") if name]
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
    return names
