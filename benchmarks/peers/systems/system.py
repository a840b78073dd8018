"""What the comparison needs to know of a system.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.load import Exchange

HOST = "127.0.0.1"
MESSAGE = 100 * "x"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where clients append, and how: the node that takes appends itself, never one that forwards.

    Attributes:
        exchange: makes one client's side; its requests append `MESSAGE`.
    """

    port: int
    exchange: Callable[[], Exchange]


@dataclass(frozen=True, slots=True)
class Portrait:
    """A system as the report names it.

    Attributes:
        program: without which it cannot be started; None: it comes with this repository.
        settings: how its nodes were started, and how its clients append.
        promise: what it does and does not promise when it acknowledges; "": it takes no appends.
        source: where its makers say so.
        is_synced: whether all the copies that an acknowledgement counts are promised to be on disk.
    """

    name: str
    program: str | None
    settings: str
    promise: str
    source: str
    is_synced: bool


class System(Protocol):
    """A system that can be started as three local nodes."""

    portrait: Portrait

    def version(self) -> str:
        """Return the version of what would be started."""

    def run(self, directory: Path) -> AbstractContextManager[Endpoint]:
        """Start three nodes on an empty `directory`; they end with the context."""
