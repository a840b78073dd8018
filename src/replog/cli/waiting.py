"""Says what an append waits for, while it waits.

NETWORK. A thread of its own with a connection of its own: the append is never delayed by it,
and where the node does not answer there is nothing to say.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat

from replog.cli.output import count, duration, note, style_of
from replog.cli.status import Members, health_of, members_of, state_of

LOOKS_S = (0.8, 0.2)
"""Pauses before the first two looks. The first one learns how far the log goes by now, which
is as far as the entry can stand; a node that is not there at the second one is waited for."""
LOOK_AGAIN_S = 3.0

THREAD_NAME = "replog-waiting"


@dataclass(frozen=True, slots=True)
class _Picture:
    """What is waited for; the same key is no news, since a lag alone changes all the time."""

    key: tuple[str, ...]
    text: str


STARTING = _Picture(
    ("starting",),
    "waiting: the master is starting, and asks its secondaries what they hold before it stores",
)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Say on stderr what is waited for at the node `url`, until the block ends.

    Once about a second has passed, and again when other nodes are missing or their health is
    another one.
    """
    over = threading.Event()
    saying = threading.Lock()
    watcher = threading.Thread(
        target=_watch, args=(url, over, saying), name=THREAD_NAME, daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        with saying:  # what is half said is said first, and nothing is said afterwards
            over.set()


def _watch(url: str, over: threading.Event, saying: threading.Lock) -> None:
    told: tuple[str, ...] = ()
    goal: int | None = None
    pauses = chain(LOOKS_S, repeat(LOOK_AGAIN_S))
    while not over.wait(next(pauses)):
        health = health_of(url)
        is_starting = health.get("status") == "starting"
        if is_starting or goal is None:
            last_id = health.get("last_id")
            goal = last_id if isinstance(last_id, int) and not is_starting else None
            picture = STARTING if is_starting else None
        else:
            picture = _picture(health, goal)
        if picture is None or picture.key == told:
            continue
        told = picture.key
        with saying:
            if not over.is_set():
                note(f"{style_of(sys.stderr).yellow('…')} {picture.text}")


def _picture(health: Members, goal: int) -> _Picture | None:
    """Return who does not hold the log up to id `goal`; None where nobody can be named."""
    missing = [row for row in members_of(health.get("secondaries")) if not _holds(row, goal)]
    if not missing:
        return None
    # Not "it is stored": nobody has said so yet, and the disk may be what hangs.
    return _Picture(
        tuple(f"{row.get('url')} {state_of(row)}" for row in missing),
        f"waiting: not yet on {listed(missing)}. What the master has stored gets there by "
        "itself; Ctrl-C only ends the waiting.",
    )


def listed(rows: Iterable[Members]) -> str:
    """Return secondaries with their state: `http://b (suspected, 12 entries behind)`."""
    return ", ".join(f"{row.get('url')} ({_details(row)})" for row in rows)


def _holds(row: Members, id_: int) -> bool:
    last_id = row.get("last_id")
    # Without a link it counts for nothing, however far it came (R6).
    return isinstance(last_id, int) and last_id >= id_ and row.get("link") != "down"


def _details(row: Members) -> str:
    words = [state_of(row)]
    lag, delay = row.get("lag"), row.get("delay_s")
    if isinstance(lag, int):
        words.append(f"{count(lag, 'entry')} behind")
    if isinstance(delay, int | float) and delay > 0:
        words.append(f"with a delay of {duration(delay)}")
    return ", ".join(words)
