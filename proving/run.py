"""Runs the cases of one harness that have not held yet, and keeps what came of each.

SHELL.
"""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from proving.harness import Harness
from proving.journal import ROOT, Journal, Result, code_now
from proving.table import HARNESS_BY_NAME

TOLD_FIRST = 1500
TOLD_LAST = 500
"""Characters of what broke a promise that are kept."""


def run_cases(
    harness: Harness, cases: Iterable[int], *, jobs: int, directory: Path | None
) -> Iterator[Result]:
    """Yield the result of each of `cases` as it comes.

    A process of its own runs them, or `jobs` of them where cases may run side by side. The
    directory of a case that broke a promise stays, below `directory`, and is named.
    """
    workers = jobs if harness.is_parallel else 1
    context = multiprocessing.get_context("spawn")
    left = iter(cases)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_ctrl_c) as pool:
        running: set[Future[Result]] = set()
        try:
            while True:
                while len(running) < workers and (case := next(left, None)) is not None:
                    running.add(pool.submit(run_case, harness.name, case, directory))
                if not running:
                    return
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    yield future.result()
        finally:
            for future in running:
                future.cancel()


def _leave_ctrl_c() -> None:
    """Ctrl-C ends the run; the case that is under way ends by itself, and is cleaned up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_case(name: str, case: int, parent: Path | None) -> Result:
    """Run one case in a new directory. Whatever it dies of is its finding."""
    harness = HARNESS_BY_NAME[name]
    directory = Path(tempfile.mkdtemp(prefix=f"replog-{name}-{case}-", dir=parent))
    began = time.monotonic()
    violation = None
    counts: dict[str, int] = {}
    try:
        counts = dict(harness.run(case, directory))
    except Exception:  # noqa: BLE001 - it is told, kept and counted
        violation = f"{_told(traceback.format_exc(limit=-6))}\nwhat it left: {directory}"
    else:
        shutil.rmtree(directory)
    return Result(
        case=case,
        code=code_now(),
        took_s=round(time.monotonic() - began, 3),
        counts=counts,
        violation=violation,
    )


def _told(trace: str) -> str:
    """Return a traceback as it may be kept: without where this machine has its files, and short.

    An input of 64 KiB that broke a promise stands in it; its case makes it again.
    """
    told = trace.replace(f"{ROOT}/", "").replace(f"{sys.base_prefix}/", "")
    left_out = len(told) - TOLD_FIRST - TOLD_LAST
    if left_out <= 0:
        return told
    return f"{told[:TOLD_FIRST]} … {left_out:,} characters … {told[-TOLD_LAST:]}"


def cases_left(harness: Harness, journal: Journal, *, anew: bool) -> list[int]:
    """Return the cases of a full run that have not held: at all, or on this code (`anew`)."""
    held = journal.held(code=code_now() if anew else None)
    return [case for case in range(harness.cases) if case not in held]
