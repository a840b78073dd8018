"""What appends and receipts are told that are refused for what they ask.

PURE.
"""

from __future__ import annotations

from collections.abc import Sequence

from replog.core.damage import damage_line
from replog.core.effects import RefusalReason, Refused
from replog.core.entry import EntryId
from replog.core.messages import Damage
from replog.core.waiters import QueuedAppend


def moved_on(queued: QueuedAppend, last_id: EntryId) -> Refused:
    """Return that an append is to follow on an entry which is not the last one."""
    detail = (
        f"the append is to follow on entry {queued.expect}, and the log ends at {last_id}; "
        f"nothing was stored"
    )
    return Refused(RefusalReason.PRECONDITION_FAILED, detail, last_id=last_id)


def unknown_id(id: EntryId, last_id: EntryId, damage: Sequence[Damage]) -> Refused:
    """Return that an entry is not there, or that damage hides whether it is."""
    if damage and id > last_id:
        hidden = f"until that is repaired nobody knows whether there is an entry {id}"
        return Refused(RefusalReason.DAMAGED, f"{damage_line(damage[0])}; {hidden}")
    detail = f"entry {id} is not in the log, which ends at {last_id}"
    return Refused(RefusalReason.UNKNOWN_ID, detail)


def unread(problem: str) -> Refused:
    """Return that nobody can say now whether a key is stored."""
    if problem:
        return Refused(RefusalReason.DISK_FULL, f"the log's keys cannot be read: {problem}")
    return Refused(RefusalReason.DAMAGED, "damage hides whether the key is stored; try again")


def unserved(refused: Refused) -> Refused:
    """Return that a master which does not serve yet cannot know whether a key is stored.

    What its secondaries hold beyond its own log joins that first (R8): "not stored" might
    turn out to be untrue.
    """
    detail = (
        f"{refused.detail}; until then it is not known whether the key is stored, and nothing "
        f"was stored now: send it again under the same key"
    )
    return Refused(RefusalReason.NOT_READY, detail)


def reused(entry_id: EntryId, queued: QueuedAppend) -> Refused:
    """Return that an append has a key which stands for something else."""
    several = len(queued.messages) > 1
    what = "these entries together" if several else "this message"
    detail = (
        f"entry {entry_id} has the idempotency key already, and was not stored for {what}; "
        f"nothing was stored. Send a new request under a new key"
    )
    return Refused(RefusalReason.KEY_REUSED, detail, id=entry_id)
