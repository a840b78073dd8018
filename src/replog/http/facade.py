"""What the HTTP routes ask of a node, and nothing more.

PURE. `replog.node.Node` has this shape, and so has the fake node of the tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from starlette.websockets import WebSocket

from replog.core.effects import AppendOutcome
from replog.core.entry import EntryId
from replog.core.write_concern import WriteConcern
from replog.node.views import Health, ReadPoint, Role


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

    async def append(
        self,
        messages: tuple[bytes, ...],
        *,
        concern: WriteConcern | None,
        timeout_s: float | None,
    ) -> AppendOutcome:
        """Store `messages` (JSON strings, encoded) and wait as `concern` says.

        Cancelling it means that the client hung up; what is stored stays stored.
        """

    async def read_point(self) -> ReadPoint: ...

    def entries(self, first: EntryId, last: EntryId) -> AsyncIterator[bytes]:
        """Yield the entry lines of `first` to `last`, each with its newline, in chunks.

        Raises:
            DamagedLogError: on a range that does not verify, also in the middle (R13).
            ReadInterruptedError: the node stops before the range is through.
        """

    def health(self) -> Health: ...

    def readiness(self) -> tuple[str, ...]:
        """Return the reasons why this node is not ready; empty when it is."""

    def set_delay(self, seconds: float) -> None: ...

    async def accept_link(self, websocket: WebSocket) -> None: ...
