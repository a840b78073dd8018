"""`replog acks`: which nodes hold an entry, and a wait until enough do.

SHELL.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from replog.cli.append import parse_concern
from replog.cli.options import (
    DEFAULT_URL,
    Format,
    JsonOption,
    OutputOption,
    UrlOption,
    at_url,
    chosen,
)
from replog.cli.output import ExitCode, count, note, print_table, style_of

if TYPE_CHECKING:
    from replog.client import Acks

HEADER = ("NODE", "HOLDS IT SINCE", "LAST", "HEAD")
NUMBERS = frozenset({"LAST"})
HASH_DIGITS = 12


def acks(
    id_: Annotated[int, typer.Argument(metavar="ID", min=1, help="the id of the entry")],
    concern: Annotated[
        str | None,
        typer.Option(
            "-w", "--write-concern", metavar="W", help="wait for so many: 1, 2 …, majority, all"
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option("--wait", metavar="SECONDS", min=0, help="wait so long for them [no limit]"),
    ] = None,
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which nodes hold an entry on disk, or wait until enough of them do.

    \b
    replog acks 1043                              who holds it now; exit code 4 if not all do
    replog acks 1043 -w all                       waits until all do
    replog acks 1043 -w majority --wait 10        the same, for ten seconds at the most

    It appends nothing: after exit code 4 of an append, or after an answer that got lost, it
    tells what became of the entry. Exit code 3: there is no such entry.
    """
    from replog.cli.append_call import as_write_concern
    from replog.cli.node import AskedNode

    form = chosen(output, as_json=as_json)
    w = as_write_concern(parse_concern(concern))
    is_waiting = wait is not None or concern is not None
    with AskedNode(url) as node:
        if is_waiting:
            found = node.run(node.calls.wait_for(id_, w=w, timeout=wait))
        else:
            found = node.run(node.calls.acks(id_))
    _print(found, form)
    if not found.is_met:
        held, still = len(found.nodes), count(found.required, "node")
        sign = style_of(sys.stderr).yellow("…")
        hint = "" if is_waiting else f"\n  wait for it:  replog acks {id_} -w all{at_url(url)}"
        note(f"{sign} {id_} is on {held} of {still} asked for{hint}")
        raise typer.Exit(ExitCode.WRITE_CONCERN_NOT_MET)


def _print(found: Acks, form: Format) -> None:
    if form.is_json:
        import msgspec

        print(msgspec.json.encode(found).decode(), flush=True)
        return
    rows = [
        (
            one.url,
            one.since or "-",
            "-" if one.last_id is None else str(one.last_id),
            one.head[:HASH_DIGITS] if one.head else "-",
        )
        for one in found.nodes
    ]
    print_table(HEADER, rows, numbers=NUMBERS, has_header=form is not Format.RAW)
    sys.stdout.flush()
