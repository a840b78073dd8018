"""Seconds that `replog check` takes over a long history, as a process of its own.

SHELL.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.histories import made_history
from benchmarks.report import Measured, measured, table


@dataclass(frozen=True, slots=True)
class JudgingReport:
    """Figures of one history, the start of Python included.

    Attributes:
        judged: what `replog check` says of it.
        cpu_s: of a processor, however long the process had to wait for one.
    """

    operations: int
    history_mb: float
    judged: str
    seconds: Measured
    cpu_s: Measured

    def text(self) -> str:
        rows = [
            ["replog check, s", self.seconds.text(2)],
            ["of which a processor worked, s", self.cpu_s.text(2)],
        ]
        title = f"A history of {self.operations:,} operations, {self.history_mb:,.1f} MB"
        return table(title, ["", "median (spread)"], rows) + f"\n  {self.judged}"


def measure_judging(directory: Path, *, operations: int, rounds: int) -> JudgingReport:
    """Raises: AssertionError: something was found, in a history that keeps every promise."""
    path = directory / "run.jsonl"
    with path.open("wb") as file:
        file.writelines(made_history(operations))
    _check(path)  # its bytes, and those of the program, are in memory from here on
    done = [_check(path) for _ in range(rounds)]
    return JudgingReport(
        operations=operations,
        history_mb=path.stat().st_size / 1e6,
        judged=", ".join(done[0].said.split("\t")[1:]),
        seconds=measured([one.elapsed_s for one in done]),
        cpu_s=measured([one.cpu_s for one in done]),
    )


@dataclass(frozen=True, slots=True)
class _Checked:
    """One process, from its start to its end."""

    said: str
    elapsed_s: float
    cpu_s: float


def _check(path: Path) -> _Checked:
    command = [sys.executable, "-m", "replog", "check", str(path)]
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    elapsed_s, after = time.perf_counter() - started, os.times()
    said = done.stdout.strip()
    assert done.returncode == 0, (said, done.stderr)
    cpu_s = after.children_user + after.children_system
    return _Checked(said, elapsed_s, cpu_s - before.children_user - before.children_system)
