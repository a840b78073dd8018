"""Which nodes hold an entry, as the master can tell.

SHELL. Ticks become times of day here, for people: nothing is decided by them.
"""

from __future__ import annotations

import time

from replog.core.effects import Pending, Stored
from replog.core.entry import TICK_S, Tick
from replog.core.master import Master
from replog.node.views import Holder, Receipt
from replog.storage.timestamps import format_time


def receipt(core: Master, outcome: Stored | Pending, *, required: int, made_at: bytes) -> Receipt:
    """Return who holds the last entry of `outcome` now.

    Args:
        required: nodes that were asked for.
        made_at: when the batch of the entry was made, RFC 3339.
    """
    facts = core.facts
    entry_id = outcome.last_id
    own = facts.durable
    holders = [Holder(facts.url, facts.node_id, made_at.decode(), own.last_id, own.hash.hex())]
    for peer in core.replicas.peers:
        head = peer.acknowledged
        if head is None or peer.node_id is None or peer.counted_id < entry_id:
            continue
        since = _time_of(peer.held_since(entry_id), now=facts.now)
        holders.append(Holder(peer.url, peer.node_id, since, head.last_id, head.hash.hex()))
    return Receipt(entry_id, required, isinstance(outcome, Stored), tuple(holders))


def _time_of(tick: Tick | None, *, now: Tick) -> str | None:
    if tick is None:
        return None
    ago_ms = int((now - tick) * TICK_S * 1000)
    return format_time(time.time_ns() // 1_000_000 - ago_ms).decode()
