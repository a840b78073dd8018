"""Judges what a run recorded.

DISK.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from proving.harness import Counts, Violation
from proving.recording import Recording
from replog.history.findings import first_of_each
from replog.history.judge import judge

SHOWN = 5
"""Findings of one kind that a message names; one fault can break thousands of lines."""


def assert_no_defects(recording: Recording, failed: Collection[str] = ()) -> None:
    """Return where no client met a 500, which a history calls "unknown" and holds against nobody.

    Args:
        failed: URLs of nodes whose disks were made to fail. In its last moments such a node may
            have to say that it does not know what became of an append, or what it may show.

    Raises:
        Violation: a node answered of a defect.
    """
    found = [defect.text for defect in recording.defects if defect.node not in failed]
    if found:
        said = "\n  ".join(found[:SHOWN])
        raise Violation(f"a node told of a defect, {len(found)} times:\n  {said}")


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
