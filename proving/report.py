"""The figures of docs/reliability.md, from what has been proved so far.

PURE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proving.harness import Harness
from proving.journal import Journal

BEGIN, END = "<!-- figures: make prove -->", "<!-- end of the figures -->"


def document(text: str, journals: Mapping[Harness, Journal]) -> str:
    """Return `text` with its figures made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(journals)}{END}{after}"


def table(journals: Mapping[Harness, Journal]) -> str:
    """Return a table of Markdown: a line for each harness."""
    lines = [
        "| row | harness | what is shown | goal | held | broke a promise |",
        "|---:|---|---|---:|---:|---:|",
    ]
    for harness, journal in sorted(journals.items(), key=lambda pair: pair[0].row):
        each = harness.per_case
        cells = [
            str(harness.row),
            f"`{harness.name}`",
            harness.promise,
            f"{harness.cases * each:,} {harness.unit}",
            f"{len(journal.held()) * each:,}",
            f"{len(journal.violations):,}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def met(harnesses: Sequence[tuple[Harness, Journal]]) -> str:
    """Return a line for each harness: what its cases met, added up."""
    lines = []
    for harness, journal in harnesses:
        counts = sorted(journal.counts().items())
        what = ", ".join(f"{name} {count:,}" for name, count in counts) or "nothing yet"
        lines.append(f"{harness.name}: {what}")
    return "\n".join(lines)
