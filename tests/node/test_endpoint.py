"""Straight at a secondary's endpoint: what is not good is never stored or acknowledged (R5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId, NodeId
from replog.core.messages import Batches, CommitNews, Heartbeat, Refusal, RefusalKind, Welcome
from replog.replication import wire
from replog.replication.dial import dial
from tests.support.fake_master import LOG, TIME_MS, FakeMaster, batch
from tests.support.nodes import Nodes, RunningNode, until

FIRST = batch(GENESIS, "one", "two")
SECOND = batch(FIRST.head, "three")


@asynccontextmanager
async def streaming(root: Path) -> AsyncIterator[tuple[RunningNode, FakeMaster]]:
    """A secondary that holds FIRST, and the master that gave it."""
    async with Nodes(root) as nodes:
        secondary = await nodes.secondary("s1")
        async with await FakeMaster.connect(nodes.url("s1")) as master:
            assert (await master.welcome()).head == GENESIS
            await master.stream()
            await master.send(FIRST)
            await master.acknowledged(FIRST.head)
            yield secondary, master


def rotten(good: Batches, place: int) -> Batches:
    """Flip a bit of one byte."""
    payload = bytearray(good.payload)
    payload[place] ^= 1
    return replace(good, payload=bytes(payload))


HEADER = len(b'{"segment":{"format":1,"log_id":"log-of-the-test"')

BAD: dict[str, Batches] = {
    "a rotten message": rotten(SECOND, SECOND.payload.index(b"three")),
    "a rotten hash": rotten(SECOND, len(SECOND.payload) - 5),
    "a rotten id": rotten(SECOND, SECOND.payload.index(b"3")),
    "a torn end": replace(SECOND, payload=SECOND.payload[:-1]),
    "nothing": replace(SECOND, payload=b""),
    "bytes behind it": replace(SECOND, payload=SECOND.payload + b"\n"),
    "another head than it leads to": replace(SECOND, head=FIRST.head),
    "a gap": batch(SECOND.head, "four"),
    "another beginning": batch(Head(Epoch(1), EntryId(2), bytes(32)), "foreign"),
    "a segment of another log": batch(FIRST.head, "three", opens=True, log_id=LogId("other")),
    "a segment in the middle of a segment": batch(FIRST.head, "three", opens=True),
    "an older time": batch(FIRST.head, "three", time_ms=TIME_MS - 1),
    "an entry that is no JSON": replace(
        SECOND, payload=SECOND.payload.replace(b'"three"', b'"thr\xffe"')
    ),
    "another epoch's link": replace(SECOND, epoch=Epoch(2)),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_is_not_good_ends_the_link_and_is_not_stored(tmp_path: Path, bad: Batches) -> None:
    async def story() -> None:
        async with streaming(tmp_path) as (secondary, master):
            before = secondary.segments()
            await master.send(bad)
            await master.closed()
            assert secondary.segments() == before
            assert secondary.node.health().last_id == 2
            async with await FakeMaster.connect(secondary.settings.advertise_url) as again:
                assert (await again.welcome()).head == FIRST.head
                await again.stream()
                await again.send(SECOND)
                await again.acknowledged(SECOND.head)
            assert b"".join(secondary.segments().values()) == FIRST.payload + SECOND.payload

    asyncio.run(story())


@pytest.mark.parametrize(
    "frame",
    ["", "hello", '{"type":"greeting"}', b"", b"\n", b"x" * 100, '{"type":"hello"}', "[" * 10_000],
    ids=lambda frame: repr(frame[:20]),
)
def test_garbage_ends_the_link_and_nothing_else(tmp_path: Path, frame: str | bytes) -> None:
    async def story() -> None:
        async with streaming(tmp_path) as (secondary, master):
            await master.send_frame(frame)
            await master.closed()
            assert secondary.node.fatal_reason == ""
            async with await FakeMaster.connect(secondary.settings.advertise_url) as again:
                assert again.hello.log_id == LOG

    asyncio.run(story())


def test_a_duplicate_is_acknowledged_again_and_not_stored_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with streaming(tmp_path) as (secondary, master):
            await master.send(SECOND)
            await master.acknowledged(SECOND.head)
            for duplicate in (FIRST, SECOND, FIRST):
                await master.send(duplicate)
                await master.acknowledged(SECOND.head)
            assert b"".join(secondary.segments().values()) == FIRST.payload + SECOND.payload

    asyncio.run(story())


def test_other_bytes_for_a_place_that_is_taken_are_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with streaming(tmp_path) as (secondary, master):
            await master.send(batch(GENESIS, "one", "TWO"))
            await master.closed()
            assert b"".join(secondary.segments().values()) == FIRST.payload

    asyncio.run(story())


def test_batches_before_a_welcome_are_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            secondary = await nodes.secondary("s1")
            async with await FakeMaster.connect(nodes.url("s1")) as master:
                await master.send(FIRST)
                await master.closed()
            assert secondary.segments() == {}

    asyncio.run(story())


def test_bytes_of_a_dead_link_that_arrive_late_are_nobodys_news(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            streaming(tmp_path) as (secondary, old),
            await FakeMaster.connect(secondary.settings.advertise_url) as new,
        ):
            assert (await new.welcome()).head == FIRST.head
            await new.stream()
            await old.send(SECOND)
            await old.send(CommitNews(Epoch(1), EntryId(3)))
            other = batch(FIRST.head, "other three")
            await new.send(other)
            await new.acknowledged(other.head)
            assert b"".join(secondary.segments().values()) == FIRST.payload + other.payload

    asyncio.run(story())


def test_a_delayed_batch_of_an_ended_link_is_dropped(tmp_path: Path) -> None:
    async def story() -> None:
        async with streaming(tmp_path) as (secondary, old):
            secondary.node.set_delay(0.2)
            await old.send(SECOND)
            await old.send(Heartbeat(Epoch(1)))
            async with await FakeMaster.connect(secondary.settings.advertise_url) as new:
                assert (await new.welcome()).head == FIRST.head
                await new.stream()
                other = batch(FIRST.head, "other three")
                await new.send(other)
                await new.acknowledged(other.head)
                assert b"".join(secondary.segments().values()) == FIRST.payload + other.payload

    asyncio.run(story())


def test_commit_news_shows_only_what_is_durable_and_proven(tmp_path: Path) -> None:
    async def story() -> None:
        async with streaming(tmp_path) as (secondary, master):
            assert secondary.node.health().committed_id == 0
            await master.send(CommitNews(Epoch(1), EntryId(1)))
            await until(lambda: secondary.node.health().committed_id == 1, "one is shown")
            await master.send(CommitNews(Epoch(1), EntryId(99)))
            await until(lambda: secondary.node.health().committed_id == 2, "two is shown")
            assert await secondary.ids() == [1, 2]

    asyncio.run(story())


def test_a_lower_epoch_and_another_owner_of_the_same_one_are_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            async with await FakeMaster.connect(nodes.url("s1")) as master:
                await master.welcome(epoch=5)
            for epoch, node_id in ((4, NodeId("fake")), (5, NodeId("another"))):
                async with await FakeMaster.connect(nodes.url("s1")) as late:
                    assert late.hello.epoch == 5
                    welcome = Welcome(LOG, late.hello.node_id, Epoch(epoch), "http://x", ())
                    await late.send(replace(welcome, node_id=node_id))
                    refusal = await late.expect(Refusal)
                    assert refusal.kind is RefusalKind.STALE_EPOCH
                    assert refusal.epoch == 5
                    await late.closed()

    asyncio.run(story())


def test_an_epoch_is_on_disk_before_the_head_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            secondary = await nodes.secondary("s1")
            async with await FakeMaster.connect(nodes.url("s1")) as master:
                await master.welcome(epoch=7, node_id="reigning")
                stored = (secondary.directory / "node.json").read_text()
                assert '"epoch": 7' in stored
                assert '"epoch_owner": "reigning"' in stored

    asyncio.run(story())


def test_the_largest_batch_of_the_format_goes_through(tmp_path: Path) -> None:
    async def story() -> None:
        async with streaming(tmp_path) as (secondary, master):
            big = batch(FIRST.head, *("\0" * 1_000_000 for _ in range(5)))
            assert len(big.payload) > 29_000_000
            await master.send(big)
            await master.acknowledged(big.head)
            assert b"".join(secondary.segments().values()) == FIRST.payload + big.payload

    asyncio.run(story())


def test_a_master_takes_no_links_and_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.master()
            connection = await dial(nodes.url("master"))
            refusal = wire.Codec().decode(await connection.receive())
            assert isinstance(refusal, Refusal)
            assert refusal.kind is RefusalKind.NOT_A_SECONDARY

    asyncio.run(story())


def is_refused(master: RunningNode) -> bool:
    return "refused" in master.link_states()


def test_two_masters_that_name_each_other_say_so_and_live_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            first = await nodes.master(name="m1", urls=(nodes.url("m2"),))
            second = await nodes.master(name="m2", urls=(nodes.url("m1"),))
            for master in (first, second):
                await until(partial(is_refused, master), "refused")
                await master.ready()
                await master.stored("alone", w=1)

    asyncio.run(story())
