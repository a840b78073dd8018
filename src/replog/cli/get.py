"""`replog get`: the entries of the log, from any node.

SHELL.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from replog.cli.options import DEFAULT_URL, JsonOption, UrlOption
from replog.cli.output import ExitCode, fail, printable


def get(
    first: Annotated[
        int | None, typer.Option("--from", metavar="ID", min=1, help="first id to print")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="print N entries at the most")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Print the entries of the log, oldest first, an entry a line.

    \b
    replog get                                    everything that is committed
    replog get --from 100 --limit 10              ten entries from id 100 on
    replog get --url http://127.0.0.1:8001        the same, from a secondary
    replog get --json | jq -r .message            exact messages

    A line is the id, a tab, and the message; what is not printable in a message (line ends
    too) is written as an escape, so that a line stays a line. --json keeps it exact.
    """
    from replog.cli.http_client import NodeClient

    with NodeClient(url) as node, node.entries(first=first, limit=limit) as entries:
        for entry in entries:
            if as_json:
                sys.stdout.write(entry.decode() + "\n")
            else:
                sys.stdout.write(_line(entry) + "\n")
        sys.stdout.flush()


def _line(entry: bytes) -> str:
    try:
        members: object = json.loads(entry)
    except ValueError:
        members = None
    if not isinstance(members, dict) or "id" not in members:
        fail("the answer is no array of entries: is this a node?", ExitCode.ENVIRONMENT)
    return f"{members['id']}\t{printable(str(members.get('message')))}"
