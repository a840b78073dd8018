"""Row 16: every branch of core, storage and replication runs under its own tests.

SHELL. A case is a package: `tests/core` alone has to take every branch of `replog.core`, and so
on, however much of it other tests pass through. What cannot run says so in the source, with
`# pragma: no cover` and its reason; see [tool.coverage] in pyproject.toml for what needs none.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from proving.harness import Counts, Harness, Violation

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "storage", "replication")
TIMEOUT_S = 3600.0


class Totals(msgspec.Struct):
    """What `coverage json` says of all files together."""

    num_statements: int
    num_branches: int


class Measured(msgspec.Struct):
    """What it says of one file. A branch is the lines from which and to which it goes."""

    missing_lines: list[int]
    missing_branches: list[tuple[int, int]]


class Report(msgspec.Struct):
    """What it says."""

    totals: Totals
    files: Mapping[str, Measured]


def run_package(case: int, directory: Path) -> Counts:
    """Run a package's own tests, and find every line and branch of it taken."""
    package = PACKAGES[case]
    return take_all(Path("src/replog", package), Path("tests", package), directory)


def take_all(source: Path, tests: Path, directory: Path) -> Counts:
    """Return how much `tests` ran of `source`, which is all of it. Paths are below the root.

    Raises:
        Violation: tests failed, or lines or branches are missing, which are named.
    """
    data, written = directory / "measured", directory / "report.json"
    _python("-m", "coverage", "run", f"--source={source}", f"--data-file={data}",
            "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests))  # fmt: skip
    _python("-m", "coverage", "json", "-q", f"--data-file={data}", "-o", str(written))
    return counts_of(written.read_bytes(), by=tests)


def counts_of(written: bytes, *, by: Path) -> Counts:
    """Return how much a report of coverage.py measured, all of it taken. Raises: Violation."""
    report = msgspec.json.decode(written, type=Report)
    missing = [
        f"{name}: " + ", ".join(_places(file))
        for name, file in sorted(report.files.items())
        if file.missing_lines or file.missing_branches
    ]
    if missing:
        raise Violation(f"{by} alone never took:\n  " + "\n  ".join(missing))
    return {"statements": report.totals.num_statements, "branches": report.totals.num_branches}


def _places(file: Measured) -> list[str]:
    lines = [f"line {line}" for line in file.missing_lines]
    branches = [
        f"{start} to {'the end' if stop < 0 else stop}"
        for start, stop in file.missing_branches
        if start not in file.missing_lines and stop not in file.missing_lines
    ]
    return lines + branches


def _python(*arguments: str) -> None:
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise Violation(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


HARNESSES = (
    Harness(
        name="error-paths",
        row=16,
        promise="every branch has run, those of errors too",
        how="the tests of core, of storage and of replication, each alone, measured by branch",
        unit="packages",
        cases=len(PACKAGES),
        run=run_package,
        sample=(),  # `make test` runs those tests; measuring them makes them several times slower
        is_parallel=True,
        starts_processes=False,
    ),
)
