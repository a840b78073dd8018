"""`replog tail`: the log as it grows, in a terminal or a pipe.

SHELL.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from replog.cli.options import DEFAULT_URL, JsonOption, OutputOption, UrlOption, chosen
from replog.cli.output import ExitCode, fail, note, style_of

if TYPE_CHECKING:
    from replog.cli.node import AskedNode

_PLACE = re.compile(r"start|now|-?[1-9][0-9]{0,14}")


def tail(
    place: Annotated[
        str,
        typer.Option(
            "--from", metavar="PLACE", help="start, now, the first id, or -N for the last N"
        ),
    ] = "-10",
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="end after N entries")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print entries as they come, until Ctrl-C.

    \b
    replog tail                                   the last ten, and what comes from now on
    replog tail --from now                        only what comes
    replog tail --from start                      everything, and what comes
    replog tail --from 100                        from id 100 on
    replog tail --json | jq -r .message           each entry at once, also through a pipe
    replog tail --from now --limit 1              wait for the next entry

    When the node restarts it goes on behind the last entry by itself, and says so on stderr:
    nothing is missed and nothing comes twice.
    """
    if not _PLACE.fullmatch(place):
        fail(f'--from: got "{place}", expected start, now, an id, or -10', ExitCode.USAGE)
    from replog.cli.entries import Printer, follow
    from replog.cli.node import AskedNode

    def on_lost() -> None:
        where = f"entry {printer.last_id}" if printer.written else "where it began"
        sign = style_of(sys.stderr).yellow("…")
        note(
            f"{sign} the connection to {node.url} ended; reconnecting, and going on behind {where}"
        )

    with (
        AskedNode(url) as node,
        Printer(chosen(output, as_json=as_json), limit=limit) as printer,
    ):
        follow(node, node.calls.follow(_first(node, place)), printer, on_lost=on_lost)


def _first(node: AskedNode, place: str) -> int | None:
    """Return the id to begin with; None is behind what is committed now."""
    if place == "now":
        return None
    if place == "start":
        return 1
    if not place.startswith("-"):
        return int(place)
    return max(1, node.committed() + 1 + int(place))
