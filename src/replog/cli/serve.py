"""`replog serve`: one node, until a signal ends it; its flags come from the settings' table.

SHELL.
"""

from __future__ import annotations

import gc
import os
from inspect import Parameter, Signature
from typing import Annotated

import typer

from replog.config import table
from replog.config.load import load_settings
from replog.config.table import Setting

METAVARS = {
    "data_dir": "DIR",
    "secondaries": "URL",
    "write_concern": "W",
    "advertise_url": "URL",
    "delay": "SECONDS",
    "default_timeout": "SECONDS",
    "message_bytes_max": "BYTES",
    "waiting_appends_max": "N",
    "key_window": "N",
    "request_bytes_in_flight_max": "BYTES",
    "batch_entries_max": "N",
    "batch_bytes_max": "BYTES",
    "followers_max": "N",
}
SWITCHES = {table.TAKE_OVER, table.ACCEPT_LOSS}


def _flag(setting: Setting[object]) -> Parameter:
    """Flags are texts: `load_settings` reads all sources alike, with one kind of error."""
    default = "" if setting.default in {None, (), False} else f", default {setting.default}"
    option: object = typer.Option(
        setting.flag,
        metavar=METAVARS.get(setting.name, setting.name.upper()),
        help=f"{setting.help} [{setting.variable}{default}]",
    )
    kind: object = str | None
    if setting is table.SECONDARIES:
        kind = list[str] | None
    elif setting in SWITCHES:
        kind = bool
    return _parameter(setting.name, Annotated[kind, option], default=kind is not bool and None)


def _parameter(name: str, annotation: object, *, default: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


CONFIG = typer.Option(
    "--config",
    metavar="FILE",
    envvar="REPLOG_CONFIG",
    help="TOML file of settings; their names there are small and without REPLOG_",
)


def _signature() -> Signature:
    """A flag for each setting of the table, and what only serve takes."""
    name = typer.Option("--name", hidden=True)
    until_stdin_ends = typer.Option("--until-stdin-ends", hidden=True)
    listen_fd = typer.Option("--listen-fd", hidden=True)
    parameters = [
        *(_flag(setting) for setting in table.TABLE),
        _parameter("config", Annotated[str | None, CONFIG], default=None),
        _parameter("name", Annotated[str | None, name], default=None),
        _parameter("until_stdin_ends", Annotated[bool, until_stdin_ends], default=False),
        _parameter("listen_fd", Annotated[int | None, listen_fd], default=None),
    ]
    return Signature(parameters)


def serve(
    config: str | None,
    name: str | None,
    until_stdin_ends: bool,
    listen_fd: int | None,
    **given: str | list[str] | bool | None,
) -> None:
    """Run one node until Ctrl-C or SIGTERM.

    \b
    replog serve --role secondary --port 8001 --data-dir data-1
    replog serve --role secondary --port 8002 --data-dir data-2 --delay 1.5
    replog serve --role master --port 8000 --data-dir data-0 \\
        --secondary http://127.0.0.1:8001 --secondary http://127.0.0.1:8002

    Start them in any order. A setting is taken from its flag, else from its variable in the
    environment, else from the --config file.
    """
    flags = {setting: _text(value) for setting, value in given.items()}
    settings = load_settings(flags=flags, environment=os.environ, config_path=config)
    gc.disable()  # importing makes no garbage; `run` enables it again
    from replog.cli.node_process import Parent, run

    parent = Parent(until_stdin_ends=until_stdin_ends, listen_fd=listen_fd)
    run(settings, name=name or settings.role, parent=parent)


# typer reads a signature as `inspect` does, so that a new row of the table is a new flag.
setattr(serve, "__signature__", _signature())  # noqa: B010 - functions have no such attribute


def _text(value: str | list[str] | bool | None) -> str | None:
    if isinstance(value, list):
        return ",".join(value) or None
    if isinstance(value, bool):
        return "true" if value else None
    return value
