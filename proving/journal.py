"""What has been proved so far: one line a case, kept across runs, sessions and machines.

DISK. `results/NAME.jsonl` belongs to a harness. A case that was run again has a line more, and
the last one counts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from proving.harness import Counts, Harness

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one case.

    Attributes:
        code: which product was proved, see `code_now`.
        took_s: seconds of wall clock.
        violation: what was broken, or None.
    """

    case: int
    code: str
    took_s: float
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    violation: str | None = None

    @property
    def held(self) -> bool:
        return self.violation is None


class Journal:
    """The results of one harness."""

    def __init__(self, harness: Harness, directory: Path = RESULTS) -> None:
        self._path = directory / f"{harness.name}.jsonl"
        self.results: dict[int, Result] = {}
        if self._path.exists():
            decode = msgspec.json.Decoder(Result).decode
            for line in self._path.read_bytes().splitlines():
                result = decode(line)
                self.results[result.case] = result

    def add(self, result: Result) -> None:
        self.results[result.case] = result
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(result) + b"\n")

    def held(self, *, code: str | None = None) -> frozenset[int]:
        """Return the cases that held, on `code` alone where it is given."""
        return frozenset(
            result.case
            for result in self.results.values()
            if result.held and code in {None, result.code}
        )

    @property
    def violations(self) -> list[Result]:
        return [result for result in self.results.values() if not result.held]

    def counts(self) -> Counts:
        return added(result.counts for result in self.results.values())


def added(counts: Iterable[Counts]) -> Counts:
    """Return the sum of all counts, by name."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


@cache
def code_now() -> str:
    """Return which product this is: 12 hex digits of SHA-256 over what src/ holds.

    Documents, tests and the harnesses are not in it: what was proved of a product stays proved.
    """
    digest = hashlib.sha256()
    for path in sorted((ROOT / "src" / "replog").rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
