"""The program that proves: it goes on where it ended, and keeps what was broken.

SHELL.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from proving import run
from proving.__main__ import DOCUMENT, parse
from proving.harness import Harness, Violation
from proving.journal import ROOT, Journal, code_now
from proving.report import BEGIN, END, document
from proving.run import cases_left, run_case
from proving.table import HARNESSES
from tests.support.needed import need


def an_odd_case_fails(case: int, directory: Path) -> Mapping[str, int]:
    (directory / "left").touch()
    if case % 2:
        raise Violation(f"P1: {case} is odd")
    return {"even": 1, "sum": case}


FAKE = Harness(
    name="fake",
    row=1,
    promise="all are even",
    how="they are counted",
    unit="numbers",
    cases=4,
    run=an_odd_case_fails,
    sample=(),
)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setattr(run, "HARNESS_BY_NAME", {FAKE.name: FAKE})
    journal = Journal(FAKE, tmp_path / "results")
    for case in cases_left(FAKE, journal, anew=False):
        journal.add(run_case(FAKE.name, case, tmp_path))
    return journal


def test_a_case_that_broke_a_promise_is_kept_with_its_files_and_run_again(
    journal: Journal, tmp_path: Path
) -> None:
    again = Journal(FAKE, tmp_path / "results")
    assert again.results == journal.results
    assert again.held() == {0, 2}
    assert cases_left(FAKE, again, anew=False) == [1, 3]
    broken = again.results[3].violation
    assert broken is not None
    assert "P1: 3 is odd" in broken
    assert str(ROOT) not in broken, "it is kept where others read it"
    assert Path(broken.rpartition("what it left: ")[2], "left").exists()
    assert not list(tmp_path.glob("replog-fake-2-*")), "a case that held leaves nothing"


def test_what_a_library_of_python_raised_is_kept_without_where_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = dataclasses.replace(FAKE, run=lambda _, at: {"": len((at / "none").read_bytes())})
    monkeypatch.setattr(run, "HARNESS_BY_NAME", {FAKE.name: reading})
    broken = run_case(FAKE.name, 0, tmp_path).violation
    assert broken is not None
    assert "pathlib" in broken
    assert f"{sys.base_prefix}/" not in broken


def test_of_a_long_input_that_broke_a_promise_its_ends_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int, at: Path) -> dict[str, int]:
        raise Violation(f"{at.name}: begin {'x' * 65536} end")

    monkeypatch.setattr(run, "HARNESS_BY_NAME", {FAKE.name: dataclasses.replace(FAKE, run=broken)})
    violation = run_case(FAKE.name, 0, tmp_path).violation
    assert violation is not None
    assert "begin xxx" in violation
    assert "xxx end" in violation
    assert len(violation) < 3000


def test_what_held_on_other_code_counts_until_it_is_asked_for_anew(journal: Journal) -> None:
    journal.add(msgspec.structs.replace(journal.results[0], code="another"))
    assert journal.held() == {0, 2}
    assert journal.held(code=code_now()) == {2}
    assert cases_left(FAKE, journal, anew=True) == [0, 1, 3]


def test_the_figures_of_the_document_are_made_of_the_results(journal: Journal) -> None:
    written = document(f"before\n{BEGIN}\nold\n{END}\nafter\n", {FAKE: journal})
    line = "| 1 | `fake` | all are even | 4 numbers | 2 | 2 |"
    assert line in written.splitlines()
    assert "old" not in written
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert document(written, {FAKE: journal}) == written
    assert journal.counts() == {"even": 2, "sum": 2}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--case", "3"], "--case belongs to one harness: name it"),
        (["rejoins", "--case", "300"], "rejoins has the cases 0 to 299"),
        (["rejoin"], "no harness is called rejoin; there are: histories, "),
    ],
)
def test_what_there_is_not_is_said(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)
    assert says in capsys.readouterr().err


def test_the_figures_that_are_published_are_those_of_the_results() -> None:
    text = DOCUMENT.read_text()
    journals = {harness: Journal(harness) for harness in HARNESSES}
    assert document(text, journals) == text, "python -m proving --cases 0 --write puts it right"


def sample() -> list[object]:
    cases: list[object] = []
    for harness in HARNESSES:
        mark = pytest.mark.processes if harness.starts_processes else pytest.mark.slow
        cases += [
            pytest.param(harness, case, id=f"{harness.name}-{case}", marks=mark)
            for case in harness.sample
        ]
    return cases


@pytest.mark.parametrize(("harness", "case"), sample())
def test_a_sample_of_each_harness_holds(harness: Harness, case: int, tmp_path: Path) -> None:
    need(*harness.needs)
    assert harness.run(case, tmp_path)


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.name)
def test_a_harness_counts_in_a_known_row(harness: Harness) -> None:
    assert 1 <= harness.row <= 17
    assert harness.cases > 0
    assert set(harness.sample) <= set(range(harness.cases))
