"""Findings as people read them.

PURE.
"""

from __future__ import annotations

from replog.history.findings import Finding, Kind, first_of_each


def test_some_of_each_kind_are_shown_and_the_rest_counted() -> None:
    findings = [Finding(Kind.LOST, line, "gone") for line in (2, 3, 4)]
    findings.append(Finding(Kind.PHANTOM, 0, "came"))
    assert list(first_of_each(findings, 2)) == [
        "lost: line 2: gone", "lost: line 3: gone", "phantom: came", "lost: and 1 more",
    ]  # fmt: skip
