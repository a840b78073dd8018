"""Which nodes hold an entry, as the master can tell.

SHELL. Ticks become times of day here, for people: nothing is decided by them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from replog.core.effects import Pending, Stored
from replog.core.entry import TICK_S, Tick
from replog.core.master import Master
from replog.core.write_concern import WriteConcern
from replog.node.views import Holder, Receipt
from replog.storage.timestamps import format_time

TICK_MS: Final = round(TICK_S * 1000)
CLOCK_WAS_SET_MS: Final = 1000
"""A wall clock that is so far from where it was expected was set; what is less is a tick that
came late."""


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class TimesOfDay:
    """Tells when ticks were: of one tick the same whenever it is asked, until the clock is set."""

    def __init__(self, wall_ms: Callable[[], int] = _wall_ms) -> None:
        """Args: wall_ms: the time of day, in milliseconds of Unix."""
        self._wall_ms = wall_ms
        self._origin_ms: int | None = None

    def of(self, tick: Tick, *, now: Tick) -> str:
        """Return the time of day of `tick`, RFC 3339, as the clock is at the tick `now`."""
        origin_ms = self._wall_ms() - now * TICK_MS
        if self._origin_ms is None or abs(origin_ms - self._origin_ms) > CLOCK_WAS_SET_MS:
            self._origin_ms = origin_ms
        return format_time(self._origin_ms + tick * TICK_MS).decode()


def receipt(
    core: Master,
    outcome: Stored | Pending,
    *,
    concern: WriteConcern | None,
    made_at: bytes,
    times: TimesOfDay,
) -> Receipt:
    """Return who holds the last entry of `outcome` now.

    Args:
        concern: what was asked for, and the core answered to.
        made_at: when the batch of the entry was made, RFC 3339.
        times: those of this process.
    """
    required = core.appending.copies_of(concern)
    assert required is not None, "the core has answered for it"
    facts = core.facts
    entry_id = outcome.last_id
    own = facts.durable
    holders = [Holder(facts.url, facts.node_id, made_at.decode(), own.last_id, own.hash.hex())]
    for peer in core.replicas.peers:
        head = peer.acknowledged
        if head is None or peer.node_id is None or peer.counted_id < entry_id:
            continue
        tick = peer.held_since(entry_id)
        since = None if tick is None else times.of(tick, now=facts.now)
        holders.append(Holder(peer.url, peer.node_id, since, head.last_id, head.hash.hex()))
    return Receipt(entry_id, required, isinstance(outcome, Stored), tuple(holders))
