"""Damage, said to people.

PURE.
"""

from __future__ import annotations

from collections.abc import Sequence

from replog.core.messages import Damage


def with_found(known: Sequence[Damage], found: Damage) -> list[Damage] | None:
    """Return the damaged ranges, in order of ids, with one more; None where it was known.

    What turns out to be longer than it was known to be takes the place of its parts: a
    repair of one of them cannot close the chain while the other is damaged.
    """
    if any((other.before, other.last_id) == (found.before, found.last_id) for other in known):
        return None
    apart = [other for other in known if not _is_part(other, found)]
    return sorted((*apart, found), key=lambda other: other.first_id)


def _is_part(one: Damage, whole: Damage) -> bool:
    is_begun = one.first_id >= whole.first_id
    return is_begun and (whole.last_id is None or one.first_id <= whole.last_id)


def damage_line(damage: Damage) -> str:
    """Return one line that names a damaged range exactly (R13)."""
    last = "the end" if damage.last_id is None else f"entry {damage.last_id}"
    return (
        f"damage in segment {damage.segment} at byte {damage.offset}, entry {damage.first_id} "
        f"to {last}: {damage.reason}"
    )
