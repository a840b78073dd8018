"""`replog doctor`: asks all nodes, compares their logs, and says what to do.

SHELL.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import typer

from replog.cli.options import (
    DEFAULT_URL,
    Format,
    JsonOption,
    OutputOption,
    UrlOption,
    chosen,
)
from replog.cli.output import ExitCode, count, note, print_table, style_of
from replog.core.text import printable

if TYPE_CHECKING:
    from replog.cli.comparison import Comparison
    from replog.cli.survey import Finding, Member

HEADER = ("NODE", "ROLE", "STATE", "LAST", "COMMITTED", "HEAD", "LOG")
NUMBERS = frozenset({"LAST", "COMMITTED"})
HASH_DIGITS = 12
LINE_LENGTH_MAX = 300


def doctor(
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask every node how it is, compare their logs, and say what to do.

    \b
    replog doctor                                 the cluster that a node belongs to
    replog doctor --json | jq .findings           what is wrong, for programs

    It changes nothing. Where two nodes differ it finds the first entry in which they do, shows
    it from both, and ends with exit code 7; with 1 where something else needs a person.
    """
    from replog.cli.comparison import compare
    from replog.cli.node import AskedNode
    from replog.cli.survey import examine, reference_of, survey

    form = chosen(output, as_json=as_json)
    with AskedNode(url) as node:
        members = survey(node)
    reference = reference_of(members)
    found = [
        compare(reference, member)
        for member in members
        if member is not reference and member.is_there
    ]
    findings = examine(members)
    differing = [one for one in found if one.is_different]
    if form.is_json:
        print(json.dumps(_as_json(members, found, findings), ensure_ascii=False), flush=True)
    else:
        _print(members, found, findings, form)
    if differing or any(finding.is_damage for finding in findings):
        raise typer.Exit(ExitCode.VERIFICATION_FAILED)
    if any(not finding.is_passing for finding in findings):
        raise typer.Exit(ExitCode.ENVIRONMENT)


def _print(
    members: list[Member], found: list[Comparison], findings: list[Finding], form: Format
) -> None:
    relations = {one.url: one.relation for one in found}
    rows = [
        (
            member.url,
            member.role,
            member.state,
            member.number("last_id"),
            member.number("committed_id"),
            (member.text("head") or "-")[:HASH_DIGITS],
            relations.get(member.url, "what the others are compared with")
            if member.is_there
            else "-",
        )
        for member in members
    ]
    print_table(HEADER, rows, numbers=NUMBERS, has_header=form is not Format.RAW)
    for one in found:
        if one.lines is not None:
            ours, theirs = one.lines
            print(f"  {one.reference_url}  {_shown(ours)}")
            print(f"  {one.url}  {_shown(theirs)}")
    sys.stdout.flush()
    style = style_of(sys.stderr)
    for one in found:
        if one.is_different:
            note(f"{style.red('✗')} {one.url}: {one.relation}\n  {one.advice}")
    for finding in findings:
        sign = style.red("✗") if finding.is_damage else style.yellow("!")
        note(f"{sign} {finding.url}: {finding.text}\n  {finding.advice}")
    if _is_well(found, findings):
        note(f"{style.green('✓')} {count(len(members), 'node')}, one log, nothing to do")


def _is_well(found: list[Comparison], findings: list[Finding]) -> bool:
    is_same = not any(one.is_different for one in found)
    return is_same and all(finding.is_passing for finding in findings)


def _shown(line: str) -> str:
    text = printable(line)
    return text if len(text) <= LINE_LENGTH_MAX else f"{text[:LINE_LENGTH_MAX]}…"


def _as_json(
    members: list[Member], found: list[Comparison], findings: list[Finding]
) -> dict[str, object]:
    return {
        "ok": _is_well(found, findings),
        "nodes": [
            {"url": member.url, "reachable": member.is_there, "health": member.health}
            for member in members
        ],
        "comparisons": [
            {
                "url": one.url,
                "with": one.reference_url,
                "relation": one.relation,
                "same_up_to": one.same_up_to,
                "first_difference": one.first_difference,
                "lines": list(one.lines) if one.lines is not None else None,
                "advice": one.advice if one.is_different else None,
            }
            for one in found
        ],
        "findings": [
            {"url": one.url, "text": one.text, "advice": one.advice, "damage": one.is_damage}
            for one in findings
        ],
    }
