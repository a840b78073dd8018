"""The fake node of these tests against the real one: what the routes rely on holds for both.

DISK. The real node is a master with two secondaries that are not there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from replog.config.load import load_settings
from replog.core.effects import Pending, RefusalReason, Refused, Stored
from replog.core.entry import EntryId
from replog.http.cluster_routes import health_members
from replog.http.facade import ServedNode
from replog.http.schemas import SCHEMAS
from replog.node.node import start_node
from replog.node.views import Role
from replog.storage.batch import encode_message
from tests.http.fake_node import URLS, FakeNode
from tests.http.schema_check import faults
from tests.support.waiting import DEADLINE_S

Story = Callable[[ServedNode, Callable[[], None]], Awaitable[None]]


@asynccontextmanager
async def _fake(directory: Path) -> AsyncIterator[tuple[ServedNode, Callable[[], None]]]:
    del directory
    node = FakeNode()
    node.reachable = 1
    yield node, node.stopping.set


@asynccontextmanager
async def _real(directory: Path) -> AsyncIterator[tuple[ServedNode, Callable[[], None]]]:
    flags = {
        "role": "master",
        "data_dir": str(directory),
        "secondaries": "http://127.0.0.1:9,http://127.0.0.1:11",  # refused: nobody is there
        "advertise_url": URLS[0],
    }
    node = await start_node(load_settings(flags=flags, environment={}, config_path=None))
    try:
        yield node, node.request_stop
    finally:
        await node.stop()


@pytest.fixture(params=[_fake, _real], ids=["fake", "real"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    async def run(story: Story) -> None:
        async with asyncio.timeout(DEADLINE_S), request.param(tmp_path / "data") as (node, stop):
            await story(node, stop)

    return lambda story: asyncio.run(run(story))


async def _until_committed(node: ServedNode) -> None:
    while (await node.read_point()).committed_id < 1:  # noqa: ASYNC110 - a node has no event of it
        await asyncio.sleep(0)


def test_outcomes_are_the_same(play: Callable[[Story], None]) -> None:
    async def story(node: ServedNode, stop: Callable[[], None]) -> None:
        del stop
        assert node.role is Role.MASTER
        hello = (encode_message("hello"),)
        assert await node.append(hello, concern=1, timeout_s=None) == Stored(
            EntryId(1), EntryId(1), 1, 3
        )
        assert await node.append(hello, concern=None, timeout_s=0.0) == Pending(
            EntryId(2), EntryId(2), 3, URLS[:1]
        )
        refused = await node.append(hello, concern=4, timeout_s=None)
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.BAD_WRITE_CONCERN
        assert "3" in refused.detail
        point = await node.read_point()
        assert (point.committed_id, point.has_master) == (2, True)

    play(story)


def test_entries_are_lines_with_their_newlines(play: Callable[[Story], None]) -> None:
    async def story(node: ServedNode, stop: Callable[[], None]) -> None:
        del stop
        for text in ("one", "two\n", "three"):
            await node.append((encode_message(text),), concern=1, timeout_s=None)
        chunks = [chunk async for chunk in node.entries(EntryId(2), EntryId(3))]
        assert b"".join(chunks) == b'{"id":2,"message":"two\\n"}\n{"id":3,"message":"three"}\n'
        assert all(chunk.endswith(b"\n") for chunk in chunks)

    play(story)


def test_a_stop_answers_who_waits_and_refuses_who_comes(play: Callable[[Story], None]) -> None:
    async def story(node: ServedNode, stop: Callable[[], None]) -> None:
        waiting = asyncio.ensure_future(
            node.append((encode_message("waits"),), concern=3, timeout_s=None)
        )
        await _until_committed(node)
        assert not waiting.done()
        stop()
        assert node.stopping.is_set()
        assert await waiting == Pending(EntryId(1), EntryId(1), 3, URLS[:1])

    play(story)


def test_a_cancelled_append_leaves_its_entry(play: Callable[[Story], None]) -> None:
    async def story(node: ServedNode, stop: Callable[[], None]) -> None:
        del stop
        waiting = asyncio.ensure_future(
            node.append((encode_message("waits"),), concern=3, timeout_s=None)
        )
        await _until_committed(node)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await node.read_point()).committed_id == 1

    play(story)


def test_health_has_the_same_members(play: Callable[[Story], None]) -> None:
    async def story(node: ServedNode, stop: Callable[[], None]) -> None:
        del stop
        expected = health_members(FakeNode().health())
        assert list(health_members(node.health())) == list(expected)
        assert len(node.health().secondaries) == 2
        members = json.loads(msgspec.json.encode(health_members(node.health())))
        assert faults(members, SCHEMAS["HealthOfMaster"], SCHEMAS) == []

    play(story)


def test_a_page_and_its_hash_and_a_time_are_found(play: Callable[[Story], None]) -> None:
    async def story(node: ServedNode, stop: Callable[[], None]) -> None:
        del stop
        if isinstance(node, FakeNode):
            node.at_hand_entries = 1000
        assert await node.first_since(0) == 1
        for text in ("one", "two", "three"):
            await node.append((encode_message(text),), concern=1, timeout_s=None)
        await _until_committed(node)
        page = node.page_at_hand(EntryId(2), EntryId(3))
        assert page is not None
        assert page.lines == b'{"id":2,"message":"two"}\n{"id":3,"message":"three"}\n'
        assert page.hash == await node.hash_at(EntryId(3)) == node.head.hash
        assert page.hash != await node.hash_at(EntryId(2))
        assert await node.first_since(0) == 1
        assert await node.first_since(253_402_300_799_999) == 4

    play(story)
