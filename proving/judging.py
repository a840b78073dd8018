"""Judges what a run recorded.

DISK.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

from proving.harness import Counts, Violation
from replog.history.findings import Finding, Kind
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
        raise Violation(f"{path}: " + "\n  ".join(["", *_said(verdict.findings)]).strip())
    return verdict.counts


def _said(findings: tuple[Finding, ...]) -> list[str]:
    numbers = Counter(finding.kind for finding in findings)
    said = []
    for kind in (kind for kind in Kind if kind in numbers):
        of_kind = (finding for finding in findings if finding.kind is kind)
        said += [str(finding) for finding in islice(of_kind, SHOWN)]
        if numbers[kind] > SHOWN:
            said.append(f"{kind}: … and {numbers[kind] - SHOWN} more")
    return said
