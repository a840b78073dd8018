"""Rows 4 and 5: calls of the kernel that fail, and a kill at each of them."""

from __future__ import annotations

from proving.harness import Harness
from proving.harnesses.syscalls import answers, boundaries, full_loop, short_writes
from proving.harnesses.syscalls.columns import (
    FAILING,
    KILLING,
    case_of,
    run_failing,
    run_killing,
)
from proving.harnesses.syscalls.stories import STORIES
from proving.needs import LOOP_MOUNTS, ROOT, STRACE

HARNESSES = (
    Harness(
        name="failing-calls",
        row=4,
        promise="a failed write or sync is never acknowledged",
        how="one call of one thread of a master or a secondary fails by strace: the N-th sync, "
        "write, rename, removal or truncation, for every N of eight runs",
        unit="calls",
        cases=sum(column.most for column in FAILING),
        run=run_failing,
        sample=(case_of(FAILING, "a new secondary", "writer", "fdatasync", 8),),
        needs=(STRACE,),
    ),
    Harness(
        name="short-writes",
        row=4,
        promise="a failed write or sync is never acknowledged",
        how="the write of a batch by a master or a secondary is cut short by the kernel after "
        "0 bytes, one, two … up to all of them",
        unit="writes",
        cases=short_writes.CASES,
        per_case=short_writes.LENGTHS,
        run=short_writes.run_case,
        sample=(),  # tests/storage fails each write in memory
        needs=(ROOT,),
    ),
    Harness(
        name="syncs-that-really-fail",
        row=4,
        promise="a failed write or sync is never acknowledged",
        how="one node's data on ext4 whose device finds no more room, under load; a trace shows "
        "that after the first sync or write that failed it syncs no more, and is gone within 1 s",
        unit="disks",
        cases=100,
        run=full_loop.run_case,
        sample=(2, 4),
        needs=(LOOP_MOUNTS, STRACE),
    ),
    Harness(
        name="kill-at-each-call",
        row=5,
        promise="every system call boundary is crash-safe",
        how="a program that opens, appends, rolls, cuts, stores epochs, adopts or repairs is "
        "killed by strace at each call that it makes, and the order of its calls is checked",
        unit="parts of its calls",
        cases=len(STORIES) * boundaries.PARTS,
        run=boundaries.run_part,
        sample=(50,),
        needs=(STRACE,),
    ),
    Harness(
        name="answers-after-syncs",
        row=5,
        promise="every system call boundary is crash-safe",
        how="a master and a secondary are traced under load: no answer and no acknowledgement "
        "leaves before the sync that it rests on has returned",
        unit="runs",
        cases=50,
        run=answers.run_case,
        sample=(0,),
        needs=(STRACE,),
    ),
    Harness(
        name="kill-nodes-at-each-call",
        row=5,
        promise="every system call boundary is crash-safe",
        how="a master or a secondary is killed by strace at the N-th call of one thread that "
        "changes its disk, for every N of eight runs",
        unit="calls",
        cases=sum(column.most for column in KILLING),
        run=run_killing,
        sample=(case_of(KILLING, "cutting", "writer", "ftruncate", 1),),
        needs=(STRACE,),
    ),
)
