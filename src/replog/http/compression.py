"""gzip over the pieces of an answer, in constant memory, off the event loop where it takes long.

NETWORK. Level 1: on short messages it takes a sixth of the time of level 6, and the result is
a third larger (docs/decisions/0067).
"""

from __future__ import annotations

import asyncio
import zlib
from contextlib import aclosing
from typing import Final, Protocol

from replog.http.stream import Pieces

GZIP_HEADER = (b"content-encoding", b"gzip")

WORTH_BYTES: Final = 1024
"""A shorter body fits into one packet as it is."""

INLINE_BYTES: Final = 32 * 1024
"""Up to here the loop compresses by itself: 0.1 ms, about what a thread hop costs."""

_LEVEL = 1
_GZIP_WINDOW_BITS = 31


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


async def gzipped(body: bytes) -> bytes:
    """Return a whole body compressed."""
    return await _compressed(_compressor(), body, is_last=True)


async def gzip_pieces(pieces: Pieces) -> Pieces:
    """Yield `pieces` compressed, each with "this is the last one"; they are closed with this.

    Where `pieces` raise, what was yielded has no valid end: nobody takes it for whole.
    """
    compressor = _compressor()
    async with aclosing(pieces):
        async for piece, is_last in pieces:
            compressed = await _compressed(compressor, piece, is_last=is_last)
            if compressed or is_last:
                yield compressed, is_last


def _compressor() -> _Compressor:
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW_BITS)


async def _compressed(compressor: _Compressor, piece: bytes, *, is_last: bool) -> bytes:
    if len(piece) <= INLINE_BYTES:
        return _compress(compressor, piece, is_last=is_last)
    return await asyncio.to_thread(_compress, compressor, piece, is_last=is_last)


def _compress(compressor: _Compressor, piece: bytes, *, is_last: bool) -> bytes:
    compressed = compressor.compress(piece)
    return compressed + compressor.flush() if is_last else compressed
