"""A request that has to end when another one needs its place.

SHELL.
"""

from __future__ import annotations

import asyncio


class Cuttable:
    """What the running task does; `is_cut` once it had to make room."""

    __slots__ = ("_task", "is_cut")

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True
        self._task.cancel()

    def take_back_cancel(self) -> None:
        """Let the task go on; else a timeout around it would take the cut for its own."""
        self._task.uncancel()
