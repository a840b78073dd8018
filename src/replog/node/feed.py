"""What becomes visible on a node, told to everybody who follows its log.

SHELL.
"""

from __future__ import annotations

from collections.abc import Callable

from replog.core.entry import NO_ENTRY, EntryId


class Feed:
    """How far readers may see, and who is told when that moves.

    Attributes:
        shown_id: readers of this node see everything up to here. It goes back only where
            damage hides what was shown, until that is repaired (R13).
    """

    def __init__(self) -> None:
        self.shown_id = NO_ENTRY
        self._listeners: tuple[Callable[[], None], ...] = ()

    def show(self, committed_id: EntryId) -> None:
        """Readers may see everything up to `committed_id` from now on."""
        self.shown_id = committed_id
        for listener in self._listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each move of `shown_id`; an append waits for it meanwhile."""
        self._listeners = (*self._listeners, listener)

    def unsubscribe(self, listener: Callable[[], None]) -> None:
        """Undo one `subscribe` of an equal listener."""
        listeners = list(self._listeners)
        listeners.remove(listener)
        self._listeners = tuple(listeners)
