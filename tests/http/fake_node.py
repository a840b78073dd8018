"""A node in memory, shaped as `ServedNode`, that a test can hold back, fill up and damage.

PURE, but for the event loop that it waits on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256

from starlette.websockets import WebSocket

from replog.core.effects import AppendOutcome, Pending, RefusalReason, Refused, Stored
from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId, NodeId
from replog.core.errors import DamagedLogError
from replog.core.events import RequestId
from replog.core.write_concern import WriteConcern, copies_needed
from replog.node.clients import Answered, NodeFailedError
from replog.node.feed import Feed
from replog.node.serving import ReadInterruptedError
from replog.node.views import (
    ANY,
    Freshness,
    Health,
    Holder,
    MasterHealth,
    QuorumHealth,
    ReadPoint,
    Receipt,
    Role,
    SecondaryHealth,
)
from replog.replication.endpoint import ServedConnection
from replog.storage.batch import entry_line
from replog.storage.pages import Page

TIME_MS = 1_795_687_200_000
"""When every append was made, by this node's clock."""

URLS = ("http://127.0.0.1:8000", "http://127.0.0.1:8001", "http://127.0.0.1:8002")

TIME = "2026-11-22T22:10:00.123Z"

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
        self.feed = Feed()
        self.log_id: LogId | None = HEALTH.log_id
        self.freshness: list[Freshness] = []
        self.is_fresh = True
        self.lag_s: float | None = 0.0
        self.delay_s = 0.0
        self.master_url: str | None = None
        self.lines: list[bytes] = []
        self.asked: list[tuple[WriteConcern | None, float | None]] = []
        self.conditions: list[tuple[tuple[str | None, ...], EntryId | None]] = []
        self.keys: dict[EntryId, str] = {}
        self.refusal: Refused | None = None
        self.is_disk_broken = False
        self.reachable = 3
        self.has_master = True
        self.holds_reads = False
        self.waiting = 0
        self.abandoned = 0
        self.reasons: tuple[str, ...] = ()
        self.chunk_entries = 2
        self.at_hand_entries = 0
        self.times_ms: list[int] = []
        self.damaged_id: int | None = None
        self.ends_early_at: int | None = None
        self.stops_at: int | None = None
        self.chunks_read = 0
        self.open_reads = 0
        self.links = 0
        self.raises: Exception | None = None
        self.begun_appends = 0
        """Of those that came without a task."""
        self._begun: dict[RequestId, asyncio.Task[None]] = {}
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
        keys: tuple[str | None, ...] = (),
        expect: EntryId | None = None,
    ) -> AppendOutcome:
        self.asked.append((concern, timeout_s))
        self.conditions.append((keys, expect))
        if self.raises is not None:
            raise self.raises
        if self.refusal is not None:
            return self.refusal
        if self.is_disk_broken:
            first, last = EntryId(7), EntryId(6 + len(messages))
            return Pending(first, last, 1, (), is_unknown=True)
        copies = copies_needed("all" if concern is None else concern, nodes=len(URLS))
        if copies is None:
            return Refused(
                RefusalReason.BAD_WRITE_CONCERN,
                f"w={concern} cannot be met: this log has {len(URLS)} nodes.",
            )
        known = self._stored_before(messages, keys)
        if isinstance(known, Refused):
            return known
        if known is None:
            first = EntryId(len(self.lines) + 1)
            if expect is not None and expect != len(self.lines):
                return Refused(
                    RefusalReason.PRECONDITION_FAILED,
                    f"the append is to follow on entry {expect}",
                    last_id=EntryId(len(self.lines)),
                )
            self._store(first, messages, keys)
        else:
            first = known
        last, is_replayed = EntryId(first + len(messages) - 1), known is not None
        pending = Pending(first, last, copies, URLS[: self.reachable], is_replayed)
        if copies <= self.reachable:
            return Stored(first, last, self.reachable, len(URLS), is_replayed)
        if not await self._is_released_within(timeout_s):
            return pending
        return Stored(first, last, len(URLS), len(URLS), is_replayed)

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
        async def append() -> None:
            try:
                outcome = await self.append(
                    messages, concern=concern, timeout_s=timeout_s, keys=keys, expect=expect
                )
            except NodeFailedError:
                answered(None)
            else:
                answered(outcome)

        self.begun_appends += 1
        request = RequestId(self.begun_appends)
        self._begun[request] = asyncio.ensure_future(append())
        return request

    def abandon(self, request: RequestId) -> None:
        self._begun[request].cancel()

    def _store(
        self, first: EntryId, messages: tuple[bytes, ...], keys: tuple[str | None, ...]
    ) -> None:
        for place, message in enumerate(messages):
            self.lines.append(entry_line(EntryId(first + place), message))
            self.times_ms.append(TIME_MS)
        for place, key in enumerate(keys):
            if key is not None:
                self.keys[EntryId(first + place)] = key
        self.feed.show(EntryId(len(self.lines)))

    def _stored_before(
        self, messages: tuple[bytes, ...], keys: tuple[str | None, ...]
    ) -> EntryId | Refused | None:
        """Return the first id of an append that has these keys, None where none has (P6)."""
        with_key = [(place, key) for place, key in enumerate(keys) if key is not None]
        found = [entry_id for entry_id, known in self.keys.items() if known in keys]
        if not found:
            return None
        first = EntryId(min(found) - with_key[0][0])
        lines = [entry_line(EntryId(first + n), message) for n, message in enumerate(messages)]
        has_keys = all(self.keys.get(EntryId(first + place)) == key for place, key in with_key)
        is_whole = max(found) == first + with_key[-1][0]
        if has_keys and is_whole and self.lines[first - 1 : first - 1 + len(lines)] == lines:
            return first
        return Refused(RefusalReason.KEY_REUSED, f"entry {min(found)} has the key", id=min(found))

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

    async def receipt(
        self, id: EntryId, *, concern: WriteConcern | None, timeout_s: float | None
    ) -> Receipt | Refused:
        if self.refusal is not None:
            return self.refusal
        if id > len(self.lines):
            return Refused(RefusalReason.UNKNOWN_ID, f"entry {id} is not in the log")
        required = copies_needed("all" if concern is None else concern, nodes=len(URLS))
        if required is None:
            return Refused(RefusalReason.BAD_WRITE_CONCERN, f"w={concern} cannot be met")
        is_met = required <= self.reachable or await self._is_released_within(timeout_s)
        last, hash_ = EntryId(len(self.lines)), self.head.hash.hex()
        urls = URLS if self._released.is_set() else URLS[: self.reachable]
        holders = tuple(Holder(url, NodeId(url[-4:] * 8), TIME, last, hash_) for url in urls)
        return Receipt(id, required, is_met, holders)

    async def read_point(self, freshness: Freshness = ANY) -> ReadPoint:
        self.freshness.append(freshness)
        if self.holds_reads:
            await self._is_released_within(None)
        asks_how_fresh = freshness.is_linearizable or freshness.max_lag_s is not None
        is_fresh = self.is_fresh or not asks_how_fresh
        is_met = len(self.lines) >= freshness.min_id and is_fresh
        return ReadPoint(EntryId(len(self.lines)), self.has_master, is_met, self.lag_s)

    def read_point_now(self) -> ReadPoint | None:
        if self.holds_reads or not self.at_hand_entries:
            return None
        self.freshness.append(ANY)
        return ReadPoint(EntryId(len(self.lines)), self.has_master, lag_s=self.lag_s)

    @property
    def head(self) -> Head:
        return Head(Epoch(1), EntryId(len(self.lines)), sha256(b"".join(self.lines)).digest())

    async def hash_at(self, id: EntryId) -> bytes:
        if self.damaged_id is not None and self.damaged_id <= id:
            raise DamagedLogError(f"id {id} is at or behind a damaged range of the log")
        return self._hash_at(id)

    def _hash_at(self, id: EntryId) -> bytes:
        return sha256(b"".join(self.lines[:id])).digest()

    def page_at_hand(self, first: EntryId, last: EntryId) -> Page | None:
        is_damaged = self.damaged_id is not None and first <= self.damaged_id <= last
        if last - first >= self.at_hand_entries or is_damaged:
            return None
        return Page(b"".join(self.lines[first - 1 : last]), self._hash_at(last))

    async def first_since(self, time_ms: int) -> EntryId:
        for place, made_ms in enumerate(self.times_ms[: len(self.lines)], start=1):
            if made_ms >= time_ms:
                return EntryId(place)
        return EntryId(len(self.lines) + 1)

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
                if self.stopping.is_set() or start == self.stops_at:
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
        ServedConnection(websocket).expect_batches()  # as behind a welcome
        self.links += 1
        try:
            while True:
                event = await websocket.receive()
                if event["type"] == "websocket.disconnect":
                    return
                await websocket.send_bytes(event["bytes"])
        finally:
            self.links -= 1
