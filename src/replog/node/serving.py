"""Reads of entries: verified lines from the log, a chunk at a time, in bounded memory.

SHELL.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Final, TypeVar

from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError, ReplogError
from replog.storage.log import Log
from replog.storage.pages import Page

SMALL_READ_ENTRIES: Final = 64
"""A read of so few entries at the log's end is made on the event loop where it takes no more
than 256 KiB of verified bytes: what was written last stands in the page cache, and a thread
hop would cost more than the read. Entries alone say nothing: each may have a MiB."""

SMALL_PAGE_ENTRIES: Final = 1000
SLOW_READ_S: Final = 0.005
SLOW_READS: Final = 2
SLOW_FOR_S: Final = 1.0

_Found = TypeVar("_Found")


class Pages:
    """Parts of the log and what is known of them; small ones are read on the event loop.

    That is done while the disk answers at once: from the page cache a page takes 0.05 ms, and
    a thread hop would double it. What it took tells whether it was there: after two slow ones in
    a row the threads take over for a while, so that a disk that has to be asked stops the loop
    twice a second at the most (docs/decisions/0066).
    """

    def __init__(self, log: Log, threads: Executor, *, found_damage: Callable[[], None]) -> None:
        self._disk_log = log
        self._threads = threads
        self._found_damage = found_damage
        self._slow_reads = 0
        self._slow_until = 0.0

    def at_hand(self, first: EntryId, last: EntryId) -> Page | None:
        """Return the entries `first` to `last` and the hash behind them; None: read them."""
        started = time.monotonic()
        if last - first >= SMALL_PAGE_ENTRIES or started < self._slow_until:
            return None
        page = self._disk_log.reader(first, last).page_at_hand()
        self._note_read(started, time.monotonic())
        return page

    def _note_read(self, started: float, ended: float) -> None:
        """One slow read alone may be a busy processor's doing, not the disk's."""
        self._slow_reads = self._slow_reads + 1 if ended - started > SLOW_READ_S else 0
        if self._slow_reads >= SLOW_READS:
            self._slow_reads = 0
            self._slow_until = ended + SLOW_FOR_S

    async def hash_at(self, id: EntryId) -> bytes:
        """Return the hash at the end of the batch of `id`. Raises: DamagedLogError."""
        below, above = await self._looked_up(partial(self._disk_log.around, EntryId(id - 1)))
        return (below if above is None else above).hash

    async def first_since(self, time_ms: int) -> EntryId:
        """Return the first id whose batch was made then or later. Raises: DamagedLogError."""
        return await self._looked_up(partial(self._disk_log.first_since, time_ms))

    async def _looked_up(self, look: Callable[[], _Found]) -> _Found:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, look)
        except DamagedLogError:
            self._found_damage()
            raise


class ReadInterruptedError(ReplogError):
    """The node stops: a read in the middle is broken off, never ended early as if whole."""


async def read_entries(
    log: Log, first: EntryId, last: EntryId, *, stopping: asyncio.Event, threads: Executor
) -> AsyncGenerator[bytes, None]:
    """Yield the lines of the entries from `first` to `last`, some at a time, in order.

    Raises:
        DamagedLogError: bytes in the range do not verify (R13); what was yielded is good.
        ReadInterruptedError: the node stops before the range is through.
    """
    if first > last:
        return
    reader = log.reader(first, last)
    is_last = log.head.last_id - last < SMALL_READ_ENTRIES
    is_small = is_last and last - first < SMALL_READ_ENTRIES and reader.is_at_hand()
    reading: Future[bytes | None] | None = None
    try:
        while True:
            if stopping.is_set():
                raise ReadInterruptedError("the node stops; ask again when it is back")
            if is_small:
                chunk = reader.next_chunk()
            else:
                reading = threads.submit(reader.next_chunk)
                chunk = await asyncio.wrap_future(reading)
            if chunk is None:
                return
            yield chunk
    finally:
        if reading is None:
            reader.close()
        else:
            # A client that hangs up ends this while a thread may still read: the descriptors
            # must not be closed, and their numbers given to other files, under it.
            reading.cancel()
            reading.add_done_callback(lambda _: reader.close())
