"""`python -m benchmarks`: measure three local nodes and print what came out.

SHELL. `--smoke` only proves that the program works: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.appends import MESSAGE, AppendReport, measure_appends
from benchmarks.following import FollowingReport, measure_following
from benchmarks.large import LargeReport, measure_large
from benchmarks.machine import Machine, describe, look_at_machine
from benchmarks.producing import ProducerReport, measure_producer


@dataclass(frozen=True, slots=True)
class Report:
    machine: Machine
    appends: AppendReport
    producer: ProducerReport
    following: FollowingReport
    large: list[LargeReport]
    elapsed_s: float


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    started = time.perf_counter()
    large: list[LargeReport] = []
    with tempfile.TemporaryDirectory(prefix="replog-bench-", dir=options.directory) as name:
        directory = Path(name)
        machine = look_at_machine(directory)
        note(options, describe(machine))
        appends = measure_appends(
            make(directory / "appends"),
            clients=options.clients,
            rounds=options.rounds,
            seconds=options.seconds,
        )
        note(options, appends.text())
        producer = measure_producer(
            make(directory / "producer"),
            entries=options.produced,
            rounds=options.rounds,
            message=MESSAGE,
        )
        note(options, producer.text())
        following = measure_following(
            make(directory / "following"),
            followers=options.followers,
            rate=options.followed_rate,
            rounds=options.rounds,
            seconds=2 * options.seconds,
        )
        note(options, following.text())
        for batch_entries in options.batch_entries:
            measured_log = measure_large(
                make(directory / f"large-{batch_entries}"),
                entries=options.entries,
                batch_entries=batch_entries,
                rounds=options.rounds,
                message=MESSAGE,
            )
            note(options, measured_log.text())
            large.append(measured_log)
    report = Report(machine, appends, producer, following, large, time.perf_counter() - started)
    if options.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        print(f"\nin {report.elapsed_s:.0f} s")


@dataclass(frozen=True, slots=True)
class Options:
    json: bool
    directory: str | None
    clients: list[int]
    rounds: int
    seconds: float
    produced: int
    followers: int
    followed_rate: float
    entries: int
    batch_entries: list[int]


def parse(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    parser.add_argument("--smoke", action="store_true", help="as little as proves that it works")
    parser.add_argument("--directory", help="where data goes (default: the temporary folder)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5, help="of one round of appends")
    parser.add_argument("--produced", type=int, default=400_000, help="of one round of a producer")
    parser.add_argument("--followers", type=int, default=1_000, help="of one node")
    parser.add_argument("--followed-rate", type=float, default=100.0, help="appends/s meanwhile")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the large log")
    parser.add_argument("--batch-entries", type=int, nargs="+", default=[1_000, 1])
    given = parser.parse_args(arguments)
    if given.smoke:
        given.clients, given.rounds, given.seconds = [1, 4], 1, 0.2
        given.produced, given.entries, given.batch_entries = 2_000, 2_000, [100]
        given.followers = 20
    return Options(
        json=given.json,
        directory=given.directory,
        clients=given.clients,
        rounds=given.rounds,
        seconds=given.seconds,
        produced=given.produced,
        followers=given.followers,
        followed_rate=given.followed_rate,
        entries=given.entries,
        batch_entries=given.batch_entries,
    )


def note(options: Options, text: str) -> None:
    """Print a part as soon as it is measured, unless the output is to be parsed."""
    print(text, file=sys.stderr if options.json else sys.stdout, flush=True)


def make(directory: Path) -> Path:
    directory.mkdir()
    return directory


if __name__ == "__main__":
    main()
