"""Health of the other end of a link, from its signs of life (R11).

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from replog.core.entry import Tick, ticks

HEARTBEAT_EVERY = ticks(0.5)
SUSPECTED_AFTER = ticks(2.0)
"""Four missed heartbeats: a hiccup of a second is not worth a word."""
UNHEALTHY_AFTER = ticks(5.0)
"""Ten missed heartbeats: the link is declared down, whatever TCP says of it."""


class Health(StrEnum):
    HEALTHY = "healthy"
    SUSPECTED = "suspected"
    UNHEALTHY = "unhealthy"


class Sign(StrEnum):
    """What can be observed of a peer."""

    CONTACT = "contact"
    SILENT_SHORT = "silent-short"
    SILENT_LONG = "silent-long"
    LINK_LOST = "link-lost"


TRANSITIONS: dict[tuple[Health, Sign], Health] = {
    (Health.HEALTHY, Sign.CONTACT): Health.HEALTHY,
    (Health.HEALTHY, Sign.SILENT_SHORT): Health.SUSPECTED,
    (Health.HEALTHY, Sign.SILENT_LONG): Health.UNHEALTHY,
    (Health.HEALTHY, Sign.LINK_LOST): Health.SUSPECTED,
    (Health.SUSPECTED, Sign.CONTACT): Health.HEALTHY,
    (Health.SUSPECTED, Sign.SILENT_SHORT): Health.SUSPECTED,
    (Health.SUSPECTED, Sign.SILENT_LONG): Health.UNHEALTHY,
    (Health.SUSPECTED, Sign.LINK_LOST): Health.SUSPECTED,
    (Health.UNHEALTHY, Sign.CONTACT): Health.HEALTHY,
    (Health.UNHEALTHY, Sign.SILENT_SHORT): Health.UNHEALTHY,
    (Health.UNHEALTHY, Sign.SILENT_LONG): Health.UNHEALTHY,
    (Health.UNHEALTHY, Sign.LINK_LOST): Health.UNHEALTHY,
}


@dataclass(slots=True)
class PeerHealth:
    """The health of one peer over time.

    Attributes:
        silent_since: tick of the last sign of life, or of the start where there was none.
        ever_heard: False until the first sign of life.
    """

    silent_since: Tick
    state: Health = Health.SUSPECTED
    ever_heard: bool = False

    def contact(self, now: Tick) -> bool:
        """Note a sign of life; return whether the health changed."""
        self.silent_since = now
        self.ever_heard = True
        return self._observe(Sign.CONTACT)

    def link_lost(self) -> bool:
        """Note that the connection ended; return whether the health changed."""
        return self._observe(Sign.LINK_LOST)

    def tick(self, now: Tick) -> bool:
        """Let time pass; return whether the health changed."""
        silence = now - self.silent_since
        if silence >= UNHEALTHY_AFTER:
            return self._observe(Sign.SILENT_LONG)
        if silence >= SUSPECTED_AFTER:
            return self._observe(Sign.SILENT_SHORT)
        return False

    def _observe(self, sign: Sign) -> bool:
        before = self.state
        self.state = TRANSITIONS[before, sign]
        return self.state is not before
