"""Entry lines as the pieces of one array, as a unit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from replog.core.errors import DamagedLogError
from replog.http.stream import array_pieces


async def _chunks(*chunks: bytes) -> AsyncGenerator[bytes, None]:
    for chunk in chunks:
        yield chunk


def test_pieces_join_to_one_array_and_the_last_one_is_known() -> None:
    async def story() -> None:
        chunks = _chunks(b"1\n", b"2\n3\n", b"4\n")
        pieces = [piece async for piece in array_pieces(chunks, count=4)]
        assert pieces == [(b"[1", False), (b",2,3", False), (b",4]", True)]

    asyncio.run(story())


def test_entries_that_end_early_never_complete_the_array() -> None:
    async def story() -> None:
        pieces = array_pieces(_chunks(b"1\n2\n"), count=3)
        assert await anext(pieces) == (b"[1,2", False)
        with pytest.raises(DamagedLogError, match="3 entries were to be read, and 2 came"):
            await anext(pieces)

    asyncio.run(story())


def test_a_read_that_is_left_closes_its_entries_at_once() -> None:
    async def story() -> None:
        chunks = _chunks(b"1\n", b"2\n")
        pieces = array_pieces(chunks, count=2)
        await anext(pieces)
        await pieces.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)

    asyncio.run(story())
