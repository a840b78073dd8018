"""A node as its links see it, which notes what it is told.

PURE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from replog.core.events import LinkId, SecondaryIndex
from replog.core.messages import Message
from replog.replication.link import Link


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.messages: list[Message] = []
        self.links: list[Link] = []
        self.on_message: Callable[[Link], None] = lambda _: None
        self.takes_now = True
        self.opened = asyncio.Event()
        self.taking = asyncio.Event()
        self.may_take = asyncio.Event()
        self.may_take.set()

    def new_link_id(self) -> LinkId:
        return LinkId(1)

    def link_opened(self, link: Link, secondary: SecondaryIndex | None) -> None:
        self.links.append(link)
        self.told.append("opened")
        self.opened.set()

    def received_now(self, link: Link, message: Message) -> bool:
        if self.takes_now:
            self.messages.append(message)
        return self.takes_now

    async def received(self, link: Link, message: Message) -> None:
        self.taking.set()
        await self.may_take.wait()
        self.messages.append(message)
        self.on_message(link)

    def received_bad(self, link: Link, reason: str) -> None:
        self.told.append("bad")

    def link_closed(self, link: Link, reason: str) -> None:
        self.told.append(f"closed: {reason}")

    def dial_failed(self, secondary: SecondaryIndex, reason: str) -> None:
        self.told.append(f"failed: {reason}")
