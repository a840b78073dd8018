"""`replog status`: who is there, in which state, and how far.

SHELL. One `GET /health` at the node that is asked; where that is a master, one more at each
of its secondaries, together and briefly, for what only they know of themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from replog.cli.options import (
    DEFAULT_URL,
    Format,
    JsonOption,
    OutputOption,
    UrlOption,
    chosen,
)
from replog.cli.output import CommandError, duration, note, print_table

HEADER = ("NODE", "ROLE", "HEALTH", "EPOCH", "LAST", "COMMITTED", "LAG", "LAST CONTACT")
DELAY = "DELAY"
"""A last column, where any node has an injected delay: without one it would be noise."""
NUMBERS = frozenset({"EPOCH", "LAST", "COMMITTED", "LAG", "LAST CONTACT", DELAY})

Members = Mapping[str, object]


def status(
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every node that the asked one knows: role, health, epoch, last id, lag.

    \b
    replog status                                 the cluster, as its master sees it
    replog status --url http://127.0.0.1:8001     a secondary's own view
    replog status --json | jq .status             what GET /health answers
    """
    from replog.cli.node import AskedNode

    form = chosen(output, as_json=as_json)
    with AskedNode(url) as node:
        health = node.health()
    if form.is_json:
        print(json.dumps(health, ensure_ascii=False))
        return
    header, rows = table(url, health)
    print_table(header, rows, numbers=NUMBERS, has_header=form is not Format.RAW)
    for line in remarks(health):
        note(line)


def table(url: str, health: Members) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return a header and a row for each node that the asked one knows, its own first."""
    secondaries = members_of(health.get("secondaries"))
    views = _own_views([str(row.get("url")) for row in secondaries])
    rows = [own_row(url, health)]
    rows += [secondary_row(row, view) for row, view in zip(secondaries, views, strict=True)]
    master = health.get("master")
    if isinstance(master, dict) and master.get("url"):
        rows.append(master_row(master))
    delays = [delay_of(seen) for seen in (health, *secondaries)]
    delays += [None] * (len(rows) - len(delays))  # a secondary's view of its master
    if not any(delays):
        return HEADER, rows
    rows = [[*row, duration(delay)] for row, delay in zip(rows, delays, strict=True)]
    return (*HEADER, DELAY), rows


def own_row(url: str, health: Members) -> list[str]:
    """The asked node answers, so it is healthy, or says in one word what keeps it."""
    state = str(health.get("status", "ok"))
    return [
        url.rstrip("/"),
        text(health.get("role")),
        "healthy" if state == "ok" else state,
        text(health.get("epoch")),
        text(health.get("last_id")),
        text(health.get("committed_id")),
        "-",
        "-",
    ]


def secondary_row(seen: Members, own: Members) -> list[str]:
    """What the master sees of a secondary, and what that secondary says of itself."""
    contact = seen.get("last_contact_s")
    return [
        text(seen.get("url")),
        "secondary",
        state_of(seen),
        text(own.get("epoch")),
        text(seen.get("last_id") if seen.get("last_id") is not None else own.get("last_id")),
        text(own.get("committed_id")),
        text(seen.get("lag")),
        duration(contact if isinstance(contact, int | float) else None),
    ]


def master_row(seen: Members) -> list[str]:
    contact = seen.get("last_contact_s")
    return [
        text(seen.get("url")),
        "master",
        text(seen.get("health")).lower(),
        "-",
        "-",
        "-",
        "-",
        duration(contact if isinstance(contact, int | float) else None),
    ]


def state_of(seen: Members) -> str:
    """Return how a secondary is, in one word: a link ended on purpose does not come back."""
    link = seen.get("link")
    return str(link) if link in {"diverged", "refused"} else text(seen.get("health")).lower()


def delay_of(seen: Members) -> float | None:
    """Return the injected delay; None where there is none, or none is known."""
    delay = seen.get("delay_s")
    return delay if isinstance(delay, int | float) and delay > 0 else None


def remarks(health: Members) -> list[str]:
    """What does not fit into a table: damage, and a quorum that is not reached."""
    lines = [
        f"damage: from id {text(row.get('first_id'))}, {text(row.get('segment'))} at byte "
        f"{text(row.get('offset'))}: {text(row.get('reason'))}"
        for row in members_of(health.get("damage"))
    ]
    quorum = health.get("quorum")
    if isinstance(quorum, dict):
        required, reachable = quorum.get("required"), quorum.get("reachable")
        if isinstance(required, int) and isinstance(reachable, int) and reachable < required:
            lines.append(f"no quorum: {reachable} of {required} required nodes are reachable")
    return lines


def members_of(value: object) -> list[dict[str, object]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    return "-" if value is None else str(value)


def health_of(url: str) -> Members:
    """Return what a node says of itself; nothing where it does not answer within a moment."""
    from replog.cli.node import AskedNode

    try:
        with AskedNode(url, timeout_s=1.0) as node:
            return node.health()
    except CommandError:
        return {}


def _own_views(urls: list[str]) -> list[Members]:
    if not urls:
        return []
    with ThreadPoolExecutor(max_workers=min(16, len(urls))) as pool:
        return list(pool.map(health_of, urls))
