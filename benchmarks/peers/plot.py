"""Draws bars as SVG, to be read on a light page and on a dark one.

PURE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.report import Measured

WIDTH = 760
_NAMES_WIDTH = 120
_FIGURES_WIDTH = 170
_BAR_HEIGHT = 18
_BAR_STEP = 26
_TITLE_HEIGHT = 34
_MARGIN = 12

_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; }
.note { font-size: 12px; fill: #57606a; }
.ours { fill: #0969da; }
.other { fill: #818b98; }
.early { fill-opacity: 0.25; stroke: #818b98; stroke-dasharray: 4 3; }
.spread { stroke: #24292f; stroke-width: 1.5; fill: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .ours { fill: #4493f8; }
  .other { fill: #9198a1; }
  .early { stroke: #9198a1; }
  .spread { stroke: #e6edf3; }
}"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One system's figure.

    Attributes:
        is_ours: drawn in colour.
        is_early: acknowledged before all that is counted is on disk: drawn pale, dashed.
    """

    name: str
    figure: Measured
    is_ours: bool
    is_early: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars that share a scale, from zero to the highest of them."""

    title: str
    bars: Sequence[Bar]


def draw(panels: Sequence[Panel], *, note: str) -> str:
    """Return an SVG document with `panels` one below the other."""
    parts: list[str] = []
    top = _MARGIN
    for panel in panels:
        parts.append(_text(_MARGIN, top + 16, panel.title, kind="title"))
        top += _TITLE_HEIGHT - 8
        highest = max((bar.figure.high for bar in panel.bars), default=1.0)
        for bar in panel.bars:
            parts += _bar(bar, top, scale=(WIDTH - _NAMES_WIDTH - _FIGURES_WIDTH) / highest)
            top += _BAR_STEP
        top += 8
    parts.append(_text(_MARGIN, top + 14, note, kind="note"))
    height = top + 14 + _MARGIN
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">'
    )
    return "\n".join(
        [
            opening,
            f"<title>{escape('; '.join(panel.title for panel in panels))}</title>",
            f"<style>\n{_STYLE}\n</style>",
            *parts,
            "</svg>\n",
        ]
    )


def _bar(bar: Bar, top: int, *, scale: float) -> list[str]:
    middle = top + _BAR_HEIGHT // 2
    low, width, high = (
        _NAMES_WIDTH + scale * value
        for value in (bar.figure.low, bar.figure.median, bar.figure.high)
    )
    kind = ("ours" if bar.is_ours else "other") + (" early" if bar.is_early else "")
    spread = (
        f'<path class="spread" d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8'
        f'M{high:.1f} {middle - 4}v8"/>'
    )
    bar_itself = (
        f'<rect class="{kind}" x="{_NAMES_WIDTH}" y="{top}" width="{width - _NAMES_WIDTH:.1f}" '
        f'height="{_BAR_HEIGHT}"/>'
    )
    return [
        _text(_NAMES_WIDTH - 8, middle + 5, bar.name, anchor="end"),
        bar_itself,
        *([spread] if bar.figure.rounds > 1 else []),
        _text(int(max(high, width)) + 8, middle + 5, bar.figure.text()),
    ]


def _text(x: int, y: int, text: str, *, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{named} text-anchor="{anchor}">{escape(text)}</text>'
