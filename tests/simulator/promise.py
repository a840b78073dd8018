"""Saying that a promise was broken.

PURE.
"""

from __future__ import annotations


class Violation(AssertionError):
    """A promise was broken."""


def promise(name: str, holds: bool, text: str) -> None:
    """Raise where `holds` is false. `text` says what was promised and what was found."""
    if not holds:
        raise Violation(f"{name}: {text}")
