"""The options that several client commands share.

SHELL.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from replog.cli.output import ExitCode, fail

DEFAULT_URL = "http://127.0.0.1:8000"


class Format(StrEnum):
    """What a command prints on stdout.

    Attributes:
        TABLE: for people; piped, it is plain: tabs between fields.
        JSON: one document.
        JSONL: an object a line, as it comes.
        RAW: the data alone: messages, ids, fields without a header.
    """

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    RAW = "raw"

    @property
    def is_json(self) -> bool:
        return self in {Format.JSON, Format.JSONL}


UrlOption = Annotated[
    str,
    typer.Option(
        "--url", envvar="REPLOG_URL", metavar="URL", help=f"the node to ask [{DEFAULT_URL}]",
        show_default=False, show_envvar=True,
    ),
]  # fmt: skip
OutputOption = Annotated[
    Format | None,
    typer.Option("-o", "--output", help="what is printed: for people, JSON, or the data alone"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="short for -o jsonl: an object a line")]


def chosen(output: Format | None, *, as_json: bool) -> Format:
    """Return the format that two options name together."""
    if as_json and output not in {None, Format.JSONL}:
        fail(f"--json is short for -o jsonl, and -o {output} asks for another", ExitCode.USAGE)
    return Format.JSONL if as_json else output or Format.TABLE


def at_url(url: str) -> str:
    """Return what a command line needs to ask the same node again: nothing at the default."""
    return "" if url.rstrip("/") == DEFAULT_URL else f" --url {url}"
