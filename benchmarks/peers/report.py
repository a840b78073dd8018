"""The results as the document docs/benchmarks-peers.md: goals, figures, promises, settings.

PURE.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.figures import Figures, Quantity
from benchmarks.peers.goals import Goal, Verdict, all_goals, judge
from benchmarks.peers.plot import Bar, Panel, draw
from benchmarks.peers.results import Results, Version
from benchmarks.peers.rows import appends
from benchmarks.peers.rows.row import Row
from benchmarks.peers.rows.table import ROW_BY_NAME, ROWS
from benchmarks.peers.systems import ours
from benchmarks.report import table

DOCUMENT = "benchmarks-peers.md"
PICTURE = "benchmarks-peers.svg"
PLOTTED_CLIENTS = (1, 32, 256)
DISTURBED_PERCENT = 15
"""How much of the processors others may take before the document warns of it."""


def goals_text(results: Results) -> str:
    """Return the verdicts as a plain table."""
    rows = [_verdict_cells(verdict) for verdict in _verdicts(results)]
    return table("Goals", ["work", "goal", "came out", ""], rows)


def figures_text(row: str, results: Results) -> str:
    """Return what one row came to as a plain table."""
    figures = results.figures().of_row(row)
    return table(ROW_BY_NAME[row].title, ["", *figures.systems()], _figure_rows(figures))


def document(results: Results) -> str:
    """Return the whole Markdown document."""
    return "\n".join(
        [
            *_opening(results),
            *_goals(results),
            *_picture(results),
            *(line for row in ROWS for line in _row(row, results)),
            *_promises(results.versions),
            *_settings(results),
        ]
    )


def picture(results: Results) -> str:
    """Return the single appends of every system as SVG."""
    figures = results.figures()
    portraits = {one.portrait.name: one.portrait for one in results.versions}
    panels = []
    for clients in PLOTTED_CLIENTS:
        bars = []
        for name, portrait in portraits.items():
            measured = figures.measured(appends.per_second(clients), name)
            if measured is not None:
                bars.append(Bar(name, measured, name == ours.NAME, not portrait.is_synced))
        if bars:
            panels.append(Panel(appends.per_second(clients).text, bars))
    return draw(
        panels,
        note=(
            "Median, lowest and highest round. Pale: acknowledged before all the copies that are "
            "counted are promised to be on disk."
        ),
    )


def _verdicts(results: Results) -> list[Verdict]:
    figures = results.figures()
    return [judge(goal, figures) for goal in all_goals()]


def _opening(results: Results) -> list[str]:
    machine = results.machine
    return [
        "# Beside what a user would pick instead",
        "",
        "Written by `make bench-peers`, which measures it anew in a quarter of an hour; as root on",
        "Debian it installs what is missing. Nothing here is edited by hand:",
        "[our own figures alone](benchmarks.md) are in a document of their own.",
        "",
        "Each system is three nodes on one machine. All are driven by turns (A B C, A B C) by the",
        "same load ([load.py](../benchmarks/load.py)), which shares the machine with them.",
        "Figures are medians, with the lowest and the highest round in brackets.",
        "",
        f"Machine: {machine.processors} cores, {machine.processor}, {machine.system},",
        f"{machine.filesystem}, Python {machine.python}.",
        f"One fdatasync took {machine.sync_ms.text(2)} ms.",
        "",
        *_warning(results),
    ]


def _warning(results: Results) -> list[str]:
    rows = [run.row for run in results.runs if run.others_percent > DISTURBED_PERCENT]
    if not rows:
        return []
    return [
        f"**Not on an idle machine**: others took more than {DISTURBED_PERCENT} % of the",
        f"processors in {', '.join(rows)}.",
        "These figures, and the ratios of what needs much of a processor, may be far lower than on",
        "an idle one: measure again before they are cited.",
        "",
    ]


def _goals(results: Results) -> list[str]:
    return [
        "## Goals",
        "",
        "A ratio is the median of the ratios of the rounds: those are measured next to each other.",
        "*Printed*: there is no goal.",
        "",
        *_markdown(
            ["work", "goal", "came out", ""], [_verdict_cells(v) for v in _verdicts(results)]
        ),
        "",
    ]


def _verdict_cells(verdict: Verdict) -> list[str]:
    goal = verdict.goal
    return [_work(goal), goal.text(), verdict.value_text(), verdict.text()]


def _work(goal: Goal) -> str:
    return f"{goal.quantity.row}: {goal.quantity.text}"


def _picture(results: Results) -> list[str]:
    if appends.ROW not in results.figures().rows():
        return []
    return [f"![Single appends a second, by system and number of clients]({PICTURE})", ""]


def _row(row: Row, results: Results) -> list[str]:
    figures = results.figures().of_row(row.name)
    if not figures.samples:
        return []
    (run,) = [one for one in results.runs if one.row == row.name]
    when = (
        f"{run.day}, {run.rounds} rounds of {run.seconds:g} s, {run.elapsed_s:.0f} s in all; "
        f"others and the kernel took {run.others_percent:.0f} % of the processors meanwhile."
    )
    rows = _markdown(["", *figures.systems()], _figure_rows(figures))
    return [f"## {row.title}", "", f"{row.text} {when}", "", *rows, ""]


def _figure_rows(figures: Figures) -> list[list[str]]:
    return [
        [quantity.text, *(_cell(figures, quantity, system) for system in figures.systems())]
        for quantity in figures.samples
    ]


def _cell(figures: Figures, quantity: Quantity, system: str) -> str:
    measured = figures.measured(quantity, system)
    return measured.text(quantity.digits) if measured is not None else ""


def _promises(versions: Sequence[Version]) -> list[str]:
    portraits = [one.portrait for one in versions if one.portrait.promise]
    rows = [[one.name, one.promise, one.source] for one in portraits]
    return [
        "## What an acknowledgement promises",
        "",
        *_markdown(["", "when it comes", "by"], rows),
        "",
    ]


def _settings(results: Results) -> list[str]:
    rows = [[one.portrait.name, one.version, one.portrait.settings] for one in results.versions]
    missing = (
        [f"Not here, and so not measured: {', '.join(results.missing)}.", ""]
        if results.missing
        else []
    )
    return ["## Versions and settings", "", *missing, *_markdown(["", "version", ""], rows), ""]


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
