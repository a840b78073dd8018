"""What a judge may find in a history: each kind of broken promise has one name.

PURE.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The names that `replog check` prints, and docs/histories.md explains; roots come first."""

    LOST = "lost"
    DUPLICATE = "duplicate"
    PHANTOM = "phantom"
    TORN = "torn"
    INCONSISTENT_ID = "inconsistent-id"
    OUT_OF_ORDER = "out-of-order"
    NOT_A_PREFIX = "not-a-prefix"
    TAKEN_BACK = "taken-back"
    WENT_BACKWARDS = "went-backwards"
    STALE = "stale"
    TOO_FEW_DISKS = "too-few-disks"
    DIVERGED = "diverged"
    NOT_LIVE = "not-live"


_QUOTED_MAX = 80


def quoted(message: str | None) -> str:
    """Return a message as findings name it, cut where it is long."""
    if message is not None and len(message) > _QUOTED_MAX:
        return f"{message[:_QUOTED_MAX]!r}… ({len(message)} characters)"
    return repr(message)


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise, and the line of the history that shows it.

    Attributes:
        line: counted from 1; 0 where no single line does.
        text: what was found, in words, with the ids and messages.
    """

    kind: Kind
    line: int
    text: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{self.kind}: {where}{self.text}"


def first_of_each(findings: Sequence[Finding], shown: int) -> Iterator[str]:
    """Yield the first findings of each kind as text, and of how many more it keeps silent."""
    numbers: Counter[Kind] = Counter()
    for finding in findings:
        numbers[finding.kind] += 1
        if numbers[finding.kind] <= shown:
            yield str(finding)
    for kind, number in numbers.items():
        if number > shown:
            yield f"{kind}: and {number - shown} more"
