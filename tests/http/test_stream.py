"""Entry lines as the pieces of one array, as a unit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError
from replog.http.stream import Pieces, array_pieces


def _lines(*ids: int) -> bytes:
    return b"".join(b'{"id":%d,"message":""}\n' % entry for entry in ids)


def _array(chunks: AsyncGenerator[bytes, None], *, first: int, last: int) -> Pieces:
    return array_pieces(chunks, first=EntryId(first), last=EntryId(last))


async def _chunks(*chunks: bytes) -> AsyncGenerator[bytes, None]:
    for chunk in chunks:
        yield chunk


def test_pieces_join_to_one_array_and_the_last_one_is_known() -> None:
    async def story() -> None:
        chunks = _chunks(_lines(8), _lines(9, 10), _lines(11))
        pieces = [piece async for piece in _array(chunks, first=8, last=11)]
        assert [is_last for _, is_last in pieces] == [False, False, True]
        array = b"".join(piece for piece, _ in pieces)
        assert array == b"[%b]" % _lines(8, 9, 10, 11)[:-1].replace(b"\n", b",")

    asyncio.run(story())


def test_entries_that_end_early_never_complete_the_array() -> None:
    async def story() -> None:
        pieces = _array(_chunks(_lines(1, 2)), first=1, last=3)
        piece, is_last = await anext(pieces)
        assert (piece[:1], b"]" in piece, is_last) == (b"[", False, False)
        with pytest.raises(DamagedLogError, match="up to 3 were to be read, and they end at 2"):
            await anext(pieces)

    asyncio.run(story())


def test_a_read_that_is_left_closes_its_entries_at_once() -> None:
    async def story() -> None:
        chunks = _chunks(_lines(1), _lines(2))
        pieces = _array(chunks, first=1, last=2)
        await anext(pieces)
        await pieces.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)

    asyncio.run(story())
