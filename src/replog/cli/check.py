"""`replog check`: judge recorded histories, as far as clients and disks can tell.

SHELL.
"""

from __future__ import annotations

import gc
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from replog.cli.options import Format, JsonOption, OutputOption, chosen
from replog.cli.output import CommandError, ExitCode, count, fail, note, style_of

if TYPE_CHECKING:
    from replog.history.judge import Verdict

SHOWN = 10
"""Findings of each kind that are printed for people: one fault can break thousands of lines."""


def check(
    histories: Annotated[
        list[str],
        typer.Argument(metavar="RUN.jsonl...", help="histories; - is standard input"),
    ],
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge histories of what clients asked and were told: was anything lost, or shown wrongly?

    \b
    replog check run.jsonl                        one run
    replog check runs/*.jsonl --json              many, an object for each
    zcat run.jsonl.gz | replog check -            standard input

    docs/histories.md says what to record, in any language, and what each finding means. No node
    is asked. Exit code 7 says that a promise was broken: which, by what, and in which line.
    """
    form = chosen(output, as_json=as_json)
    gc.disable()  # a history is many small objects, none of them garbage: a third of the time
    try:
        verdicts = {path: _verdict(path) for path in histories}
    finally:
        gc.enable()
    if form is Format.JSON:
        print(json.dumps([_as_json(*each) for each in verdicts.items()], ensure_ascii=False))
    elif form is Format.JSONL:
        for each in verdicts.items():
            print(json.dumps(_as_json(*each), ensure_ascii=False))
    else:
        _print(verdicts, is_table=form is Format.TABLE and sys.stdout.isatty())
    if any(verdict.findings for verdict in verdicts.values()):
        raise typer.Exit(ExitCode.VERIFICATION_FAILED)


def _verdict(path: str) -> Verdict:
    from replog.history.judge import judge
    from replog.history.reading import HistoryError

    try:
        if path == "-":
            return judge(sys.stdin.buffer)
        with open(path, "rb") as file:
            return judge(file)
    except HistoryError as error:
        raise CommandError(f"{path}: {error}", ExitCode.ENVIRONMENT) from None
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}", ExitCode.ENVIRONMENT)


def _as_json(path: str, verdict: Verdict) -> dict[str, object]:
    return {
        "history": path,
        "ok": not verdict.findings,
        **verdict.counts,
        "findings": [
            {"kind": finding.kind, "line": finding.line or None, "text": finding.text}
            for finding in verdict.findings
        ],
    }


def _print(verdicts: dict[str, Verdict], *, is_table: bool) -> None:
    from replog.history.findings import first_of_each

    style = style_of(sys.stdout)
    rows = {
        path: [
            path,
            *(count(verdict.counts[f"{noun}s"], noun) for noun in ("append", "read", "disk")),
            count(verdict.counts["entries"], "entry"),
        ]
        for path, verdict in verdicts.items()
    }
    widths = [max(len(row[column]) for row in rows.values()) for column in range(5)]
    for path, verdict in verdicts.items():
        kinds = Counter(finding.kind for finding in verdict.findings)
        summary = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
        summary = f"FAILED: {summary}" if kinds else "ok"
        if is_table:
            cells = [cell.ljust(width) for cell, width in zip(rows[path], widths, strict=True)]
            paint = style.red if kinds else style.green
            print("  " + "   ".join([*cells, paint(summary)]))
        else:
            print("\t".join([*rows[path], summary]))
        for line in first_of_each(verdict.findings, SHOWN):
            sys.stdout.flush()
            note(f"    {path}: {line}")
