"""The options that several client commands share.

SHELL.
"""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8000"

UrlOption = Annotated[
    str,
    typer.Option(
        "--url", envvar="REPLOG_URL", metavar="URL", help=f"the node to ask [{DEFAULT_URL}]",
        show_default=False, show_envvar=True,
    ),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON, one object a line")]
