"""Waiting for a condition with a deadline, never for a time.

PURE, but for the clock it looks at.
"""

from __future__ import annotations

import time
from collections.abc import Callable

DEADLINE_S = 30.0
"""Far beyond what any awaited thing takes: running into it means that it never comes."""


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    deadline_s: float = DEADLINE_S,
    explain: Callable[[], str] = str,
    look_every_s: float = 0.02,
) -> None:
    """Return when `condition` holds; raise AssertionError, with `explain()`, when it never does."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:g} s: {what}\n{explain()}")
        time.sleep(look_every_s)
