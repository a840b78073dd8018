"""Entry lines, chunk by chunk, as the pieces of one answer, in constant memory.

NETWORK.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable

from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError
from replog.storage.lines import id_of_last

Pieces = AsyncGenerator[tuple[bytes, bool], None]
"""Pieces of one answer, each with "this is the last one"."""

Make = Callable[[bytes, bool, bool], bytes]
"""Makes a piece of a chunk; the flags say whether it is the first and the last one."""


def array_pieces(chunks: AsyncIterator[bytes], *, first: EntryId, last: EntryId) -> Pieces:
    """Yield the array of the entries `first` to `last` in pieces: as `line_pieces` else.

    A newline never stands inside an entry line (JSON escapes it), so that every one of them
    becomes the comma between two elements.
    """
    return line_pieces(chunks, first=first, last=last, make=_elements)


def entry_pieces(chunks: AsyncIterator[bytes], id: EntryId) -> Pieces:
    """Yield the entry `id`, all of `chunks`, as an object by itself: as `line_pieces` else."""
    return line_pieces(chunks, first=id, last=id, make=_object)


async def line_pieces(
    chunks: AsyncIterator[bytes], *, first: EntryId, last: EntryId, make: Make | None = None
) -> Pieces:
    """Yield the lines of the entries `first` to `last`, as they come or as `make` makes them.

    Args:
        chunks: whole entry lines without a gap, each with its newline, at least one line a
            chunk. They are closed with this generator, so that no descriptor waits for the
            collector.
        last: at least `first`; so far they must come.

    Raises:
        DamagedLogError: from `chunks`, or because they end early: an array that is valid but
            shorter is never completed.
    """
    seen = before = first - 1
    try:
        async for chunk in chunks:
            is_first = seen == before
            seen = id_of_last(chunk)
            assert seen <= last, (seen, last)
            is_last = seen == last
            piece = chunk if make is None else make(chunk, is_first, is_last)
            del chunk  # a client that is stuck holds one of the two, not both
            yield piece, is_last
        if seen < last:
            raise DamagedLogError(f"entries up to {last} were to be read, and they end at {seen}")
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def _elements(chunk: bytes, is_first: bool, is_last: bool) -> bytes:  # noqa: FBT001 - `Make`
    elements = chunk.replace(b"\n", b",")
    if is_last:
        elements = elements[:-1] + b"]"
    return b"[" + elements if is_first else elements


def _object(chunk: bytes, is_first: bool, is_last: bool) -> bytes:  # noqa: FBT001 - `Make`
    assert is_first, "one entry is one chunk"
    assert is_last, "one entry is one chunk"
    return chunk[:-1]
