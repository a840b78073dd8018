"""What the HTTP routes ask of a node, and nothing more.

SHELL. `replog.node.Node` has this shape, and so has the fake node of the tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from starlette.websockets import WebSocket

from replog.core.effects import AppendOutcome, Refused
from replog.core.entry import EntryId, Head, LogId
from replog.core.events import RequestId
from replog.core.write_concern import WriteConcern
from replog.node.clients import Answered
from replog.node.feed import Feed
from replog.node.views import ANY, Freshness, Health, ReadPoint, Receipt, Role
from replog.storage.pages import Page


class ServedNode(Protocol):
    """A running node as its HTTP routes see it."""

    @property
    def role(self) -> Role: ...

    @property
    def stopping(self) -> asyncio.Event:
        """Set when the node is to end: it answers its waiting appends and reads at once."""

    @property
    def delay_s(self) -> float: ...

    @property
    def master_url(self) -> str | None:
        """On a secondary: where clients reach its master, as that told; None until it did."""

    @property
    def log_id(self) -> LogId | None:
        """None while this node holds no log."""

    @property
    def head(self) -> Head:
        """The durable head of this node's log."""

    @property
    def feed(self) -> Feed:
        """What becomes visible here, for those who follow the log."""

    async def append(
        self,
        messages: tuple[bytes, ...],
        *,
        concern: WriteConcern | None,
        timeout_s: float | None,
        keys: tuple[str | None, ...] = (),
        expect: EntryId | None = None,
    ) -> AppendOutcome:
        """Store `messages` (JSON strings, encoded) and wait as `concern` says.

        Cancelling it means that the client hung up; what is stored stays stored. `keys` and
        `expect` are those of `replog.core.events.AppendRequested`.
        """

    def begin_append(
        self,
        messages: tuple[bytes, ...],
        *,
        concern: WriteConcern | None,
        timeout_s: float | None,
        keys: tuple[str | None, ...] = (),
        expect: EntryId | None = None,
        answered: Answered,
    ) -> RequestId:
        """Do as `append` without a task: `answered` takes the outcome, after this has returned."""

    def abandon(self, request: RequestId) -> None:
        """Take word that the client of a begun append hung up: it is not answered any more."""

    async def receipt(
        self, id: EntryId, *, concern: WriteConcern | None, timeout_s: float | None
    ) -> Receipt | Refused:
        """Wait until `concern` is met for the stored entry `id`, `timeout_s` at the most.

        Refused where there is no such entry or the concern cannot be met. Master only.
        """

    async def read_point(self, freshness: Freshness = ANY) -> ReadPoint: ...

    def read_point_now(self) -> ReadPoint | None:
        """Return what `read_point` does where nothing has to be waited for; else None."""

    def entries(self, first: EntryId, last: EntryId) -> AsyncIterator[bytes]:
        """Yield the entry lines of `first` to `last`, each with its newline, in chunks.

        Raises:
            DamagedLogError: on a range that does not verify, also in the middle (R13).
            ReadInterruptedError: the node stops before the range is through.
        """

    async def hash_at(self, id: EntryId) -> bytes:
        """Return the hash of the log at the end of the batch that holds `id`.

        `id` is in the log. Raises: DamagedLogError.
        """

    def page_at_hand(self, first: EntryId, last: EntryId) -> Page | None:
        """Return the entries `first` to `last`, at least one, and `hash_at(last)`, at once.

        None where that takes more than one small read of the page cache: then by `entries`.
        """

    async def first_since(self, time_ms: int) -> EntryId:
        """Return the first id stored at or after `time_ms` (since 1970), by the master's clock.

        Where there is none it is the id that follows on the log's head. Raises: DamagedLogError.
        """

    def health(self) -> Health: ...

    def readiness(self) -> tuple[str, ...]:
        """Return the reasons why this node is not ready; empty when it is."""

    def set_delay(self, seconds: float) -> None: ...

    async def accept_link(self, websocket: WebSocket) -> None: ...
