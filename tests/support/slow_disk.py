"""A disk whose syncs take seconds, under a node that runs.

SHELL. The node sleeps before it syncs, on the thread that does: see `patches/slow_sync.py`.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster import Node
from tests.support.patched import patch


class SlowDisk:
    """Says how long the syncs of one node take; as long as they take, until it says so."""

    def __init__(self, node: Node, directory: Path, *patches: str) -> None:
        """Give it to a node that does not run yet, and may have other patches.

        Args:
            directory: is made, and holds what is said between the two.
        """
        directory.mkdir(parents=True)
        self._directory = directory
        patch(node, "slow_sync", *patches, SLOW_DISK=str(directory))

    def take(self, seconds: float, *, part: float = 1.0) -> None:
        """Let `part` of the syncs from now on take so long, drawn at random."""
        self._put("plan", f"{seconds} {part}")

    def hold(self) -> None:
        """Let no sync that begins from now on end before `release`."""
        self._put("hold", "")

    def release(self) -> None:
        (self._directory / "hold").unlink()

    @property
    def is_inside(self) -> bool:
        """Whether a sync has begun to be slow and has not ended."""
        noted = self._noted()
        return noted.count("begins") > noted.count("ends")

    @property
    def begun(self) -> int:
        """How many syncs began to be slow so far."""
        return self._noted().count("begins")

    @property
    def slowed(self) -> int:
        """How many syncs were slow so far."""
        return self._noted().count("ends")

    def _noted(self) -> list[str]:
        log = self._directory / "log"
        return log.read_text().split() if log.exists() else []

    def _put(self, name: str, text: str) -> None:
        new = self._directory / f"{name}.new"
        new.write_text(text)
        new.rename(self._directory / name)
