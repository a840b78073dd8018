"""`replog append`: one entry from the command line, or one for each line of standard input.

SHELL.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from replog.cli.options import (
    DEFAULT_URL,
    Format,
    JsonOption,
    OutputOption,
    UrlOption,
    at_url,
    chosen,
)
from replog.cli.output import (
    CommandError,
    ExitCode,
    InDoubtError,
    count,
    duration,
    fail,
    note,
    style_of,
)
from replog.cli.status import members_of
from replog.cli.waiting import explained, listed

if TYPE_CHECKING:
    from replog.cli.append_call import Appended, AppendWanted
    from replog.cli.node import AskedNode

EXPLAIN_TIMEOUT_S_MIN = 5.0
KEY_BYTES_MAX = 255


def append(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="the message, or - for a message a line of stdin")
    ],
    concern: Annotated[
        str | None,
        typer.Option(
            "-w",
            "--write-concern",
            metavar="W",
            help="nodes that must hold it before the answer: 1, 2 …, majority, all",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0, help="stop waiting then; the entry stays stored"
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="the same key is stored once, however often"),
    ] = None,
    expect: Annotated[
        int | None,
        typer.Option("--expect", metavar="ID", min=0, help="only if this is the last id; 0: none"),
    ] = None,
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Append an entry to the log and wait until enough nodes hold it.

    \b
    replog append "order 17 paid"                 waits for all nodes (or what the node says)
    replog append "order 17 paid" -w majority     waits for a majority of them
    replog append x -w all --timeout 1            exit code 4 where it is stored, not yet on all
    replog append "order 17 paid" --key order-17  stored once, also when this is run again
    replog append x --expect 41                   exit code 6 where the log does not end at 41
    seq 100000 | replog append -                  a line is an entry; -- before a TEXT with dashes

    Piped, it prints the id alone. When it has waited for a second it says for which nodes.
    Where no answer came (Ctrl-C, a connection that broke off) it says what may be stored and
    how to see it: look before you append it again.
    """
    from replog.cli.append_call import AppendWanted
    from replog.cli.node import AskedNode

    form = chosen(output, as_json=as_json)
    if form is Format.JSON and text == "-":
        fail("-o json is one document: the answers of many batches are -o jsonl", ExitCode.USAGE)
    wanted = AppendWanted(
        parse_concern(concern), timeout, expect=expect, key=_checked_key(key, text)
    )
    with AskedNode(url) as node:
        if text == "-":
            from replog.cli.append_lines import append_lines

            append_lines(node, wanted, form)
        else:
            _append_one(node, text, wanted, form)


def parse_concern(text: str | None) -> int | str | None:
    if text is None or text in {"majority", "all"}:
        return text
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        fail(f'-w: got "{text}", expected 1, 2 …, majority or all', ExitCode.USAGE)
    return int(text)


def _checked_key(key: str | None, text: str) -> str | None:
    if key is None:
        return None
    if text == "-":
        fail("--key is for one TEXT: what comes from stdin gets keys of its own", ExitCode.USAGE)
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        fail("--key: is not UTF-8", ExitCode.USAGE)
    if not 1 <= size <= KEY_BYTES_MAX:
        fail(f"--key: has {size} bytes, expected 1 to {KEY_BYTES_MAX}", ExitCode.USAGE)
    return key


def _append_one(node: AskedNode, text: str, wanted: AppendWanted, form: Format) -> None:
    from replog.cli.append_call import append_message, how_to_see

    try:
        text.encode()
    except UnicodeEncodeError:
        fail("TEXT is not UTF-8: a log holds text", ExitCode.USAGE)
    started = time.monotonic()
    again = how_to_see(node) if wanted.key is None else _once_more(node, wanted.key)
    try:
        with explained(node.url) if _may_wait_long(wanted) else nullcontext():
            answer = append_message(node, text, wanted, _say_again)
    except KeyboardInterrupt:  # P3: it has left, and nobody takes it back
        note(f"stopped: the entry was under way and may be stored; {again}")
        raise
    except InDoubtError as error:
        raise CommandError(f"{error}; {again}", error.code) from error
    took = time.monotonic() - started
    if form.is_json:
        print(answer.body.decode(), flush=True)
    elif form is Format.RAW or not sys.stdout.isatty():
        print(answer.first, flush=True)
    elif not answer.is_pending:
        sign = style_of(sys.stdout).green("✓")
        before = "   stored before, with this key" if answer.is_replayed else ""
        print(f"{sign} {answer.first}   {_nodes(answer)}   {duration(took)}{before}")
    if answer.is_pending:
        note(_explain_pending(node, answer, wanted))
        raise typer.Exit(ExitCode.WRITE_CONCERN_NOT_MET)


def _say_again(reason: str) -> None:
    sign = style_of(sys.stderr).yellow("…")
    note(f"{sign} {reason}; sending again, with the same key: it is stored once")


def _may_wait_long(wanted: AppendWanted) -> bool:
    """For other nodes, and beyond what the answer after a short timeout explains anyway."""
    is_soon = wanted.timeout_s is not None and wanted.timeout_s < EXPLAIN_TIMEOUT_S_MIN
    return wanted.concern != 1 and not is_soon


def _once_more(node: AskedNode, key: str) -> str:
    return f'append it again with --key "{key}"{at_url(node.url)}: it is stored once'


def _nodes(answer: Appended) -> str:
    if answer.nodes is None:
        return f"on {count(answer.held, 'node')}"
    return f"on {answer.held} of {count(answer.nodes, 'node')}"


def _explain_pending(node: AskedNode, answer: Appended, wanted: AppendWanted) -> str:
    """Say who does not hold the entry yet, in which state they are, and how to wait for them."""
    sign = style_of(sys.stderr).yellow("…")
    try:
        rows = members_of(node.health().get("secondaries"))
    except CommandError:
        rows = []
    held = answer.held
    missing = [row for row in rows if row.get("url") not in answer.acks]
    nodes = f"{held} of {1 + len(rows)} nodes" if rows else count(held, "node")
    where = f", not yet on {listed(missing)}" if missing else ""
    concern = wanted.concern or answer.required or "all"
    return (
        f"{sign} {answer.first} is stored on {nodes}{where}. It will get there by itself.\n"
        f"  wait for it:  replog acks {answer.first} -w {concern}{at_url(node.url)}"
    )
