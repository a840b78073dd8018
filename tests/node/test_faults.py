"""Disks that fail, rot or vanish: honest answers, one line, and the way back."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from replog.core.effects import AppendOutcome, Effect, Pending, RefusalReason, Refused, Stored
from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError, SyncFailedError
from replog.core.events import AppendRequested, Event
from replog.core.master import Master
from replog.node.clients import NodeFailedError
from replog.node.serving import ReadInterruptedError
from replog.node.views import Freshness
from replog.storage.batch import encode_message
from replog.storage.log import Log
from tests.support.faulty_disk import FaultyFilesystem
from tests.support.nodes import Nodes, RunningNode, until
from tests.support.waiting import DEADLINE_S


def first_damaged(node: RunningNode) -> int:
    """Return the first damaged entry that a node knows of; 0 for none."""
    return next((found.first_id for found in node.node.health().damage), 0)


def rot(node: RunningNode, text: bytes) -> None:
    """Flip a bit of `text` in a segment of a node that does not run."""
    for path in (node.directory / "segments").iterdir():
        data = bytearray(path.read_bytes())
        place = data.find(text)
        if place >= 0:
            data[place] ^= 1
            path.write_bytes(data)
            return
    raise AssertionError(f"no segment holds {text!r}")


def test_a_failed_sync_is_answered_honestly_said_once_and_never_retried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        disk = FaultyFilesystem()
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            master = await nodes.master("s1", filesystem=disk)
            await master.stored("one")
            disk.fails_syncs = True
            outcomes = await asyncio.gather(*(master.append(f"{n}", w=1) for n in range(5)))
            for outcome in outcomes:
                assert not isinstance(outcome, Refused) or outcome.reason is RefusalReason.STOPPING
            assert isinstance(outcomes[0], Pending), "it may be stored, so it is not refused"
            assert outcomes[0].is_unknown
            assert outcomes[0].first_id == 2
            await asyncio.wait_for(master.node.fatal.wait(), 30)
            assert disk.failed_syncs == 1
            assert master.node.stopping.is_set()
            assert master.node.readiness()
            await nodes.stop("master")
            fatal = [line for line in caplog.records if line.levelno == logging.CRITICAL]
            assert len(fatal) == 1
            disk.fails_syncs = False
            again = await nodes.master("s1", filesystem=disk)
            await again.stored("after")
            ids = await again.ids()
            assert ids == list(range(1, len(ids) + 1))

    asyncio.run(story())


def test_what_cannot_be_noted_as_committed_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R7: after the next start it might not be shown any more (simulator seed 299514)."""
    note = Log.note_commit

    def refuse(log: Log, committed_id: EntryId) -> None:
        if committed_id >= 2:
            raise SyncFailedError("planted by the test")
        note(log, committed_id)

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master("s1")
            await master.stored("one", w=1)
            monkeypatch.setattr(Log, "note_commit", refuse)
            assert (await master.stored("two", w=1)).first_id == 2, "it is durable"
            assert master.node.fatal.is_set()
            assert master.node.feed.shown_id == 1
            with pytest.raises(NodeFailedError):
                await asyncio.wait_for(master.node.read_point(), DEADLINE_S)

    asyncio.run(story())


def test_after_a_defect_in_the_core_whoever_waits_is_told_that_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take, rotten = Master.step, encode_message("the defect")

    def step(core: Master, event: Event) -> list[Effect]:
        if isinstance(event, AppendRequested) and rotten in event.messages:
            raise AssertionError("planted by the test")
        return take(core, event)

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master("s1")
            await master.stored("one", w=1)
            waiting = [
                asyncio.ensure_future(each)
                for each in (
                    master.append("two", w="all"),
                    master.node.receipt(EntryId(1), concern="all", timeout_s=None),
                    master.node.read_point(Freshness(min_id=EntryId(9))),
                )
            ]
            await until(lambda: master.node.health().last_id == 2, "it is stored")
            monkeypatch.setattr(Master, "step", step)
            with pytest.raises(NodeFailedError):
                await master.append("the defect")
            assert master.node.fatal.is_set()
            for each in waiting:
                with pytest.raises(NodeFailedError, match="defect"):
                    await asyncio.wait_for(each, DEADLINE_S)
            late = await asyncio.wait_for(master.append("three"), DEADLINE_S)
            assert isinstance(late, Refused), "it reaches no core: it is not stored"
            assert late.reason is RefusalReason.STOPPING
            with pytest.raises(NodeFailedError):
                await asyncio.wait_for(master.node.read_point(), DEADLINE_S)

    asyncio.run(story())
    gc.collect()
    assert "planted by the test" in caplog.text, "its traceback is said"
    assert "never retrieved" not in caplog.text


