"""A node in memory, shaped as `ServedNode`, that a test can hold back, fill up and damage.

PURE, but for the event loop that it waits on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from starlette.websockets import WebSocket

from replog.core.effects import AppendOutcome, Pending, RefusalReason, Refused, Stored
from replog.core.entry import GENESIS, EntryId, Epoch, LogId, NodeId
from replog.core.errors import DamagedLogError
from replog.core.write_concern import WriteConcern, copies_needed
from replog.node.serving import ReadInterruptedError
from replog.node.views import Health, MasterHealth, QuorumHealth, ReadPoint, Role, SecondaryHealth
from replog.storage.batch import entry_line

URLS = ("http://127.0.0.1:8000", "http://127.0.0.1:8001", "http://127.0.0.1:8002")

HEALTH = Health(
    role=Role.MASTER,
    status="ok",
    node_id=NodeId("a" * 32),
    log_id=LogId("b" * 32),
    epoch=Epoch(1),
    last_id=EntryId(0),
    committed_id=EntryId(0),
    head=GENESIS.hash.hex(),
    quorum=QuorumHealth(required=None, reachable=2),
    secondaries=(
        SecondaryHealth(URLS[1], NodeId("c" * 32), "HEALTHY", "streaming", EntryId(0), 0, 0.1, 0.0),
        SecondaryHealth(URLS[2], None, "UNHEALTHY", "down", None, None, None, None),
    ),
)


class FakeNode:
    """Answers appends at once, or holds those that ask for more than `reachable` nodes."""

    def __init__(self, role: Role = Role.MASTER) -> None:
        self.role = role
        self.stopping = asyncio.Event()
        self.delay_s = 0.0
        self.master_url: str | None = None
        self.lines: list[bytes] = []
        self.asked: list[tuple[WriteConcern | None, float | None]] = []
        self.refusal: Refused | None = None
        self.reachable = 3
        self.has_master = True
        self.holds_reads = False
        self.waiting = 0
        self.abandoned = 0
        self.reasons: tuple[str, ...] = ()
        self.chunk_entries = 2
        self.damaged_id: int | None = None
        self.ends_early_at: int | None = None
        self.chunks_read = 0
        self.open_reads = 0
        self.links = 0
        self.raises: Exception | None = None
        self._released = asyncio.Event()

    # --- what a test does to it, from another thread through the loop ------------------------

    def release(self) -> None:
        """Let every held append be answered as stored."""
        self._released.set()

    # --- ServedNode --------------------------------------------------------------------------

    async def append(
        self,
        messages: tuple[bytes, ...],
        *,
        concern: WriteConcern | None,
        timeout_s: float | None,
    ) -> AppendOutcome:
        self.asked.append((concern, timeout_s))
        if self.raises is not None:
            raise self.raises
        if self.refusal is not None:
            return self.refusal
        copies = copies_needed("all" if concern is None else concern, nodes=len(URLS))
        if copies is None:
            return Refused(
                RefusalReason.BAD_WRITE_CONCERN,
                f"w={concern} cannot be met: this log has {len(URLS)} nodes.",
            )
        first = EntryId(len(self.lines) + 1)
        for place, message in enumerate(messages):
            self.lines.append(entry_line(EntryId(first + place), message))
        last = EntryId(len(self.lines))
        pending = Pending(first, last, copies, URLS[: self.reachable])
        if copies <= self.reachable:
            return Stored(first, last, self.reachable, len(URLS))
        if not await self._is_released_within(timeout_s):
            return pending
        return Stored(first, last, len(URLS), len(URLS))

    async def _is_released_within(self, timeout_s: float | None) -> bool:
        self.waiting += 1
        waits = [asyncio.ensure_future(e.wait()) for e in (self._released, self.stopping)]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            return self._released.is_set()
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self.waiting -= 1
            for wait in waits:
                wait.cancel()

    async def read_point(self) -> ReadPoint:
        if self.holds_reads:
            await self._is_released_within(None)
        return ReadPoint(EntryId(len(self.lines)), self.has_master)

    async def entries(self, first: EntryId, last: EntryId) -> AsyncIterator[bytes]:
        self.open_reads += 1
        try:
            for start in range(first, last + 1, self.chunk_entries):
                stop = min(start + self.chunk_entries, last + 1)
                if self.damaged_id is not None and start <= self.damaged_id < stop:
                    raise DamagedLogError(
                        "segment 00000000000000000001.ndjson does not verify at "
                        f"id {self.damaged_id}, byte offset 4711"
                    )
                if self.stopping.is_set():
                    raise ReadInterruptedError("the node stops")
                if self.ends_early_at is not None and start >= self.ends_early_at:
                    return
                self.chunks_read += 1
                yield b"".join(self.lines[start - 1 : stop - 1])
                await asyncio.sleep(0)
        finally:
            self.open_reads -= 1

    def health(self) -> Health:
        last = EntryId(len(self.lines))
        if self.role is Role.MASTER:
            return replace(HEALTH, last_id=last, committed_id=last)
        return replace(
            HEALTH,
            role=Role.SECONDARY,
            last_id=last,
            committed_id=last,
            secondaries=(),
            delay_s=self.delay_s,
            master=MasterHealth(URLS[0], NodeId("c" * 32), "HEALTHY", "streaming", 0.1),
        )

    def readiness(self) -> tuple[str, ...]:
        return self.reasons

    def set_delay(self, seconds: float) -> None:
        self.delay_s = seconds

    async def accept_link(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.links += 1
        try:
            while True:
                event = await websocket.receive()
                if event["type"] == "websocket.disconnect":
                    return
                await websocket.send_bytes(event["bytes"])
        finally:
            self.links -= 1
