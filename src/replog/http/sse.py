"""Entry lines as Server-Sent Events, and what else a follower is sent.

PURE. https://html.spec.whatwg.org/multipage/server-sent-events.html. An entry line holds no
line end but its own (JSON escapes them), so that it is the one data line of its event.
"""

from __future__ import annotations

from enum import Enum

from replog.core.entry import EntryId

RETRY_MS = 1000
"""After which a browser connects again; a node restarts in less."""


class StreamForm(Enum):
    """The ways in which a follower gets entries; the value is the media type."""

    EVENTS = "text/event-stream"
    LINES = "application/x-ndjson"

    def beginning(self, first: EntryId) -> bytes:
        """Return what a stream from entry `first` begins with, so that its head leaves at once.

        An id without data is no event, and all the same what a browser sends as Last-Event-ID:
        one that is cut off before its first entry goes on where it began.
        """
        if self is StreamForm.LINES:
            return b""
        return b"retry: %d\nid: %d\n\n" % (RETRY_MS, first - 1)

    @property
    def heartbeat(self) -> bytes:
        """Says that the node lives: a comment, or an empty line."""
        return b": \n\n" if self is StreamForm.EVENTS else b"\n"


def events(first: EntryId, lines: bytes) -> bytes:
    """Return the entry lines from `first` on, each as an event that carries its id."""
    return b"".join(
        [
            b"id: %d\ndata: %b\n" % (entry_id, line)
            for entry_id, line in enumerate(lines.splitlines(keepends=True), first)
        ]
    )


def bye(reason: str, next_id: EntryId) -> bytes:
    """Return the event that a node ends a stream with: why, and where to go on."""
    return b'event: bye\ndata: {"reason":"%b","next":%d}\n\n' % (reason.encode(), next_id)
