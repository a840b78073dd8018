"""What the comparison needs to know of one of its rows.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.peers.bench import Bench


@dataclass(frozen=True, slots=True)
class Row:
    """One part of the comparison, which can be measured alone.

    Attributes:
        name: as `--only` takes it.
        title: the heading of its part of the document.
        text: what has to be known of its figures.
        measure: adds the figures of all rounds to those of the `Bench`.
    """

    name: str
    title: str
    text: str
    measure: Callable[[Bench], None]
