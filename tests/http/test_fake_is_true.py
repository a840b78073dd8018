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
from replog.core.effects import AppendOutcome, Pending, RefusalReason, Refused, Stored
from replog.core.entry import EntryId
from replog.core.write_concern import WriteConcern
from replog.http.acks_routes import receipt_body
from replog.http.cluster_routes import health_members
from replog.http.facade import ServedNode
from replog.http.schemas import SCHEMAS
from replog.node.node import start_node
from replog.node.views import Receipt, Role
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


def test_a_begun_append_is_answered_later_or_given_up(play: Callable[[Story], None]) -> None:
    async def story(node: ServedNode, stop: Callable[[], None]) -> None:
        outcomes: list[AppendOutcome | None] = []
        hello = (encode_message("hello"),)
        node.begin_append(hello, concern=1, timeout_s=None, answered=outcomes.append)
        assert outcomes == []
        while not outcomes:  # noqa: ASYNC110 - a callback has no event
            await asyncio.sleep(0)
        assert outcomes == [Stored(EntryId(1), EntryId(1), 1, 3)]
        waiting = node.begin_append(hello, concern=3, timeout_s=None, answered=outcomes.append)
        while (await node.read_point()).committed_id < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        node.abandon(waiting)
        stop()
        assert isinstance(await node.append(hello, concern=1, timeout_s=None), Refused | Stored)
        assert len(outcomes) == 1

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
        assert node.read_point_now() == await node.read_point()
        page = node.page_at_hand(EntryId(2), EntryId(3))
        assert page is not None
        assert page.lines == b'{"id":2,"message":"two"}\n{"id":3,"message":"three"}\n'
        assert page.hash == await node.hash_at(EntryId(3)) == node.head.hash
        assert page.hash != await node.hash_at(EntryId(2))
        assert await node.first_since(0) == 1
        assert await node.first_since(253_402_300_799_999) == 4

    play(story)


def test_a_key_stores_once_and_each_retry_waits_for_its_own_w(
    play: Callable[[Story], None],
) -> None:
    async def story(node: ServedNode, stop: Callable[[], None]) -> None:
        del stop
        three = tuple(map(encode_message, "abc"))
        for number, (messages, keys) in enumerate(
            [(three[:1], ("one",)), (three, ("all", None, "all")), (three, (None, "b", "c"))]
        ):
            first = EntryId([1, 2, 5][number])
            last = EntryId(first + len(messages) - 1)
            for is_replayed in (False, True, True):
                outcome = await node.append(messages, concern=1, timeout_s=None, keys=keys)
                assert outcome == Stored(first, last, 1, 3, is_replayed)
            outcome = await node.append(messages, concern="all", timeout_s=0.0, keys=keys)
            assert outcome == Pending(first, last, 3, URLS[:1], is_replayed=True)
        assert (await node.read_point()).committed_id == 7

    play(story)


def test_a_key_for_something_else_is_refused_with_the_id_that_has_it(
    play: Callable[[Story], None],
) -> None:
    async def story(node: ServedNode, stop: Callable[[], None]) -> None:
        del stop
        a, b, c = map(encode_message, "abc")
        for messages, keys in [((a,), ("k",)), ((a, b), ("l", "l")), ((a, b), ("m", None))]:
            await node.append(messages, concern=1, timeout_s=None, keys=keys)
        for messages, keys, entry_id in [
            ((b,), ("k",), 1),
            ((a, b), ("k", "k"), 1),
            ((a,), ("l",), 2),
            ((a, c), ("l", "l"), 2),
            ((a, b, b), ("l", None, "l"), 2),
            ((b, b), ("m", None), 4),
            ((c, a), ("new", "k"), 1),
            ((a, a), ("m", "k"), 1),
        ]:
            refused = await node.append(messages, concern=1, timeout_s=None, keys=keys)
            assert isinstance(refused, Refused), (messages, keys)
            assert (refused.reason, refused.id) == (RefusalReason.KEY_REUSED, entry_id)
        assert (await node.read_point()).committed_id == 5

    play(story)


def test_an_append_behind_another_entry_than_the_last_is_refused_with_that(
    play: Callable[[Story], None],
) -> None:
    async def story(node: ServedNode, stop: Callable[[], None]) -> None:
        del stop
        two = tuple(map(encode_message, "ab"))
        for expect, outcome in [(1, 0), (0, Stored(EntryId(1), EntryId(2), 1, 3)), (0, 2), (3, 2)]:
            answer = await node.append(two, concern=1, timeout_s=None, expect=EntryId(expect))
            if isinstance(answer, Refused):
                assert (answer.reason, answer.last_id) == (
                    RefusalReason.PRECONDITION_FAILED,
                    outcome,
                )
            else:
                assert answer == outcome
        for is_replayed in (False, True):  # the key decides before the condition does
            answer = await node.append(
                two, concern=1, timeout_s=None, keys=("k", "k"), expect=EntryId(2)
            )
            assert answer == Stored(EntryId(3), EntryId(4), 1, 3, is_replayed)

    play(story)


def test_a_receipt_says_who_holds_an_entry(play: Callable[[Story], None]) -> None:
    async def story(node: ServedNode, stop: Callable[[], None]) -> None:
        for text in "ab":
            await node.append((encode_message(text),), concern=1, timeout_s=None)
        receipt = await node.receipt(EntryId(1), concern=1, timeout_s=0.0)
        assert isinstance(receipt, Receipt)
        assert (receipt.id, receipt.required, receipt.is_met) == (1, 1, True)
        [holder] = receipt.holders
        assert (holder.url, holder.last_id) == (URLS[0], 2)
        assert holder.hash == node.head.hash.hex()
        faults_found = faults(
            json.loads(receipt_body(receipt)), {"$ref": "#/components/schemas/Receipt"}, SCHEMAS
        )
        assert faults_found == []
        assert holder.since is not None
        concerns: list[tuple[WriteConcern | None, int]] = [("majority", 2), ("all", 3), (None, 3)]
        for concern, required in concerns:
            unmet = await node.receipt(EntryId(2), concern=concern, timeout_s=0.01)
            assert isinstance(unmet, Receipt)
            assert (unmet.required, unmet.is_met, len(unmet.holders)) == (required, False, 1)
        for entry_id, concern, reason in (
            (3, 1, RefusalReason.UNKNOWN_ID),
            (1, 4, RefusalReason.BAD_WRITE_CONCERN),
        ):
            refused = await node.receipt(EntryId(entry_id), concern=concern, timeout_s=None)
            assert isinstance(refused, Refused)
            assert refused.reason is reason
        waiting = asyncio.ensure_future(node.receipt(EntryId(1), concern=3, timeout_s=None))
        await asyncio.sleep(0)
        assert not waiting.done()
        stop()
        stopped = await waiting
        assert isinstance(stopped, Receipt)
        assert not stopped.is_met

    play(story)
