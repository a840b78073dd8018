"""One line that says how far a harness is, and how long it will take.

SHELL.
"""

from __future__ import annotations

import sys
import time

from proving.harness import Harness
from proving.journal import Result

SAYS_EVERY_S = 10.0


class Progress:
    """Told of each result; rewrites its line on a terminal, says one now and then elsewhere."""

    def __init__(self, harness: Harness, *, total: int) -> None:
        self._harness = harness
        self._total = total
        self._done = 0
        self._broken = 0
        self._began = time.monotonic()
        self._said = self._began
        self._is_terminal = sys.stderr.isatty()
        if total:
            self._say(f"{harness.name}: {total * harness.per_case:,} {harness.unit} to do")

    def told(self, result: Result) -> None:
        self._done += 1
        now = time.monotonic()
        if not result.held:
            self._broken += 1
            name = f"{self._harness.name} {result.case}"
            print(f"\n{name} broke a promise:\n{result.violation}", file=sys.stderr, flush=True)
        is_last = self._done == self._total
        if is_last or now - self._said >= (0.2 if self._is_terminal else SAYS_EVERY_S):
            self._said = now
            left_s = (now - self._began) / self._done * (self._total - self._done)
            done = self._done * self._harness.per_case
            self._say(
                f"{self._harness.name}: {done:,} of {self._total * self._harness.per_case:,} "
                f"{self._harness.unit}, {self._broken} broken, {_time(left_s)} left",
                is_last=is_last,
            )

    def _say(self, text: str, *, is_last: bool = False) -> None:
        if self._is_terminal:
            print(f"\r\x1b[K{text}", end="\n" if is_last else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


def _time(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
