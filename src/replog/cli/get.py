"""`replog get`: the entries of the log, from any node, in constant memory.

SHELL.
"""

from __future__ import annotations

from typing import Annotated

import typer

from replog.cli.options import (
    DEFAULT_URL,
    JsonOption,
    OutputOption,
    UrlOption,
    chosen,
)
from replog.cli.output import ExitCode, fail


def get(
    first: Annotated[
        int | None, typer.Option("--from", metavar="ID", min=1, help="first id to print")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="print N entries at the most")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", metavar="N", min=1, help="print the last N entries")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="print what was stored then or later"),
    ] = None,
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the entries of the log, oldest first, an entry a line.

    \b
    replog get                                    everything that is committed
    replog get --from 100 --limit 10              ten entries from id 100 on
    replog get --last 3                           the last three
    replog get --since 2026-11-22T08:00:00Z       what was stored since a time
    replog get --url http://127.0.0.1:8001        the same, from a secondary
    replog get --json | jq -r .message            exact messages
    replog get -o raw > messages.txt              the messages alone, a line each

    A line is the id, a tab, and the message; what is not printable in a message (line ends
    too) is written as an escape, so that a line stays a line. --json keeps it exact.
    """
    from replog.cli.entries import EntriesWanted, Printer, read
    from replog.cli.node import AskedNode

    if sum(one is not None for one in (first, last, since)) > 1:
        fail("give one of --from, --last and --since", ExitCode.USAGE)
    with AskedNode(url) as node, Printer(chosen(output, as_json=as_json)) as printer:
        read(node, EntriesWanted(first=first, limit=limit, last=last, since=since), printer)
