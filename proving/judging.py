"""Judges what a run recorded.

DISK.
"""

from __future__ import annotations

from pathlib import Path

from proving.harness import Counts, Violation
from replog.history.findings import first_of_each
from replog.history.judge import judge

SHOWN = 5
"""Findings of one kind that a message names; one fault can break thousands of lines."""


def assert_holds(path: Path) -> Counts:
    """Return what was judged of a history in which every promise was kept.

    Raises:
        Violation: one was broken; all kinds are named.
        HistoryError: the file is no history.
    """
    with path.open("rb") as file:
        verdict = judge(file)
    if verdict.findings:
        said = "\n  ".join(first_of_each(verdict.findings, SHOWN))
        raise Violation(f"{path}:\n  {said}")
    return verdict.counts
