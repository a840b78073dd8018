"""Entry lines, chunk by chunk, as the pieces of one answer, in constant memory.

NETWORK.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable

from replog.core.errors import DamagedLogError

Pieces = AsyncGenerator[tuple[bytes, bool], None]
"""Pieces of one answer, each with "this is the last one"."""

Make = Callable[[bytes, bool, bool], bytes]
"""Makes a piece of a chunk; the flags say whether it is the first and the last one."""


def array_pieces(chunks: AsyncIterator[bytes], *, count: int) -> Pieces:
    """Yield the array of `count` entries in pieces: as `line_pieces` else.

    A newline never stands inside an entry line (JSON escapes it), so that every one of them
    becomes the comma between two elements.
    """
    return line_pieces(chunks, count=count, make=_elements)


def entry_pieces(chunks: AsyncIterator[bytes]) -> Pieces:
    """Yield the one entry of `chunks` as an object by itself: as `line_pieces` else."""
    return line_pieces(chunks, count=1, make=_object)


async def line_pieces(
    chunks: AsyncIterator[bytes], *, count: int, make: Make | None = None
) -> Pieces:
    """Yield the lines of `count` entries in pieces, as they come or as `make` makes them.

    Args:
        chunks: whole entry lines, each with its newline, at least one line a chunk. They are
            closed with this generator, so that no descriptor waits for the collector.
        count: entries that must come, at least 1.

    Raises:
        DamagedLogError: from `chunks`, or because they end early: an array that is valid but
            shorter is never completed.
    """
    seen = 0
    try:
        async for chunk in chunks:
            is_first = seen == 0
            seen += chunk.count(b"\n")
            assert seen <= count, (seen, count)
            is_last = seen >= count
            piece = chunk if make is None else make(chunk, is_first, is_last)
            del chunk  # a client that is stuck holds one of the two, not both
            yield piece, is_last
        if seen < count:
            raise DamagedLogError(f"{count} entries were to be read, and {seen} came")
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def _elements(chunk: bytes, is_first: bool, is_last: bool) -> bytes:  # noqa: FBT001 - `Make`
    joined = chunk[:-1].replace(b"\n", b",")
    return b"%b%b%b" % (b"[" if is_first else b",", joined, b"]" if is_last else b"")


def _object(chunk: bytes, is_first: bool, is_last: bool) -> bytes:  # noqa: FBT001 - `Make`
    assert is_first, "one entry is one chunk"
    assert is_last, "one entry is one chunk"
    return chunk[:-1]