def test_a_rotten_secondary_is_repaired_by_its_master(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            s1 = await nodes.secondary("s1")
            master = await nodes.master("s1")
            await master.stored("the first")
            await master.stored("the second")
            await master.stored("the third")
            await nodes.stop("s1")
            rot(s1, b"the second")
            s1 = await nodes.secondary("s1")
            await master.stored("the fourth")
            await until(lambda: not s1.node.health().damage, "it is repaired")
            assert s1.segments() == master.segments()

    asyncio.run(story())


def test_a_rotten_master_takes_no_append_until_it_is_repaired(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            s1 = await nodes.secondary("s1")
            master = await nodes.master("s1")
            await master.stored("the first")
            await master.stored("the second")
            await master.stored("the third")
            await nodes.stop("master")
            await nodes.stop("s1")
            rot(master, b"the second")
            master = await nodes.master("s1")
            assert master.node.health().status == "damaged"
            outcome = await master.append("no", w=1)
            assert isinstance(outcome, Refused)
            assert outcome.reason is RefusalReason.DAMAGED
            assert await master.ids() == [1]
            s1 = await nodes.secondary("s1")
            await master.ready()
            assert (await master.stored("the fourth")).first_id == 4
            assert s1.segments() == master.segments()

    asyncio.run(story())


def test_damage_that_a_repair_brings_to_light_is_said_and_stops_the_master(
    tmp_path: Path,
) -> None:
    """A tail is judged once nothing is missing before it: it may have been acknowledged."""

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            master = await nodes.master("s1")
            for text in ("one", "second", "three", "four"):
                await master.stored(text)
            await nodes.stop("master")
            marks = (master.directory / "marks").read_bytes()
            await nodes.stop("s1")
            master = await nodes.master("s1")
            await master.stored("five", w=1)
            await master.stored("sixth", w=1)
            await nodes.stop("master")
            (master.directory / "marks").write_bytes(marks)
            rot(master, b"second")
            rot(master, b"sixth")
            master = await nodes.master("s1")
            assert first_damaged(master) == 2
            await nodes.secondary("s1")
            await until(lambda: first_damaged(master) == 6, "the first range is repaired")
            outcome = await master.append("no", w=1)
            assert isinstance(outcome, Refused)
            assert outcome.reason is RefusalReason.DAMAGED
            point = await master.node.read_point(Freshness(is_linearizable=True, timeout_s=0.1))
            assert not point.is_met

    asyncio.run(story())


def test_rot_found_while_reading_breaks_the_read_off_and_is_repaired(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            s1 = await nodes.secondary("s1")
            master = await nodes.master("s1")
            for number in range(20):  # two segments: the first is sealed, and read later
                await master.stored(*(f"{number} {'x' * 1000}" for _ in range(1000)))
            await nodes.stop("s1")
            await nodes.stop("master")
            rot(master, b'"5 xxx')
            master = await nodes.master("s1")
            await master.ready()
            with pytest.raises(DamagedLogError, match="5001"):
                await master.read()
            assert master.node.health().damage
            s1 = await nodes.secondary("s1")
            await master.ready()
            assert await master.ids() == list(range(1, 20_001))
            assert s1.segments() == master.segments()

    asyncio.run(story())


def test_rot_found_while_a_secondary_catches_up_is_repaired_from_another_one(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            master = await nodes.master("s1", "s2")
            for number in range(20):
                await master.stored(*(f"{number} {'x' * 1000}" for _ in range(1000)), w=2)
            await nodes.stop("s1")
            await nodes.stop("master")
            rot(master, b'"5 xxx')
            master = await nodes.master("s1", "s2")
            await master.ready()
            s2 = await nodes.secondary("s2")
            await until(lambda: bool(master.node.health().damage), "found on the way out")
            s1 = await nodes.secondary("s1")
            await master.ready()
            await master.stored("after")
            assert s2.segments() == s1.segments() == master.segments()

    asyncio.run(story())


def test_a_read_in_the_middle_is_broken_off_by_a_stop(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master()
            await master.ready()
            for _ in range(5):
                await master.stored(*("x" * 1000 for _ in range(1000)))
            chunks = master.node.entries(EntryId(1), EntryId(5000))
            assert await anext(chunks)
            master.node.request_stop()
            with pytest.raises(ReadInterruptedError):
                await anext(chunks)

    asyncio.run(story())


def test_the_durable_mark_follows_while_the_log_moves(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master()
            await master.stored("one")
            await master.stored("two")
            await until(noted(master, 2), "noted without a stop")

    asyncio.run(story())


def noted(node: RunningNode, last_id: int) -> Callable[[], bool]:
    text = f'"id":{last_id},"epoch"'.encode()
    return lambda: text in (node.directory / "marks").read_bytes()


def test_a_run_beyond_the_formats_limit_is_refused_and_the_node_lives_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            master = await nodes.master("s1")
            await master.stored("one")
            outcome = await master.append(*("\0" * 3_000_000 for _ in range(2)), w=1)
            assert isinstance(outcome, Refused)
            assert outcome.reason is RefusalReason.TOO_LARGE
            await master.ready()
            assert (await master.stored("two")).first_id == 2
            assert master.node.fatal_reason == ""

    asyncio.run(story())


def test_a_secondary_that_was_restarted_alone_still_names_its_master(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            master = await nodes.master("s1")
            await master.stored("one")
            await nodes.stop("master")
            await nodes.stop("s1")
            s1 = await nodes.secondary("s1")
            assert s1.node.master_url == nodes.url("master")

    asyncio.run(story())


@pytest.mark.parametrize("is_loaded", [False, True], ids=["unread", "read before"])
def test_a_key_that_cannot_be_looked_for_is_refused_and_ends_no_master(
    tmp_path: Path, *, is_loaded: bool
) -> None:
    """A process that has too many files open opens no segment; that says nothing of the log."""

    async def story() -> None:
        disk = FaultyFilesystem()
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master(filesystem=disk)
            await master.stored("one")

            async def keyed() -> AppendOutcome:
                return await master.node.append((encode_message("two"),), keys=("k",))

            if is_loaded:
                assert isinstance(await keyed(), Stored)
            disk.opens_none = True
            for _ in range(2):
                outcome = await asyncio.wait_for(keyed(), DEADLINE_S)
                assert isinstance(outcome, Refused)
                assert os.strerror(errno.EMFILE) in outcome.detail
            await master.stored("without a key")
            disk.opens_none = False
            outcome = await asyncio.wait_for(keyed(), DEADLINE_S)
            assert isinstance(outcome, Stored)
            assert outcome.is_replayed == is_loaded
            assert not master.node.fatal.is_set()

    asyncio.run(story())
