"""`python -m benchmarks`: measure three local nodes and the judge, and print what came out.

SHELL. `--smoke` only proves that the program works: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.appends import MESSAGE, AppendReport, measure_appends
from benchmarks.following import FollowingReport, measure_following
from benchmarks.judging import JudgingReport, measure_judging
from benchmarks.large import LargeReport, measure_large
from benchmarks.machine import Machine, describe, look_at_machine
from benchmarks.producing import ProducerReport, measure_producer

PARTS = ("appends", "producer", "following", "large", "judging")
_ONLY = f"measure these only: {', '.join(PARTS)}"


@dataclass(slots=True)
class Report:
    """What was measured; None, or nothing, of what was not asked for."""

    machine: Machine
    appends: AppendReport | None = None
    producer: ProducerReport | None = None
    following: FollowingReport | None = None
    large: list[LargeReport] = field(default_factory=list)
    judging: JudgingReport | None = None
    elapsed_s: float = 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="replog-bench-", dir=options.directory) as name:
        report = Report(look_at_machine(Path(name)))
        note(options, describe(report.machine))
        for part in PARTS:
            if part in options.only:
                measure(part, report, options, Path(name))
    report.elapsed_s = time.perf_counter() - started
    if options.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        print(f"\nin {report.elapsed_s:.0f} s")


def measure(part: str, report: Report, options: Options, directory: Path) -> None:
    """Measure one of `PARTS`, in a directory of its own, and put it into `report`."""
    rounds = options.rounds
    if part == "large":
        for batch_entries in options.batch_entries:
            large = measure_large(
                make(directory / f"large-{batch_entries}"),
                entries=options.entries,
                batch_entries=batch_entries,
                rounds=rounds,
                message=MESSAGE,
            )
            note(options, large.text())
            report.large.append(large)
        return
    own = make(directory / part)
    match part:
        case "appends":
            report.appends = measure_appends(
                own, clients=options.clients, rounds=rounds, seconds=options.seconds
            )
            note(options, report.appends.text())
        case "producer":
            report.producer = measure_producer(
                own, entries=options.produced, rounds=rounds, message=MESSAGE
            )
            note(options, report.producer.text())
        case "following":
            report.following = measure_following(
                own,
                followers=options.followers,
                rate=options.followed_rate,
                rounds=rounds,
                seconds=2 * options.seconds,
            )
            note(options, report.following.text())
        case _:
            report.judging = measure_judging(own, operations=options.operations, rounds=rounds)
            note(options, report.judging.text())


@dataclass(frozen=True, slots=True)
class Options:
    json: bool
    directory: str | None
    only: list[str]
    clients: list[int]
    rounds: int
    seconds: float
    produced: int
    followers: int
    followed_rate: float
    entries: int
    batch_entries: list[int]
    operations: int


def parse(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    parser.add_argument("--smoke", action="store_true", help="as little as proves that it works")
    parser.add_argument("--directory", help="where data goes (default: the temporary folder)")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=_ONLY
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5, help="of one round of appends")
    parser.add_argument("--produced", type=int, default=400_000, help="of one round of a producer")
    parser.add_argument("--followers", type=int, default=1_000, help="of one node")
    parser.add_argument("--followed-rate", type=float, default=100.0, help="appends/s meanwhile")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the large log")
    parser.add_argument("--batch-entries", type=int, nargs="+", default=[1_000, 1])
    parser.add_argument("--operations", type=int, default=100_000, help="of the judged history")
    given = parser.parse_args(arguments)
    if given.smoke:
        given.clients, given.rounds, given.seconds = [1, 4], 1, 0.2
        given.produced, given.entries, given.batch_entries = 2_000, 2_000, [100]
        given.followers, given.operations = 20, 1_000
    return Options(
        json=given.json,
        directory=given.directory,
        only=list(given.only),
        clients=given.clients,
        rounds=given.rounds,
        seconds=given.seconds,
        produced=given.produced,
        followers=given.followers,
        followed_rate=given.followed_rate,
        entries=given.entries,
        batch_entries=given.batch_entries,
        operations=given.operations,
    )


def note(options: Options, text: str) -> None:
    """Print a part as soon as it is measured, unless the output is to be parsed."""
    print(text, file=sys.stderr if options.json else sys.stdout, flush=True)


def make(directory: Path) -> Path:
    directory.mkdir()
    return directory


if __name__ == "__main__":
    main()
