"""Saying that a promise was broken.

PURE.
"""

from __future__ import annotations

from typing import NoReturn


class Violation(AssertionError):
    """A promise was broken."""


def broken(name: str, text: str) -> NoReturn:
    """Raise: `text` says what was promised and what was found."""
    raise Violation(f"{name}: {text}")
