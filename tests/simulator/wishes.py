"""What clients want stored once, however often they have to ask (P6).

PURE.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from replog.core.effects import AppendOutcome, Pending, Refused
from replog.core.write_concern import WriteConcern
from tests.simulator.requests import CONCERNS, Append, Wish

if TYPE_CHECKING:
    from random import Random

    from tests.simulator.clients import Clients

REMEMBERED = 24
AT_ONCE = 4
"""Wishes without an answer that are asked for again when a master starts."""


@dataclass(slots=True)
class Wishes:
    """The appends with keys, and who asks again for which."""

    clients: Clients
    all: deque[Wish] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def make(self, *, entries: int, size: int, expect: int | None) -> Wish:
        """Wish for something new: one entry, some with keys of their own, or a run."""
        random = self.clients.world.random
        messages = self.clients.new_messages(entries, size)
        key = f"k{messages[0].decode().partition('-')[0][1:]}"
        keys: tuple[str | None, ...] = (key,)
        if entries > 1 and random.random() < 0.5:
            keys = (key, *(None,) * (entries - 2), key)
        elif entries > 1:
            own = [f"{key}.{place}" if random.random() < 0.7 else None for place in range(entries)]
            own[random.randrange(entries)] = key
            keys = tuple(own)
        wish = Wish(messages, keys, expect)
        self.all.append(wish)
        return wish

    def ask(self, wish: Wish, *, concern: WriteConcern | None, timeout: int | None) -> None:
        """Send it, for the first time or again."""
        self._count(wish)
        append = self.clients.send(
            wish.messages, concern=concern, timeout=timeout, keys=wish.keys, expect=wish.expect
        )
        if append is not None:
            wish.attempts.append(append)

    def ask_again(self) -> None:
        """Somebody asks again: mostly who has no answer, or none that satisfies."""
        random = self.clients.world.random
        if not self.all:
            return
        unmet = [wish for wish in self.all if is_unmet(wish)]
        wish = random.choice(unmet if unmet and random.random() < 0.6 else self.all)
        if random.random() < 0.12:
            wish = self._mistaken(wish)
        concern, timeout = terms(random)
        self.ask(wish, concern=concern, timeout=timeout)

    def ask_at_start(self) -> None:
        """A master is there again: who was left without an answer comes at once."""
        world = self.clients.world
        unmet = [wish for wish in self.all if is_unmet(wish)]
        for wish in unmet[-AT_ONCE:]:
            if world.random.random() < 0.7:
                concern, timeout = terms(world.random)
                ask = partial(self.ask, wish, concern=concern, timeout=timeout)
                world.master.after(world.random.randint(0, world.random.choice((50, 3000))), ask)

    def is_adopted(self, wish: Wish) -> bool:
        """Whether a master took over what it stored before from a secondary (R8)."""
        ids_of = self.clients.world.judge.keys.ids_of
        return any(
            not self.clients.adopted.isdisjoint(ids_of.get(key, ()))
            for key in wish.keys
            if key is not None
        )

    def _mistaken(self, wish: Wish) -> Wish:
        """Use a key again for something else: another message, or only a part of it."""
        clients = self.clients
        clients.world.count("key reused")
        part = clients.world.random.randint(1, len(wish.messages))
        keys = wish.keys[:part]
        if part == len(wish.messages) or not any(keys):
            return Wish(clients.new_messages(len(wish.messages), 8), wish.keys, None)
        return Wish(wish.messages[:part], keys, None)

    def answered(self, append: Append, outcome: AppendOutcome) -> None:
        """Count the ways in which answers are special."""
        world = self.clients.world
        if isinstance(outcome, Refused):
            world.count(f"refused: {outcome.reason}")
            return
        if append.expect is not None and not outcome.is_replayed:
            world.count("stored as expected")
        if outcome.is_replayed:
            world.count("replayed")
            if outcome.last_id in self.clients.adopted:
                world.count("replayed from an adopted batch")
            if isinstance(outcome, Pending):
                world.count("replayed: Pending")
        elif append.keys and len(world.judge.keys.ids_of.get(_key(append), ())) > _often(append):
            world.count("stored again beyond the window")

    def _count(self, wish: Wish) -> None:
        """Say which kind of retry this is."""
        if not wish.attempts:
            return
        last = wish.attempts[-1]
        if not last.is_heard:
            kind = "without an answer"
        elif last.outcome is None:
            kind = "in flight"
        else:
            kind = f"after {type(last.outcome).__name__}"
        self.clients.world.count(f"retry {kind}")


def is_unmet(wish: Wish) -> bool:
    """Whether its client does not know it stored at the write concern."""
    if not wish.attempts:
        return True
    outcome = wish.attempts[-1].outcome
    return outcome is None or isinstance(outcome, Pending)


def terms(random: Random) -> tuple[WriteConcern | None, int | None]:
    """Draw how many copies a client wants, and how long it waits for them."""
    timeout = random.choice((0, 1, 20, 200)) if random.random() < 0.4 else None
    return random.choice(CONCERNS), timeout


def _key(append: Append) -> str:
    return next(key for key in append.keys if key is not None)


def _often(append: Append) -> int:
    return append.keys.count(_key(append))
