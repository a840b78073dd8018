"""What a planted bug is.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Planted:
    """A patch of one or two functions, as somebody might get them wrong.

    Attributes:
        rule: what it breaks: a rule of the design's section 4, or a heading of section 3.
        within: so many seeds at the most until a promise is broken.
        focus: an action of the world that is taken more often: where a bug needs one rare
            chain of faults, the other seeds would only cost time.
        seed: one that is known to show it; another one may, after a change of the code.
        test: where no history shows it, the unit test of its rule that does.
        hidden: why no history shows it, where that is known.
    """

    name: str
    rule: str
    plant: Patch
    within: int = 100
    focus: str | None = None
    seed: int = 0
    test: str | None = None
    hidden: str = ""
