"""Rows 4 and 5: calls of the kernel that fail, and a kill at each of them."""

from __future__ import annotations

from proving.harness import Harness
from proving.harnesses.syscalls import boundaries
from proving.harnesses.syscalls.stories import STORIES
from proving.needs import STRACE

HARNESSES = (
    Harness(
        name="kill-at-each-call",
        row=5,
        promise="every system call boundary is crash-safe",
        how="a program that opens, appends, rolls, cuts, stores epochs, adopts or repairs is "
        "killed by strace at each call that it makes, and the order of its calls is checked",
        unit="parts of its calls",
        cases=len(STORIES) * boundaries.PARTS,
        run=boundaries.run_part,
        sample=(50, 147),
        needs=(STRACE,),
    ),
)
