"""The life of each entry at DEBUG: one line a step, found by the entry's id on every node.

SHELL. It reads along what goes into the core and what comes out, and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from replog.core.effects import (
    AnswerAppend,
    Effect,
    NoteCommit,
    Pending,
    Persist,
    Send,
    Show,
    Stored,
)
from replog.core.entry import EntryId
from replog.core.events import BatchesSent, Event, LinkClosed, LinkId, Persisted, Received, Written
from replog.core.messages import Acknowledgement, Batches

_log = logging.getLogger("replog.entry")

SINGLY_MAX = 1000
"""A longer run (catch-up) is one line that names its first and last id."""


class Trail:
    """Writes the steps of entries to the logger `replog.entry`."""

    def __init__(
        self, head: EntryId, *, shown: EntryId, link_name: Callable[[LinkId], str]
    ) -> None:
        self._link_name = link_name
        self._written = head
        self._durable = head
        self._noted = shown
        self._shown = shown
        self._sent: dict[LinkId, EntryId] = {}
        self._acknowledged: dict[LinkId, EntryId] = {}

    @property
    def is_on(self) -> bool:
        return _log.isEnabledFor(logging.DEBUG)

    def event(self, event: Event) -> None:
        """Note what came to pass."""
        match event:
            case Written(head):
                self._written = _step("written", self._written, head.last_id)
            case Persisted(head):
                self._durable = _step("stored", self._durable, head.last_id)
            case BatchesSent(size=0):
                pass  # nothing could be read, so nothing was sent
            case BatchesSent(link, head):
                before = self._sent.get(link, EntryId(head.last_id - 1))
                self._sent[link] = _step(
                    "sent", before, head.last_id, more=f" to {self._link_name(link)}"
                )
            case Received(link, Batches(_, after, head)):
                more = f" from {self._link_name(link)}"
                _step("received", after.last_id, head.last_id, more=more)
            case Received(link, Acknowledgement(head)):
                before = self._acknowledged.get(link, EntryId(head.last_id - 1))
                self._acknowledged[link] = _step(
                    "acknowledged", before, head.last_id, more=f" by {self._link_name(link)}"
                )
            case LinkClosed(link):
                self._sent.pop(link, None)
                self._acknowledged.pop(link, None)
            case _:
                pass

    def effects(self, effects: Iterable[Effect]) -> None:
        """Note what is about to be done."""
        for effect in effects:
            match effect:
                case Persist(first_id, messages):
                    _step("appended", EntryId(first_id - 1), EntryId(first_id + len(messages) - 1))
                case NoteCommit(committed_id):
                    self._noted = _step("committed", self._noted, committed_id)
                case Show(committed_id):
                    self._shown = _step("shown", self._shown, committed_id)
                case Send(link, Acknowledgement(head)):
                    before = self._acknowledged.get(link, EntryId(head.last_id - 1))
                    self._acknowledged[link] = _step(
                        "acknowledged", before, head.last_id, more=f" to {self._link_name(link)}"
                    )
                case AnswerAppend(_, Stored(first_id, last_id)):
                    _step("answered", EntryId(first_id - 1), last_id)
                case AnswerAppend(_, Pending(first_id, last_id)):
                    _step("answered", EntryId(first_id - 1), last_id, more=" as pending")
                case _:
                    pass


def _step(step: str, before: EntryId, last: EntryId, *, more: str = "") -> EntryId:
    """Write that every entry after `before` up to `last` made this step; return `last`.

    Args:
        more: what the line says after the step, which stands alone in the record's `step`.
    """
    if last - before > SINGLY_MAX:
        extra = {"step": step, "entry_id": last}
        _log.debug("entries %d to %d: %s%s", before + 1, last, step, more, extra=extra)
        return last
    for entry_id in range(before + 1, last + 1):
        extra = {"step": step, "entry_id": entry_id}
        _log.debug("entry %d: %s%s", entry_id, step, more, extra=extra)
    return max(before, last)
