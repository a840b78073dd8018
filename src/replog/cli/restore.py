"""`replog restore`: fill an empty data directory from the nodes that still hold the log (R9).

SHELL.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from replog.cli.options import Format, JsonOption, OutputOption, chosen
from replog.cli.output import ExitCode, fail, style_of
from replog.cli.progress import ProgressLine

if TYPE_CHECKING:
    from replog.node.restore import RestoreProgress


def restore(
    data_dir: Annotated[str, typer.Argument(metavar="DATA_DIR", help="an empty directory")],
    source: Annotated[
        str, typer.Option("--from", metavar="URL", help="any node that still holds the log")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="go on although a node cannot be asked")
    ] = False,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a log back into an empty data directory, after a master lost its disk.

    \b
    replog restore --from http://127.0.0.1:8001 replog-data/master

    All nodes that the named one knows are asked how far they hold the log, and the furthest
    one gives it. Then start the master on that directory with its usual flags. A node that
    cannot be asked may hold more than the others: --force goes on without it.
    """
    import asyncio

    from replog.config.table import SECONDARIES
    from replog.node import restore as restoring

    form = chosen(output, as_json=as_json)
    try:
        [url] = SECONDARIES.parse(source)
    except ValueError:
        fail(f'--from: got "{source}", expected a URL like http://127.0.0.1:8001', ExitCode.USAGE)
    line = ProgressLine()

    def show(progress: RestoreProgress) -> None:
        line.show(lambda: f"{progress.last_id} of {progress.of_id} from {progress.url}")

    try:
        head = asyncio.run(restoring.restore(url, data_dir, force=force, progress=show))
    finally:
        line.end()
    if form.is_json:
        print(json.dumps({"head": {"last_id": head.last_id, "hash": head.hash.hex()}}))
    elif form is Format.TABLE and sys.stdout.isatty():
        sign = style_of(sys.stdout).green("✓")
        print(f"{sign} {data_dir} holds the log up to id {head.last_id}: start the master on it")
    else:
        print(head.last_id)
