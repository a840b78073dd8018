"""How far a command is: a line that is written over again on a terminal, and nothing elsewhere.

SHELL.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

INTERVAL_S = 0.2


class ProgressLine:
    """The line; it first stands there after one interval."""

    def __init__(self) -> None:
        self._shown_at = time.monotonic()

    def show(self, text: Callable[[], str]) -> None:
        """Show what `text` returns, which is called only where it is shown."""
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown_at >= INTERVAL_S:
            self._shown_at = now
            self._write(f"  {text()}")

    def end(self) -> None:
        """Take the line away, so that something else can be said."""
        if sys.stderr.isatty():
            self._write("")

    def _write(self, text: str) -> None:
        print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)
