"""docs/planted-bugs.md, from what the bugs say of themselves.

SHELL: `python -m tests.simulator.planted.document` writes it.
"""

from __future__ import annotations

from pathlib import Path

from tests.simulator.planted import PLANTED
from tests.simulator.planted.bug import Planted

PATH = Path(__file__).parents[3] / "docs" / "planted-bugs.md"

HEAD = """# Planted bugs

A test that never fails proves nothing. These bugs are patched into core, log and links, one at a
time, and something that `make test` runs must fail for each. Where a history of the simulator
does, the seed that shows it stands here, with the fault that was taken more often, if one was; it
is tried first, and others after it, as any change of the code gives other histories. Some bugs
heal by themselves before a client can see them, since another rule stands behind the one that is
broken: for those, a test of the core or the log is named, and run with the bug in it.
`python -m proving planted-bugs` counts how many of the plain histories each one takes.

This table is made by `python -m tests.simulator.planted.document`.

| rule | bug | what it does | caught by |
|---|---|---|---|
"""


def render() -> str:
    """Return the document."""
    return HEAD + "".join(map(_row, PLANTED))


def _row(planted: Planted) -> str:
    doc = (planted.plant.__doc__ or "").strip().partition("\n\n")[0]
    what = " ".join(doc.split()).replace("|", "\\|")
    return f"| {planted.rule} | {planted.name} | {what} | {_caught(planted)} |\n"


def _caught(planted: Planted) -> str:
    if planted.test is not None:
        return f"`{planted.test}`"
    return f"seed {planted.seed}" + (f", {planted.focus}" if planted.focus else "")


if __name__ == "__main__":
    PATH.write_text(render())
