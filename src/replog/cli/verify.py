"""`replog verify`: check every hash of data directories, and that they hold one log.

SHELL.
"""

from __future__ import annotations

from typing import Annotated

import typer

from replog.cli.options import JsonOption
from replog.cli.output import ExitCode, fail


def verify(
    directories: Annotated[list[str], typer.Argument(metavar="DATA_DIR...")],
    as_json: JsonOption = False,
) -> None:
    """Check every hash of each data directory, and that several hold one log.

    \b
    replog verify replog-data/*                   all nodes of this machine
    replog verify /backup/2026-11-22              a copy

    It only reads, offline or beside a running node. Exit code 7 says that something does not
    verify: it is named by segment, id and byte offset.
    """
    fail(f"cannot check {directories} yet: not built", ExitCode.ENVIRONMENT)
