"""A branch that no test takes is named, and so is a test that fails.

SHELL.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proving.harness import Violation
from proving.harnesses.error_paths import counts_of, take_all

SOURCE = """
def half(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    for _ in range(number):
        return number // 2
    return 0
"""

TESTS = """
import sys
sys.path.insert(0, {directory!r})
import halves

def test_half():
    assert halves.half(4) == 2
"""


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "halves.py").write_text(SOURCE)
    tests = tmp_path / "test_halves.py"
    tests.write_text(TESTS.format(directory=str(tmp_path / "source")))
    return tests


@pytest.mark.slow
def test_what_no_test_takes_is_named(tests: Path, tmp_path: Path) -> None:
    with pytest.raises(Violation, match=r"halves\.py: line 4, line 7$"):
        take_all(tmp_path / "source", tests, tmp_path)


def test_what_is_taken_is_counted() -> None:
    totals = {"num_statements": 6, "num_branches": 4, "percent_covered": 100}
    report = {"totals": totals, "files": {"a": {"missing_lines": [], "missing_branches": []}}}
    counts = counts_of(json.dumps(report).encode(), by=Path("tests"))
    assert counts == {"statements": 6, "branches": 4}


def test_a_branch_is_named_by_its_lines() -> None:
    file = {"missing_lines": [], "missing_branches": [[3, 5], [7, -1]]}
    report = {"totals": {"num_statements": 6, "num_branches": 4}, "files": {"a.py": file}}
    with pytest.raises(Violation, match=r"a\.py: 3 to 5, 7 to the end$"):
        counts_of(json.dumps(report).encode(), by=Path("tests"))


@pytest.mark.slow
def test_a_test_that_fails_breaks_a_promise(tests: Path, tmp_path: Path) -> None:
    tests.write_text(tests.read_text() + "    assert halves.half(4) == 3\n")
    with pytest.raises(Violation, match="assert 2 == 3"):
        take_all(tmp_path / "source", tests, tmp_path)
