"""Reads of entries: verified lines from the log, a chunk at a time, in bounded memory.

SHELL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import Executor, Future
from typing import Final

from replog.core.entry import EntryId
from replog.core.errors import ReplogError
from replog.storage.log import Log

SMALL_READ_ENTRIES: Final = 64
"""A read of so few entries at the log's end is made on the event loop: what was written
last stands in the page cache, and a thread hop would cost more than the read."""


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
    is_small = last - first < SMALL_READ_ENTRIES and log.head.last_id - last < SMALL_READ_ENTRIES
    reader = log.reader(first, last)
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
