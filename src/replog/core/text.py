"""Text that others sent, where people read it.

PURE.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """Return `text` on one line, with what could steer a terminal written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
