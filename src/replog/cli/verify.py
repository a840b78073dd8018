"""`replog verify`: check every hash of data directories, and that they hold one log.

SHELL.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from replog.cli.options import Format, JsonOption, OutputOption, chosen
from replog.cli.output import ExitCode, count, fail, note, style_of

if TYPE_CHECKING:
    from replog.cli.verification import VerifiedDirectory
    from replog.core.messages import Damage

HASH_DIGITS = 12


def verify(
    directories: Annotated[
        list[str], typer.Argument(metavar="DATA_DIR...", help="data directories, or copies of them")
    ],
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every hash of each data directory, and that several hold one log.

    \b
    replog verify replog-data/*                   all nodes of this machine
    replog verify /backup/2026-11-22              a copy

    It only reads, offline or beside a running node. Exit code 7 says that something does not
    verify: it is named by segment, id and byte offset.
    """
    from replog.cli.verification import verify_directory

    form = chosen(output, as_json=as_json)
    missing = [path for path in directories if not os.path.isdir(path)]
    if missing:
        fail(f"{missing[0]} is no directory", ExitCode.ENVIRONMENT)
    found = [verify_directory(path.rstrip("/") or "/") for path in directories]
    reference = max(found, key=lambda one: (not one.damage, one.head.position))
    verdicts = [Verdict(one, reference) for one in found]
    if form is Format.JSON:
        print(json.dumps([verdict.as_json() for verdict in verdicts], ensure_ascii=False))
    elif form is Format.JSONL:
        for verdict in verdicts:
            print(json.dumps(verdict.as_json(), ensure_ascii=False))
    else:
        _print(verdicts, is_table=form is Format.TABLE and sys.stdout.isatty())
    if not all(verdict.is_good for verdict in verdicts):
        raise typer.Exit(ExitCode.VERIFICATION_FAILED)


class Verdict:
    """What is to be said of one directory beside the furthest one, the reference."""

    def __init__(self, found: VerifiedDirectory, reference: VerifiedDirectory) -> None:
        from replog.cli.verification import difference

        self.found = found
        self._reference = reference
        self._is_other = bool(
            found.log_id and reference.log_id and found.log_id != reference.log_id
        )
        self._difference = None
        if found is not reference and not self._is_other:
            self._difference = difference(found, reference)

    @property
    def is_good(self) -> bool:
        return not (self.found.damage or self._is_other or self._difference)

    @property
    def relation(self) -> str:
        """How the log stands to the reference's, in words that a table ends in."""
        name = self._reference.name
        if self.found is self._reference:
            return ""
        if self._is_other:
            return f"another log than {name}"
        if self._difference is not None:
            where = self._difference
            return f"differs from {name} at id {where.id}, {where.segment} byte {where.offset}"
        if self.found.head == self._reference.head:
            return f"identical to {name}"
        return f"a prefix of {name}"

    def summary(self) -> str:
        word = "ok" if self.is_good else "DAMAGED" if self.found.damage else "FAILED"
        return f"{word}, {self.relation}" if self.relation else word

    def problems(self) -> list[str]:
        lines = [explain(damage) for damage in self.found.damage]
        if self.found.remainder:
            size = count(self.found.remainder, "byte")
            lines.append(f"{size} of a batch that was not finished follow the head: no damage")
        return lines

    def as_json(self) -> dict[str, object]:
        found, where = self.found, self._difference
        return {
            "directory": found.path,
            "ok": self.is_good,
            "log_id": found.log_id,
            "segments": found.segments,
            "entries": found.entries,
            "head": {"last_id": found.head.last_id, "hash": found.head.hash.hex()},
            "relation": self.relation or None,
            "difference": where
            and {"id": where.id, "segment": where.segment, "offset": where.offset},
            "damage": [
                {
                    "first_id": damage.first_id,
                    "last_id": damage.last_id,
                    "segment": damage.segment,
                    "offset": damage.offset,
                    "reason": damage.reason,
                }
                for damage in found.damage
            ],
        }


def explain(damage: Damage) -> str:
    if damage.last_id == damage.first_id:
        what = f"id {damage.first_id} does"
    elif damage.last_id is None:
        what = f"ids {damage.first_id} on do"
    else:
        what = f"ids {damage.first_id} to {damage.last_id} do"
    return f"{what} not verify: {damage.segment} at byte {damage.offset}: {damage.reason}"


def _print(verdicts: list[Verdict], *, is_table: bool) -> None:
    style = style_of(sys.stdout)
    rows = [
        (
            verdict.found.name,
            count(verdict.found.segments, "segment"),
            count(verdict.found.entries, "entry"),
            f"head {verdict.found.head.last_id} {verdict.found.head.hash.hex()[:HASH_DIGITS]}…",
        )
        for verdict in verdicts
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for verdict, row in zip(verdicts, rows, strict=True):
        summary = verdict.summary()
        if is_table:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            paint = style.green if verdict.is_good else style.red
            print("  " + "   ".join([*cells, paint(summary)]))
        else:
            print("\t".join([*row, summary]))
        for line in verdict.problems():
            sys.stdout.flush()
            note(f"    {verdict.found.name}: {line}")
