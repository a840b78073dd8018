"""`python -m benchmarks.peers`: measure this log beside its peers, each as three local nodes.

SHELL. `--smoke` only proves that the program works: its figures mean nothing.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from benchmarks.machine import Processors, look_at_machine
from benchmarks.peers.bench import Bench, say
from benchmarks.peers.install import command_line, install_missing
from benchmarks.peers.logs import Logs
from benchmarks.peers.options import SYSTEMS, Options, parse
from benchmarks.peers.report import DOCUMENT, PICTURE, document, figures_text, goals_text, picture
from benchmarks.peers.results import (
    Results,
    RowRun,
    Version,
    encode_results,
    read_results,
    today,
)
from benchmarks.peers.rows.table import ROW_BY_NAME
from benchmarks.peers.systems import nginx
from benchmarks.peers.systems.ours import Ours

ENDED_BY_SIGNAL = 128 + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell left it ignored
    signal.signal(signal.SIGTERM, _interrupt)
    missing = install_missing(options.programs())
    if missing:
        say(f"goes on without {', '.join(missing)}; to install: {command_line(missing)}")
    systems = [SYSTEMS[name]() for name in options.peers if name in SYSTEMS]
    try:
        with tempfile.TemporaryDirectory(prefix="replog-peers-", dir=options.directory) as name:
            bench = Bench(
                directory=Path(name),
                logs=Logs(Path(name)),
                rounds=options.rounds,
                seconds=options.seconds,
                clients=options.clients,
                entries=options.entries,
                batch_entries=options.batch_entries,
                systems=[Ours(), *(one for one in systems if one.portrait.program not in missing)],
                has_nginx=nginx.NAME in options.peers and nginx.PROGRAM not in missing,
            )
            results = run(bench, options, missing)
    except KeyboardInterrupt:
        say("\nended; what was started is ended too, and its folders are removed")
        sys.exit(ENDED_BY_SIGNAL)
    if options.json:
        print(encode_results(results).decode())
    else:
        print(goals_text(results))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End as at Ctrl-C: everything that was started is ended on the way out.

    By that very signal: what is raised here would be lost in a callback of an event loop, which
    knows what to do at Ctrl-C.
    """
    signal.raise_signal(signal.SIGINT)


def run(bench: Bench, options: Options, missing: Sequence[str]) -> Results:
    """Measure the rows that are asked for; after each, keep and write what is asked for."""
    machine = look_at_machine(bench.directory)
    results = read_results(options.keep) if options.keep is not None else None
    results = results or Results(machine)
    results.machine = machine
    results.see(versions(bench), missing)
    for row in options.only:
        before = Processors.now()
        ROW_BY_NAME[row].measure(bench)
        after = Processors.now()
        others, elapsed_s = after.others_percent_since(before), after.at - before.at
        results.add(
            RowRun(row, today(), bench.rounds, bench.seconds, others, elapsed_s), bench.figures
        )
        print(
            figures_text(row, results), file=sys.stderr if options.json else sys.stdout, flush=True
        )
        if options.keep is not None:
            options.keep.write_bytes(encode_results(results))
        if options.write is not None:
            (options.write / DOCUMENT).write_text(document(results))
            (options.write / PICTURE).write_text(picture(results))
    return results


def versions(bench: Bench) -> list[Version]:
    found = [Version(one.portrait, one.version()) for one in bench.systems]
    return [*found, *([Version(nginx.PORTRAIT, nginx.version())] if bench.has_nginx else [])]


if __name__ == "__main__":
    main()
