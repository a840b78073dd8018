"""`replog bench`: how fast a real cluster appends, reads and follows, beside what that depends on.

SHELL.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from replog.cli.append import parse_concern
from replog.cli.options import (
    DEFAULT_URL,
    Format,
    JsonOption,
    OutputOption,
    UrlOption,
    chosen,
)
from replog.cli.output import count, note, print_table

if TYPE_CHECKING:
    from replog.cli.bench_runs import Measured, Plan

HEADER = ("WHAT", "W", "ENTRIES/S", "MIB/S", "P50 (MEDIAN)", "P99", "MAX", "ENTRIES", "TOOK")
NUMBERS = frozenset(HEADER[2:])


class What(StrEnum):
    """What is measured; the value is the word on the command line."""

    APPEND = "append"
    READ = "read"
    TAIL = "tail"


def bench(
    what: Annotated[What, typer.Argument(metavar="append|read|tail", help="what is measured")],
    number: Annotated[
        int, typer.Option("-n", "--entries", metavar="N", min=1, help="how many, in all")
    ] = 1000,
    size: Annotated[
        int, typer.Option("--size", metavar="BYTES", min=1, max=1 << 20, help="of a message")
    ] = 100,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch", metavar="N", min=1, max=10_000, help="entries a request [1; reads 1000]"
        ),
    ] = None,
    clients: Annotated[
        int, typer.Option("--clients", metavar="N", min=1, max=256, help="at the same time")
    ] = 1,
    concern: Annotated[
        str | None,
        typer.Option("-w", "--write-concern", metavar="W", help="of the appends [all]"),
    ] = None,
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a running cluster: entries a second, and how long a request takes.

    \b
    replog bench append                           1,000 entries, one after the other, w=all
    replog bench append -n 100000 --batch 1000    in batches
    replog bench append --clients 32 -w 2         32 clients at the same time
    replog bench read -n 100000                   pages of 1,000, from the node you name
    replog bench tail                             from the append to its arrival at a follower

    append and tail append for real: the entries stay in the log. What the numbers depend on
    (w, fsync, the machine) is said beside them.
    """
    from replog.cli.bench_runs import MARK_BYTES, Plan, measure
    from replog.cli.node import AskedNode

    form = chosen(output, as_json=as_json)
    plan = Plan(
        url=url,
        entries=number,
        size=max(size, MARK_BYTES) if what is What.TAIL else size,
        batch=batch or (1000 if what is What.READ else 1),
        clients=min(clients, number),
        concern=parse_concern(concern) or "all",
    )
    with AskedNode(url) as node:  # is it there, and how large is the cluster?
        secondaries = node.health().get("secondaries")
        nodes = 1 + len(secondaries) if isinstance(secondaries, list) and secondaries else None
        measured = measure(node, what, plan)
    around = _circumstances(what, plan, nodes)
    if form.is_json:
        print(json.dumps(_as_json(what, plan, measured, around)), flush=True)
        return
    print_table(
        HEADER,
        [_row(what, plan, measured)],
        numbers=NUMBERS,
        has_header=form is not Format.RAW,
    )
    sys.stdout.flush()
    for line in around.values():
        note(f"  {line}")


def _row(what: What, plan: Plan, measured: Measured) -> tuple[str, ...]:
    rate = measured.entries / measured.elapsed_s
    name = f"{what} x{plan.batch}" if plan.batch > 1 else what.value
    return (
        f"{name}, {count(plan.clients, 'client')}",
        "-" if what is What.READ else str(plan.concern),
        f"{rate:,.0f}",
        f"{measured.message_bytes / measured.elapsed_s / (1 << 20):,.2f}",
        *(f"{1000 * measured.percentile(part):.2f} ms" for part in (0.5, 0.99, 1.0)),
        str(measured.entries),
        f"{measured.elapsed_s:.2f} s",
    )


def _circumstances(what: What, plan: Plan, nodes: int | None) -> dict[str, str]:
    """Return what the numbers depend on, in words."""
    size = f"{plan.size} bytes each"
    if what is What.READ:
        times = f"a time is one page of {count(plan.batch, 'entry')}, read whole"
        return {"times": times, "machine": _machine()}
    of = "" if nodes is None else f" of {count(nodes, 'node')}"
    holders = {"all": f"on all{of}", "majority": f"on a majority{of}"}
    where = holders.get(str(plan.concern), f"on {plan.concern}{of}")
    request = "a message" if plan.batch == 1 else f"a batch of {plan.batch}"
    times = {
        What.APPEND: f"a time is {request}, {size}, from the request to its answer",
        What.TAIL: f"a time is from the append of {request}, {size}, to its arrival at a follower",
    }[what]
    return {
        "fsync": f"w={plan.concern}: {where}, each after its fsync; no setting skips it",
        "times": times,
        "machine": _machine(),
        "left": f"{count(plan.entries, 'entry')} more stay in the log",
    }


def _machine() -> str:
    kind = f"{platform.system()} {platform.machine()}"
    cores = count(os.cpu_count() or 1, "core")
    return f"machine of the clients: {kind}, {cores}, Python {platform.python_version()}"


def _as_json(
    what: What, plan: Plan, measured: Measured, around: dict[str, str]
) -> dict[str, object]:
    return {
        "what": what.value,
        "w": None if what is What.READ else plan.concern,
        "entries": measured.entries,
        "batch": plan.batch,
        "clients": plan.clients,
        "size": plan.size,
        "elapsed_s": measured.elapsed_s,
        "entries_per_s": measured.entries / measured.elapsed_s,
        "p50_s": measured.percentile(0.5),
        "p99_s": measured.percentile(0.99),
        "max_s": measured.percentile(1.0),
        **around,
    }
