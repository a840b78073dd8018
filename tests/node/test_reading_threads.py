"""What is read on the event loop, and what in a thread: by bytes, and by what is verified (P8)."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from replog.core.entry import EntryId, Head
from replog.storage import lookup
from replog.storage.contents import Contents
from replog.storage.reader import EntryReader
from tests.support.nodes import Nodes, RunningNode

MIB = "x" * (1024 * 1024)


def thread() -> str:
    return threading.current_thread().name.rpartition("_")[0]


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which batches for a link were read from the disk."""
    names: list[str] = []
    read_batches = lookup.read_batches

    def noting(
        contents: Contents, after: Head, *, through: EntryId, size_max: int
    ) -> tuple[Head, bytes] | None:
        names.append(thread())
        return read_batches(contents, after, through=through, size_max=size_max)

    monkeypatch.setattr(lookup, "read_batches", noting)
    return names


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which entries were read."""
    names: list[str] = []
    next_chunk = EntryReader.next_chunk

    def noting(self: EntryReader) -> bytes | None:
        names.append(thread())
        return next_chunk(self)

    monkeypatch.setattr(EntryReader, "next_chunk", noting)
    return names


async def reopened_with_a_secondary_behind(nodes: Nodes) -> RunningNode:
    s1 = await nodes.secondary("s1")
    master = await nodes.master("s1")
    await master.stored("one")
    await nodes.stop("s1")
    for number in range(20):
        await master.stored(f"{number} {'x' * 1000}", w=1)
    await nodes.stop("master")
    master = await nodes.master("s1")
    s1 = await nodes.secondary("s1")
    await master.linked()
    await master.stored("last")
    assert s1.segments() == master.segments()
    return master


def test_what_was_written_before_a_start_is_read_for_a_link_in_a_thread(
    tmp_path: Path, streamed: list[str]
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await reopened_with_a_secondary_behind(nodes)
            assert set(streamed) == {"replog-reader"}

    asyncio.run(story())


def test_a_stream_that_keeps_up_reads_nothing_from_the_disk(
    tmp_path: Path, streamed: list[str]
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await reopened_with_a_secondary_behind(nodes)
            streamed.clear()
            for number in range(50):
                await master.stored(f"new {number}")
            assert streamed == []

    asyncio.run(story())


def test_few_entries_are_read_on_the_loop_unless_they_are_long(
    tmp_path: Path, read: list[str]
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master()
            await master.stored("one", "two", "three")
            assert await master.ids() == [1, 2, 3]
            assert set(read) == {""}
            read.clear()
            await master.stored(MIB[:-20])
            assert await master.ids() == [1, 2, 3, 4]
            assert set(read) == {"replog-reader"}

    asyncio.run(story())


def test_few_entries_that_are_not_verified_yet_are_not_read_on_the_loop(
    tmp_path: Path, read: list[str]
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master()
            for _ in range(17):  # a segment is sealed at 16 MiB
                await master.stored(MIB[:-20])
            await master.stored("last")
            await nodes.stop("master")
            master = await nodes.master()
            await master.ready()
            assert len(master.segments()) == 2
            lines = [chunk async for chunk in master.node.entries(EntryId(1), EntryId(1))]
            assert sum(map(len, lines)) > len(MIB)
            assert set(read) == {"replog-reader"}

    asyncio.run(story())
