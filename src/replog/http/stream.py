"""Entry lines, chunk by chunk, as the pieces of one answer, in constant memory.

NETWORK.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Self

from starlette.types import Receive

from replog.core.errors import DamagedLogError


async def array_pieces(
    chunks: AsyncIterator[bytes], *, count: int
) -> AsyncGenerator[tuple[bytes, bool], None]:
    """Yield the array of `count` entries in pieces, each with "this is the last one".

    A newline never stands inside an entry line (JSON escapes it), so that every one of them
    becomes the comma between two elements.

    Args:
        chunks: whole entry lines, each with its newline, at least one line a chunk. They are
            closed with this generator, so that no descriptor waits for the collector.
        count: entries that must come, at least 1.

    Raises:
        DamagedLogError: from `chunks`, or because they end early: an array that is valid but
            shorter is never completed.
    """
    beginning = b"["
    async with aclosing(line_pieces(chunks, count=count)) as lines:
        async for chunk, is_last in lines:
            joined = chunk[:-1].replace(b"\n", b",")
            yield b"%b%b%b" % (beginning, joined, b"]" if is_last else b""), is_last
            beginning = b","


async def line_pieces(
    chunks: AsyncIterator[bytes], *, count: int
) -> AsyncGenerator[tuple[bytes, bool], None]:
    """Yield the lines of `count` entries as they come: as `array_pieces` else."""
    seen = 0
    try:
        async for chunk in chunks:
            seen += chunk.count(b"\n")
            assert seen <= count, (seen, count)
            yield chunk, seen >= count
        if seen < count:
            raise DamagedLogError(f"{count} entries were to be read, and {seen} came")
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


async def entry_pieces(chunks: AsyncIterator[bytes]) -> AsyncGenerator[tuple[bytes, bool], None]:
    """Yield the one entry of `chunks` as an object by itself: as `array_pieces` else."""
    async with aclosing(line_pieces(chunks, count=1)) as lines:
        async for line, is_last in lines:
            yield line[:-1], is_last


class EndWatch:
    """Notices, while a stream is sent, that its client hung up.

    A server drops what is sent to a client that is gone without a word; without this the
    node would read the whole log for nobody.
    """

    __slots__ = ("_receive", "_task", "is_gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self.is_gone = False

    def __enter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._watch())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
