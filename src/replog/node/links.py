"""The node behind its links: numbers them, and turns what happens on them into events.

SHELL.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from itertools import count

from replog.core.errors import FormatError
from replog.core.events import (
    DialFailed,
    Event,
    LinkClosed,
    LinkId,
    LinkOpened,
    Received,
    ReceivedBad,
    SecondaryIndex,
)
from replog.core.messages import Batches, Message, Refusal, RefusalKind, Welcome
from replog.node.inbound import BatchVerifier
from replog.node.views import Role
from replog.replication.link import Link
from replog.storage.batch import BadBatch
from replog.storage.log import Log

_log = logging.getLogger("replog.link")


class NodeLinks:
    """All links of one node; the `LinkOwner` of each."""

    def __init__(
        self,
        role: Role,
        log: Log,
        *,
        open_links: dict[LinkId, Link],
        threads: Executor,
        handle: Callable[[Event], None],
    ) -> None:
        self._role = role
        self._disk_log = log
        self._open = open_links
        self._threads = threads
        self._handle = handle
        self._link_ids = map(LinkId, count(1))
        self._verifiers: dict[LinkId, BatchVerifier] = {}
        self._running: dict[LinkId, Link] = {}
        self._names: dict[LinkId, str] = {}
        self._is_ending = False
        self._all_ended = asyncio.Event()
        self._all_ended.set()

    def name(self, link: LinkId) -> str:
        """Return the URL at the other end of a link; an address until its master has told it."""
        return self._names.get(link, f"link {link}")

    async def close_all(self) -> None:
        """End every link, also one whose dial succeeds meanwhile; return when each has ended."""
        self._is_ending = True
        for link in list(self._running.values()):
            link.close("the node stops")
        await self._all_ended.wait()

    def reject(self, reason: str) -> None:
        """What arrived does not fit on this log: end whoever may have sent it (R5)."""
        for link in list(self._open.values()):
            self.received_bad(link, reason)

    # --- LinkOwner ----------------------------------------------------------------------

    def new_link_id(self) -> LinkId:
        return next(self._link_ids)

    def link_opened(self, link: Link, secondary: SecondaryIndex | None) -> None:
        _log.debug("link %d to %s is open", link.id, link.name, extra={"link": link.id})
        self._running[link.id] = link
        self._all_ended.clear()
        self._names[link.id] = link.name
        if self._is_ending:
            link.close("the node stops")
            return
        if secondary is None and self._role is Role.MASTER:
            link.send(
                Refusal(RefusalKind.NOT_A_SECONDARY, "this node is a master; it takes no links")
            )
            link.close("this node is a master")
            return
        self._verifiers[link.id] = BatchVerifier()
        self._open[link.id] = link
        self._handle(LinkOpened(link.id, secondary))

    def received_now(self, link: Link, message: Message) -> bool:
        if link.id not in self._open:
            return True
        if isinstance(message, Batches):
            verifier = self._verifiers[link.id]
            if not verifier.is_quick(message):
                return False
            try:
                verifier.verify_now(message, log_id=self._disk_log.log_id)
            except (BadBatch, FormatError) as error:
                self.received_bad(link, str(error))
                return True
        elif isinstance(message, Welcome):
            # Until now it was the ephemeral port from which the master had dialled.
            self._names[link.id] = message.url
        self._handle(Received(link.id, message))
        return True

    async def received(self, link: Link, message: Message) -> None:
        if self.received_now(link, message):
            return
        assert isinstance(message, Batches), "nothing else takes long"
        verifier = self._verifiers[link.id]
        try:
            await verifier.verify(message, log_id=self._disk_log.log_id, threads=self._threads)
        except (BadBatch, FormatError) as error:
            self.received_bad(link, str(error))
            return
        if link.id in self._open:  # R2: else it was closed while its bytes were verified
            self._handle(Received(link.id, message))

    def received_bad(self, link: Link, reason: str) -> None:
        name = self._names.get(link.id, link.name)
        _log.error("bad bytes from %s: %s", name, reason, extra={"link": link.id})
        if link.id in self._open:
            self._handle(ReceivedBad(link.id, reason))

    def link_closed(self, link: Link, reason: str) -> None:
        name = self._names.get(link.id, link.name)
        _log.debug("link %d to %s ended: %s", link.id, name, reason, extra={"link": link.id})
        self._running.pop(link.id, None)
        self._verifiers.pop(link.id, None)
        self._open.pop(link.id, None)
        self._handle(LinkClosed(link.id, reason))
        self._names.pop(link.id, None)
        if not self._running:
            self._all_ended.set()

    def dial_failed(self, secondary: SecondaryIndex, reason: str) -> None:
        _log.debug("dialling secondary %d failed: %s", secondary, reason)
        self._handle(DialFailed(secondary, reason))
