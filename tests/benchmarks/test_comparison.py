"""Goals are judged over the rounds, and what was measured is drawn and kept.

PURE.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.machine import Machine
from benchmarks.peers.figures import Figures, Quantity
from benchmarks.peers.goals import Goal, Reference, all_goals, judge
from benchmarks.peers.install import command_line
from benchmarks.peers.plot import Bar, Panel, draw
from benchmarks.peers.report import document, goals_text
from benchmarks.peers.results import Results, RowRun, encode_results, read_results
from benchmarks.peers.rows.table import ROW_BY_NAME
from benchmarks.peers.systems import etcd, ours
from benchmarks.report import measured

SPEED = Quantity("appends", "32 clients, appends/s")
ETCD = Reference(SPEED, etcd.NAME, etcd.NAME)
MACHINE = Machine("Linux", "a processor", 2, "3.11", "ext4", measured([0.2]))


@pytest.fixture
def figures() -> Figures:
    figures = Figures()
    figures.add(SPEED, ours.NAME, 100.0, 5000.0, 250.0)
    figures.add(SPEED, etcd.NAME, 100.0, 100.0, 100.0)
    return figures


def test_a_machine_that_grows_slower_touches_no_ratio() -> None:
    figures = Figures()
    figures.add(SPEED, ours.NAME, 900.0, 600.0, 30.0)
    figures.add(SPEED, etcd.NAME, 300.0, 200.0, 10.0)
    assert judge(Goal(SPEED, least=3, against=ETCD), figures).value == 3.0


@pytest.mark.parametrize(
    ("goal", "value", "text"),
    [
        (Goal(SPEED, least=2.5, against=ETCD), "2.50 ×", "met"),
        (Goal(SPEED, least=2.6, against=ETCD), "2.50 ×", "**missed**"),
        (Goal(SPEED, most=2.4, against=ETCD), "2.50 ×", "**missed**"),
        (Goal(SPEED, most=2.5, against=ETCD), "2.50 ×", "met"),
        (Goal(SPEED, against=ETCD), "2.50 ×", ""),
        (Goal(SPEED, least=300), "250", "**missed**"),
        (Goal(Quantity("appends", "else"), least=1), "", "not measured"),
    ],
)
def test_a_goal_is_met_or_missed_by_the_median_of_its_rounds(
    figures: Figures, goal: Goal, value: str, text: str
) -> None:
    verdict = judge(goal, figures)
    assert (verdict.value_text(), verdict.text()) == (value, text)


def test_every_row_has_a_goal_and_every_goal_a_row() -> None:
    assert list(dict.fromkeys(goal.quantity.row for goal in all_goals())) == list(ROW_BY_NAME)


def test_a_row_measured_again_takes_the_place_of_the_earlier_one(
    figures: Figures, tmp_path: Path
) -> None:
    run = RowRun("appends", "2026-11-28", 3, 2.5, 0.1, 60.0)
    results = Results(MACHINE)
    results.add(run, figures)
    (tmp_path / "kept").write_bytes(encode_results(results))
    kept = read_results(tmp_path / "kept")
    assert kept == results
    again = Figures()
    again.add(SPEED, ours.NAME, 300.0)
    kept.add(run, again)
    assert kept.figures().samples == {SPEED: {ours.NAME: [300.0]}}
    assert len(kept.runs) == 1


def test_the_document_shows_what_was_measured_and_names_what_is_missing(figures: Figures) -> None:
    results = Results(MACHINE, missing=["etcd"])
    results.add(RowRun("appends", "2026-11-28", 3, 2.5, 0.1, 60.0), figures)
    text = document(results)
    assert "| 32 clients, appends/s | 250 (100-5,000) | 100 (100-100) |" in text
    assert "| appends: 32 clients, appends/s | ≥ 2.5 × etcd | 2.50 × | met |" in text
    assert "Not here, and so not measured: etcd." in text
    assert "2.50 ×" in goals_text(results)


@pytest.mark.parametrize(("others_percent", "warns"), [(2.0, False), (40.0, True)])
def test_the_document_warns_where_others_took_the_processors(
    figures: Figures, others_percent: float, *, warns: bool
) -> None:
    results = Results(MACHINE)
    results.add(RowRun("appends", "2026-11-28", 3, 2.5, others_percent, 60.0), figures)
    assert ("Not on an idle machine" in document(results)) is warns


def test_the_line_that_installs_names_packages() -> None:
    line = command_line(["etcd", "nginx"])
    assert line == "apt-get install --no-install-recommends etcd-server nginx-light"


def test_bars_are_drawn_to_one_scale_as_valid_svg() -> None:
    bars = [
        Bar("ours", measured([50.0]), is_ours=True, is_early=False),
        Bar("<other>", measured([90.0, 100.0, 110.0]), is_ours=False, is_early=True),
    ]
    drawn = ET.fromstring(draw([Panel("a title", bars)], note="a note"))
    space = "{http://www.w3.org/2000/svg}"
    widths = [float(bar.attrib["width"]) for bar in drawn.iter(f"{space}rect")]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
    assert [text.text for text in drawn.iter(f"{space}text")] == [
        "a title",
        *("ours", "50"),
        *("<other>", "100 (90-110)"),
        "a note",
    ]
