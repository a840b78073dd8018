"""`AsyncProducer`: many appends as few requests, from programs on asyncio.

NETWORK. A task of its own sends, one batch after the other, so that order is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from replog.client.aio import AsyncClient
from replog.client.errors import ClientError
from replog.client.model import Appended, AppendedMany, WriteConcern
from replog.client.pile import BATCH_ENTRIES_MAX, Batch, Bounds, Pile, encode
from replog.client.wire import NDJSON, Terms

_APPENDS_AT_ONCE = 256
"""A loop of appends lets others at the event loop, the sender among them, after so many."""


class AsyncTicket(msgspec.Struct, eq=False, gc=False):
    """An append that a producer took: `await` it for its `Appended`, or for its error."""

    _batch: Batch[asyncio.Event]
    _index: int

    __repr__ = object.__repr__

    @property
    def is_done(self) -> bool:
        return self._batch.done.is_set()

    def __await__(self) -> Generator[object, None, Appended]:
        return self._result().__await__()

    async def _result(self) -> Appended:
        await self._batch.done.wait()
        return self._batch.appended(self._index)


class AsyncProducer:
    """Gathers appends into batches and sends them in order, as `Producer`: the same, awaited.

    `async with AsyncProducer(client) as producer:`; its arguments are those of `Producer`.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        w: WriteConcern | None = None,
        timeout: float | None = None,
        batch_entries: int = BATCH_ENTRIES_MAX,
        batch_bytes: int = 4 << 20,
        linger: float = 0.005,
        buffer_bytes: int = 32 << 20,
    ) -> None:
        self._client = client
        self._terms = Terms(w, timeout)
        self._pile: Pile[asyncio.Event] = Pile(
            Bounds(batch_entries, batch_bytes, linger, buffer_bytes),
            clock=time.monotonic,
            make_key=client.calls.new_key,
            make_done=asyncio.Event,
        )
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def append(self, message: str) -> AsyncTicket:
        """Take one append; it waits only while the buffer is full.

        Raises:
            ClientError: an earlier batch failed, or the producer is closed.
            ValueError: the message is no UTF-8.
        """
        encoded = encode(message)
        pile = self._pile
        if pile.is_barred:
            await self._wait_for_room()
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="replog-producer")
        batch = pile.add(encoded)
        ticket = AsyncTicket(batch, len(batch.messages) - 1)
        has_news = pile.has_news(batch)
        if has_news:
            self._work.set()
        if has_news or len(batch.messages) % _APPENDS_AT_ONCE == 0:
            await asyncio.sleep(0)
        return ticket

    async def _wait_for_room(self) -> None:
        while not (self._pile.has_room or self._pile.is_closed or self._pile.failure):
            self._room.clear()
            await self._room.wait()
        self._pile.check_open()

    async def flush(self) -> None:
        """Wait until everything that was taken so far is stored.

        Raises:
            ClientError: what a batch met.
        """
        last = self._pile.last()
        self._pile.seal()
        self._work.set()
        if last is not None:
            await last.done.wait()
        self._pile.check()

    async def close(self) -> None:
        """Send what was taken, wait for its answers, and take no more.

        Where it is cancelled, sending goes on; a second call waits for its end.

        Raises:
            ClientError: what a batch met.
        """
        self._pile.close()
        self._work.set()
        self._room.set()
        if self._sending is not None:
            await asyncio.wait({self._sending})  # is cancelled alone, and raises nothing
        self._pile.check()

    # --- the task that sends --------------------------------------------------------------------

    async def _send(self) -> None:
        calls = self._client.calls
        try:
            while (batch := await self._next()) is not None:
                flow = calls.append_encoded(batch.body(), NDJSON, key=batch.key, terms=self._terms)
                try:
                    stored = await self._client.run(flow)
                except ClientError as error:
                    self._settle(error)
                    return
                self._settle(stored)
        except BaseException as error:  # cancelled, or a defect: whoever waits must learn of it
            self._pile.abandon("the producer was cancelled, or met a defect", error)
            self._room.set()
            raise

    def _settle(self, outcome: AppendedMany | ClientError) -> None:
        self._pile.settle(outcome)
        self._room.set()

    async def _next(self) -> Batch[asyncio.Event] | None:
        """Wait for a batch that is to leave; None when the producer is closed and empty."""
        while not self._pile.is_ready(now := time.monotonic()):
            due_at = self._pile.due_at
            if due_at is None and self._pile.is_closed:
                return None
            self._work.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due_at is None else due_at - now):
                    await self._work.wait()
        return self._pile.take()
