"""The command `replog`: its commands, its help, and what their errors look like.

SHELL. Every error that is expected ends here as one line on stderr and an exit code; what
remains is a defect, and keeps its traceback.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from replog import __version__
from replog.cli.acks import acks
from replog.cli.append import append
from replog.cli.bench import bench
from replog.cli.cheat import cheat
from replog.cli.check import check
from replog.cli.completion import completion
from replog.cli.doctor import doctor
from replog.cli.get import get
from replog.cli.output import CommandError, ExitCode, note
from replog.cli.restore import restore
from replog.cli.serve import serve
from replog.cli.status import status
from replog.cli.tail import tail
from replog.cli.top import top
from replog.cli.up import up
from replog.cli.verify import verify
from replog.config.load import UsageError
from replog.core.errors import ReplogError

P = ParamSpec("P")

OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich help pages cost 0.15 s
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"replog {__version__}")
        raise typer.Exit


@app.callback()
def about(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="print the version", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """A replicated log: one master, any number of secondaries, durable, in order.

    \b
    replog up                                     a cluster on this machine
    replog append "order 17 paid" -w majority     an entry, held by a majority when it returns
    replog get --from 100                         the entries, from any node
    replog tail                                   the last ten, and what comes from now on
    replog status                                 who is there, and how far
    replog doctor                                 what is wrong, and what to do
    replog cheat                                  the same with curl
    replog verify replog-data/*                   every hash, and that the copies are identical
    replog check run.jsonl                        a recorded run: was any promise broken?

    \b
    Exit codes: 0 ok, 1 the environment (port, disk, configuration, node), 2 usage, 3 not found,
    4 stored but not yet on enough nodes, 5 no node reachable, 6 precondition failed,
    7 verification failed, 130 Ctrl-C.
    """


def _guarded(command: Callable[P, None], *, is_server: bool) -> Callable[P, None]:
    """Return `command` with its expected errors turned into a line and an exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CommandError as error:
            _end(str(error), error.code)
        except UsageError as error:
            _end(str(error), ExitCode.USAGE)
        except ReplogError as error:
            _end(str(error), ExitCode.ENVIRONMENT)
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except BrokenPipeError:
            # The reader has enough (`replog get | head`). The interpreter's own last flush
            # must not fail again.
            _drop_output()
            raise typer.Exit(ExitCode.OK) from None
        except OSError as error:
            if is_server or error.errno not in OUTPUT_ERRORS:
                raise
            _drop_output()
            _end(f"the output cannot be written: {error.strerror}", ExitCode.ENVIRONMENT)

    return run


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(text: str, code: ExitCode) -> None:
    note(f"replog: {text}")
    raise typer.Exit(code) from None


app.command()(_guarded(serve, is_server=True))
app.command()(_guarded(up, is_server=True))
app.command()(_guarded(append, is_server=False))
app.command()(_guarded(get, is_server=False))
app.command()(_guarded(tail, is_server=False))
app.command()(_guarded(acks, is_server=False))
app.command()(_guarded(status, is_server=False))
app.command()(_guarded(top, is_server=False))
app.command()(_guarded(doctor, is_server=False))
app.command()(_guarded(cheat, is_server=False))
app.command()(_guarded(bench, is_server=False))
app.command()(_guarded(verify, is_server=False))
app.command()(_guarded(check, is_server=False))
app.command()(_guarded(restore, is_server=False))
app.command()(_guarded(completion, is_server=False))


def _open_missing_streams() -> None:
    """Put /dev/null where stdin, stdout or stderr is closed.

    Else the first socket or file gets that number, and what is meant for a person ends there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def main() -> None:
    """Run the command line of this process."""
    _open_missing_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # entries are, whatever the locale
    app(prog_name="replog")
