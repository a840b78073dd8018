"""Events and effects as short lines for people.

PURE.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from replog.core.entry import Head


def brief(value: object) -> str:
    """Return a short form of an event, an effect or a message, the same in each run."""
    match value:
        case Head():
            return f"<{value.last_id} e{value.epoch} {value.hash.hex()[:6]}>"
        case bytes():
            return value.decode() if len(value) < 24 else f"{len(value)} bytes"
        case Enum():
            return str(value.value)
        case str() | int() | float() | None:
            return str(value)
        case tuple() | list():
            return "[" + ", ".join(brief(each) for each in value) + "]"
        case msgspec.Struct():
            names = value.__struct_fields__
            inner = " ".join(f"{name}={brief(getattr(value, name))}" for name in names)
            return f"{type(value).__name__}({inner})"
        case _:
            return repr(value)
