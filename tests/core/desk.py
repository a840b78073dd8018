"""One secondary on a desk: events in, effects out, and what to look for among them.

PURE.
"""

from __future__ import annotations

from msgspec.structs import replace

from replog.core import effects as do
from replog.core import events as ev
from replog.core.entry import GENESIS, EntryId, Epoch, LogId, NodeId, Tick
from replog.core.events import LinkId
from replog.core.messages import (
    Damage,
    Message,
    StreamStart,
    Welcome,
)
from replog.core.secondary import Secondary
from tests.core.disk import Batch, chain, frame

LINK = LinkId(1)
WELCOME = Welcome(LogId("log"), NodeId("m"), Epoch(1), "http://m", ("http://m",))
LOG = chain(GENESIS, 1, "a", "b", "c", "d")


class Desk:
    """One secondary, and everything that it wants done since it was looked at last."""

    def __init__(self, held: int = 0, *, note: int = 0, damage: tuple[Damage, ...] = ()) -> None:
        self.core = Secondary(
            node_id=NodeId("s"),
            log_id=LogId("log") if held else None,
            epoch=Epoch(1) if held else Epoch(0),
            epoch_owner=NodeId("m") if held else None,
            head=LOG[held - 1].head if held else GENESIS,
            committed_id=EntryId(note),
            damage=damage,
            delay=Tick(0),
            now=Tick(0),
        )
        self.core.start()

    def step(self, *events: ev.Event) -> list[do.Effect]:
        return [effect for event in events for effect in self.core.step(event)]

    def receive(self, *messages: Message, link: LinkId = LINK) -> list[do.Effect]:
        return self.step(*(ev.Received(link, message) for message in messages))

    def stream(self, *, welcome: Welcome = WELCOME, link: LinkId = LINK) -> None:
        self.step(ev.LinkOpened(link))
        self.receive(welcome, link=link)
        self.step(ev.EpochStored(welcome.epoch))
        self.receive(StreamStart(self.core.facts.durable), link=link)

    def store(self, *batches: Batch, committed: int = 0) -> list[do.Effect]:
        """Let batches come and the disk take all of them; it is idle afterwards."""
        news = EntryId(committed)
        self.receive(*(frame([batch], committed=news) for batch in batches))
        effects: list[do.Effect] = []
        while storing := self.core.facts.intake.storing:
            effects = self.step(ev.Persisted(storing[-1].head))
        return effects


def sent(effects: list[do.Effect]) -> list[Message]:
    return [effect.message for effect in effects if isinstance(effect, do.Send)]


def said(effects: list[do.Effect]) -> list[str]:
    return [effect.text for effect in effects if isinstance(effect, do.Say)]


def is_closed(effects: list[do.Effect]) -> bool:
    return any(isinstance(effect, do.CloseLink) for effect in effects)


def persists(effects: list[do.Effect]) -> list[do.PersistBatches]:
    return [effect for effect in effects if isinstance(effect, do.PersistBatches)]


def answers(effects: list[do.Effect]) -> list[do.AnswerRead]:
    """Return the answers to reads, but for how far behind they are (see test_reading)."""
    return [replace(effect, lag=None) for effect in effects if isinstance(effect, do.AnswerRead)]


def damage(first: int, last: int | None) -> Damage:
    before = LOG[first - 2].head if first > 1 else GENESIS
    end = None if last is None else EntryId(last)
    return Damage(before, end, "1.ndjson", 7, "bad hash", EntryId(last or 4))
