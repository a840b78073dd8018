"""A secondary that is read from, what its master says of that, and what it answers.

PURE.
"""

from __future__ import annotations

from replog.core import effects as do
from replog.core import events as ev
from replog.core.entry import EntryId, Epoch, Tick
from replog.core.events import RequestId
from replog.core.messages import CommitNews, Heartbeat, ReadMark
from tests.core.desk import LOG, Desk

ONE, TWO, THREE = RequestId(1), RequestId(2), RequestId(3)


def answered(effects: list[do.Effect]) -> list[do.AnswerRead]:
    return [effect for effect in effects if isinstance(effect, do.AnswerRead)]


def desk_with(stored: int, *, committed: int, now: int = 0) -> Desk:
    """Return a secondary that streams and holds so much."""
    desk = Desk()
    desk.step(ev.Ticked(Tick(now)))
    desk.stream()
    if stored:
        desk.store(*LOG[:stored], committed=committed)
    return desk


def news(committed: int) -> CommitNews:
    return CommitNews(Epoch(1), EntryId(committed))


def mark(number: int, committed: int | None) -> ReadMark:
    return ReadMark(Epoch(1), number, None if committed is None else EntryId(committed))


def lag_of(desk: Desk) -> Tick | None:
    return desk.core.reading.lag


def beat(committed: int, at: int) -> Heartbeat:
    """The master's word, and the tick of this node that it had heard before it spoke."""
    return Heartbeat(Epoch(1), committed_id=EntryId(committed), at=Tick(at))
