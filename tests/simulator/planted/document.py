"""docs/planted-bugs.md, from what the bugs say of themselves.

SHELL: `python -m tests.simulator.planted.document` writes it.
"""

from __future__ import annotations

from pathlib import Path

from tests.simulator.planted import PLANTED
from tests.simulator.planted.bug import Planted

PATH = Path(__file__).parents[3] / "docs" / "planted-bugs.md"

HEAD = """# Planted bugs

A test that never fails proves nothing. {all} bugs are patched into core, log, links and shell, one
at a time, and something that `make test` runs must fail for each: tests/simulator/test_planted.py
asserts it. {histories} are caught by a history of the simulator: the seed that shows it stands
here, with the fault that was taken more often, if one was; it is tried first, and others after it,
as any change of the code gives other histories. {tests} are caught by a unit test of their rule,
which is named here and run with the bug in it: histories show them seldom or never, see the end.
`python -m proving planted-bugs` counts how many of the plain histories each one takes.

This document is made by `python -m tests.simulator.planted.document`.

| rule | bug | what it does | caught by |
|---|---|---|---|
"""

HIDDEN = """
## What cannot be planted alone

A history judges promises. Where two rules stand behind a promise it is not broken when one of them
is, and some rules guard what no history measures, such as memory. Such a bug is a bug all the same,
for whoever changes the second rule one day would meet it: hence the tests. Why the histories do not
show it was looked into for {hidden} of the {tests}:

"""

UNKNOWN = """
For the other {unknown} nobody has looked for the second rule yet.
"""


def render() -> str:
    """Return the document."""
    by_test = [planted for planted in PLANTED if planted.test is not None]
    hidden = [planted for planted in by_test if planted.hidden]
    counts = {
        "all": len(PLANTED),
        "histories": len(PLANTED) - len(by_test),
        "tests": len(by_test),
        "hidden": len(hidden),
        "unknown": len(by_test) - len(hidden),
    }
    rows = "".join(map(_row, PLANTED))
    reasons = "".join(f"- **{each.name}** ({each.rule}): {each.hidden}.\n" for each in hidden)
    head, before, after = (part.format(**counts) for part in (HEAD, HIDDEN, UNKNOWN))
    return head + rows + before + reasons + after


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
