"""Damage, said to people.

PURE.
"""

from __future__ import annotations

from replog.core.messages import Damage


def damage_line(damage: Damage) -> str:
    """Return one line that names a damaged range exactly (R13)."""
    last = "the end" if damage.last_id is None else f"entry {damage.last_id}"
    return (
        f"damage in segment {damage.segment} at byte {damage.offset}, entry {damage.first_id} "
        f"to {last}: {damage.reason}"
    )
