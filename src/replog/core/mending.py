"""A secondary's repair of damaged ranges from its master (R13).

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from replog.core.damage import damage_line, with_found
from replog.core.effects import Effect, Level, Repair, Say, Send
from replog.core.entry import GENESIS, EntryId, Head, Tick, ticks
from replog.core.events import LinkId
from replog.core.messages import Batches, Damage, Fetch, FetchEnd

MEND_AGAIN_AFTER = ticks(5.0)
"""How long a master that could not help is left alone."""


@dataclass(slots=True)
class Mending:
    """The damaged ranges of one secondary, and the repair of the first of them.

    Attributes:
        damage: in order of ids.
        arrived: batches for the first range, following on `after`.
        is_asking: a `Fetch` has not been answered by its `FetchEnd` yet.
        has_grown: the present window brought something.
        is_storing: the disk puts the bytes in place.
    """

    damage: list[Damage]
    after: Head = GENESIS
    arrived: list[Batches] = field(default_factory=list)
    is_asking: bool = False
    has_grown: bool = False
    is_storing: bool = False
    again_at: Tick | None = None
    last_said: str = ""

    @property
    def damaged_from(self) -> EntryId | None:
        return self.damage[0].first_id if self.damage else None

    def found(self, damage: Damage, out: list[Effect]) -> bool:
        """Note a range; False where it was known."""
        ranges = with_found(self.damage, damage)
        if ranges is None:
            return False
        self.damage = ranges
        out.append(Say(Level.ERROR, damage_line(damage)))
        return True

    def forget_from(self, head: Head) -> None:
        """The log was cut back to `head`: ranges beyond it are in the quarantine."""
        self.damage = [other for other in self.damage if other.before.last_id < head.last_id]

    def begin(self, link: LinkId, out: list[Effect]) -> None:
        """Ask the master for the first range."""
        if not self.damage or self.is_storing:
            return
        self.arrived.clear()
        self.again_at = None
        self.after = self.damage[0].before
        self._ask(link, out)

    def _ask(self, link: LinkId, out: list[Effect]) -> None:
        self.is_asking = True
        self.has_grown = False
        out.append(Send(link, Fetch(self.after, self.damage[0].last_id)))

    def take(self, batches: Batches) -> bool:
        """Take in batches; False where they do not follow on what came before."""
        if not self.is_asking or batches.after != self.after:
            return False
        self.after = batches.head
        self.has_grown = True
        self.arrived.append(batches)
        return True

    def end_window(self, link: LinkId, end: FetchEnd, now: Tick, out: list[Effect]) -> None:
        """The master has sent one window: go on asking, store, or try again later."""
        if not self.is_asking:
            return
        self.is_asking = False
        wanted = self.damage[0].last_id
        assert wanted is not None, "what has no end is cut, not mended"
        is_whole = self.after.last_id >= wanted
        if self.arrived and is_whole:
            self.is_storing = True
            out.append(Repair(self.damage[0], tuple(self.arrived)))
            self.arrived.clear()
        elif end.found and end.after == self.after and self.has_grown:
            self._ask(link, out)
        else:
            self._say("the master cannot give the damaged range now; trying on", out)
            self.again_at = Tick(now + MEND_AGAIN_AFTER)

    def link_lost(self) -> None:
        self.is_asking = False
        self.again_at = None
        self.arrived.clear()

    def tick(self, link: LinkId, now: Tick, out: list[Effect]) -> None:
        if self.again_at is not None and now >= self.again_at:
            self.begin(link, out)

    def repaired(self, damage: Damage) -> None:
        self.is_storing = False
        self.last_said = ""
        self.damage = [other for other in self.damage if other.before != damage.before]

    def failed(self, now: Tick, reason: str, out: list[Effect]) -> None:
        self.is_storing = False
        self.again_at = Tick(now + MEND_AGAIN_AFTER)
        self._say(f"repair failed: {reason}; trying on", out)

    def _say(self, text: str, out: list[Effect]) -> None:
        """Say what is tried again and again when it changes only."""
        if text != self.last_said:
            self.last_said = text
            out.append(Say(Level.ERROR, text))
