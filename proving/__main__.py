"""`python -m proving`: run the harnesses in full, from where the last run ended.

SHELL.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from proving.harness import Harness
from proving.journal import ROOT, Journal, code_now
from proving.needs import lacking
from proving.progress import Progress
from proving.report import document, met
from proving.run import cases_left, run_case, run_cases
from proving.table import HARNESS_BY_NAME, HARNESSES

DOCUMENT = ROOT / "docs" / "reliability.md"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    chosen = [harness for harness in HARNESSES if is_named(harness, options.names)]
    journals = {harness: Journal(harness) for harness in HARNESSES}
    if options.list:
        for harness in chosen:
            say_state(harness, journals[harness])
            if options.names:
                print(f"    {harness.promise}: {harness.how}")
        return 0
    if options.counts:
        print(met([(harness, journals[harness]) for harness in chosen]))
        return 0
    if options.case is not None:
        return repeat(chosen, options.case, options.directory)
    end = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    failed = 0
    try:
        for harness in chosen:
            failed += prove(harness, journals[harness], options, end)
    except KeyboardInterrupt:
        print("\nstopped; `make prove` goes on from here", file=sys.stderr)
    if options.write:
        text = DOCUMENT.read_text()
        DOCUMENT.write_text(document(text, journals))
    for harness in chosen:
        say_state(harness, journals[harness])
    return 1 if failed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m proving",
        description="Run the harnesses behind docs/reliability.md, from where they ended.",
        epilog="what held is in proving/results; a case that broke a promise is run again",
    )
    parser.add_argument(
        "names", nargs="*", metavar="HARNESS", help="these only: names or rows (see --list)"
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="what there is, and how far it is; with a name, what it does",
    )
    parser.add_argument("--counts", action="store_true", help="what the cases have met so far")
    parser.add_argument(
        "--case", type=int, help="run just this case of one harness, and keep no result"
    )
    parser.add_argument("--cases", type=int, help="run at most so many cases of each harness")
    parser.add_argument("--minutes", type=float, help="begin no case after so many minutes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="cases side by side")
    parser.add_argument(
        "--anew", action="store_true", help="also what held on other code: any change of src"
    )
    parser.add_argument("--directory", type=Path, help="where cases keep their files")
    parser.add_argument("--write", action="store_true", help="put the figures into the document")
    options = parser.parse_args(arguments)
    rows = {str(harness.row) for harness in HARNESSES}
    unknown = [name for name in options.names if name not in HARNESS_BY_NAME.keys() | rows]
    if unknown:
        known = ", ".join(HARNESS_BY_NAME)
        parser.error(f"no harness is called {', '.join(unknown)}; there are: {known}")
    if options.case is not None:
        if len(options.names) != 1 or options.names[0] not in HARNESS_BY_NAME:
            parser.error("--case belongs to one harness: name it")
        harness = HARNESS_BY_NAME[options.names[0]]
        if options.case not in range(harness.cases):
            parser.error(f"{harness.name} has the cases 0 to {harness.cases - 1}")
    return options


def is_named(harness: Harness, names: Sequence[str]) -> bool:
    return not names or harness.name in names or str(harness.row) in names


def prove(
    harness: Harness, journal: Journal, options: argparse.Namespace, end: float | None
) -> int:
    """Run the cases of one harness that are left; return how many broke a promise."""
    lacks = lacking(harness.needs)
    if lacks is not None:
        print(f"{harness.name}: skipped, {lacks}", file=sys.stderr)
        return 0
    cases = cases_left(harness, journal, anew=options.anew)[: options.cases]
    progress = Progress(harness, total=len(cases))

    broken = 0
    timely = (case for case in cases if end is None or time.monotonic() < end)
    for result in run_cases(harness, timely, jobs=options.jobs, directory=options.directory):
        journal.add(result)
        progress.told(result)
        broken += not result.held
    return broken


def repeat(chosen: Sequence[Harness], case: int, directory: Path | None) -> int:
    """Run one case; keep nothing."""
    [harness] = chosen
    result = run_case(harness.name, case, directory)
    print(result.violation or f"{harness.name} {case} held: {result.counts}")
    return 0 if result.held else 1


def say_state(harness: Harness, journal: Journal) -> None:
    each = harness.per_case
    held, held_now = len(journal.held()) * each, len(journal.held(code=code_now())) * each
    on_this_code = "" if held == held_now else f", {held_now:,} of them on this code"
    broken = f", {len(journal.violations)} broke a promise" if journal.violations else ""
    print(
        f"{harness.row:>2}  {harness.name}: {held:,} of {harness.cases * each:,} "
        f"{harness.unit} held{on_this_code}{broken}"
    )


if __name__ == "__main__":
    sys.exit(main())
