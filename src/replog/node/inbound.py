"""Verifies what arrives over one link before the core hears of it (R5).

SHELL. Batches are the only messages with bytes that will stand in a file: every check that
a receiver makes is made here, before anything is written, on either side of a link.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Final

from replog.core.entry import LogId
from replog.core.messages import Batches
from replog.storage.batch import BadBatch, Run, verify_run

VERIFY_IN_THREAD_BYTES: Final = 256 * 1024
"""From here on verifying takes longer (about 1 ms) than a thread hop costs (about 0.1 ms)."""


class BatchVerifier:
    """The receiver's checks for the batches of one link.

    Invariant: `_last` is the frame before, so that a time that goes back and a segment that
    begins in the wrong place are found across frames of one stream. Where a frame follows on
    something else, the log compares its end with them before it writes.
    """

    def __init__(self) -> None:
        self._last: Run | None = None

    def is_quick(self, batches: Batches) -> bool:
        """Whether it is verified sooner than a thread would begin to."""
        return len(batches.payload) < VERIFY_IN_THREAD_BYTES

    def verify_now(self, batches: Batches, *, log_id: LogId | None) -> None:
        """Return if the payload leads from `after` to `head`, as a log of `log_id`.

        Raises:
            BadBatch, FormatError: it must not be stored.
        """
        self._last = self._verify(batches, log_id)

    async def verify(self, batches: Batches, *, log_id: LogId | None, threads: Executor) -> None:
        """Do as `verify_now` in a thread."""
        loop = asyncio.get_running_loop()
        self._last = await loop.run_in_executor(threads, self._verify, batches, log_id)

    def _verify(self, batches: Batches, log_id: LogId | None) -> Run:
        if log_id is None:
            raise BadBatch(0, "this node has no log yet to which it could belong")
        last = self._last if self._last is not None and self._last.head == batches.after else None
        run = verify_run(
            batches.payload,
            after=batches.after,
            log_id=log_id,
            last_time=b"" if last is None else last.last_time,
            starts_segment=None if last is None else last.seals,
            strict=True,
        )
        if run.head != batches.head:
            raise BadBatch(0, f"it leads to {run.head}, not to {batches.head}")
        return run
