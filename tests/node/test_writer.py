"""What changes the disk: who writes, and what happens where there is no space (Failing)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from replog.core.effects import CutLog, Persist, StoreLossSettled, StoreMembers
from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId
from replog.core.events import (
    CutDone,
    CutRefused,
    DamageFound,
    Event,
    Persisted,
    PersistFailed,
    PersistRefused,
    StoreDelayed,
    Written,
)
from replog.node.directory import DataDirectory, open_directory
from replog.node.views import Role
from replog.node.writer import WRITTEN_AT_ONCE_BYTES, Writer
from tests.support.faulty_disk import FaultyFilesystem
from tests.support.nodes import until


class Bench:
    """A writer on a log of three batches, and what it told."""

    def __init__(self, path: Path) -> None:
        self.disk = FaultyFilesystem()
        self.directory: DataDirectory = open_directory(
            self.disk, str(path), role=Role.MASTER, take_over=False
        )
        self.directory.store(log_id=LogId("log"), is_loss_unsettled=True)
        log = self.directory.log
        log.set_log_id(LogId("log"))
        self.heads: list[Head] = []
        for number in range(1, 4):
            log.append((b'"%d"' % number,), epoch=Epoch(1), committed_id=EntryId(0), time_ms=1)
            self.heads.append(log.sync())
        self.events: list[Event] = []
        self.failures: list[str] = []
        self.writer = Writer(
            self.directory,
            post=lambda *events: self.events.extend(events),
            rejected=self.failures.append,
            failed=self.failures.append,
        )


def persist(number: int, size: int = 1) -> Persist:
    message = b'"%b"' % (b"x" * size)
    return Persist(EntryId(number), (message,), Epoch(1), EntryId(number - 1))


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def test_a_small_append_that_nothing_stands_before_is_written_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        for number in (4, 5):
            bench.events.clear()
            bench.writer.submit(persist(number))
            assert kinds(bench.events) == [Written]
            await until(lambda: kinds(bench.events) == [Written, Persisted], "it is synced")
        assert await bench.writer.finish(lambda: None, within_s=5.0)
        assert bench.directory.log.durable.last_id == 5

    asyncio.run(story())


def test_an_append_behind_another_job_or_a_large_one_is_the_threads(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.writer.submit(persist(4, WRITTEN_AT_ONCE_BYTES))
        bench.writer.submit(persist(5))
        assert bench.events == []
        stored = [Written, Persisted, Written, Persisted]
        await until(lambda: kinds(bench.events) == stored, "both are stored")
        assert await bench.writer.finish(lambda: None, within_s=5.0)
        assert bench.directory.log.durable.last_id == 5

    asyncio.run(story())


def test_many_short_entries_are_the_threads_though_they_have_few_bytes(tmp_path: Path) -> None:
    """An entry of one byte costs what a longer one does: 0.4 ms for a thousand of them."""

    async def story() -> None:
        bench = Bench(tmp_path)
        messages = (b'""',) * 10_000
        bench.writer.submit(Persist(EntryId(4), messages, Epoch(1), EntryId(3)))
        assert bench.events == []
        await until(lambda: kinds(bench.events) == [Written, Persisted], "they are stored")
        assert await bench.writer.finish(lambda: None, within_s=5.0)

    asyncio.run(story())


def test_while_syncs_are_slow_the_event_loop_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        monkeypatch.setattr("replog.node.writer.QUICK_SYNC_S", 0.0)
        bench.writer.submit(persist(4))
        await until(lambda: kinds(bench.events) == [Written, Persisted], "a slow sync")
        monkeypatch.undo()
        bench.events.clear()
        bench.writer.submit(persist(5))
        assert bench.events == []
        await until(lambda: kinds(bench.events) == [Written, Persisted], "a quick one")
        bench.events.clear()
        bench.writer.submit(persist(6))
        assert kinds(bench.events) == [Written]
        assert await bench.writer.finish(lambda: None, within_s=5.0)

    asyncio.run(story())


def test_a_write_at_once_that_finds_no_space_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        before = bench.directory.log.head
        bench.disk.is_full = True
        bench.writer.submit(persist(4))
        assert kinds(bench.events) == [PersistRefused]
        bench.disk.is_full = False
        bench.events.clear()
        bench.writer.submit(persist(4))
        assert bench.events == []  # the thread tries whether the disk is well
        await until(lambda: kinds(bench.events) == [Written, Persisted], "there is space")
        assert await bench.writer.finish(lambda: None, within_s=5.0)
        assert bench.directory.log.head.last_id == before.last_id + 1
        assert not bench.failures

    asyncio.run(story())


def test_a_write_at_once_that_cannot_be_taken_back_ends_the_node(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.disk.is_full = bench.disk.fails_syncs = True
        bench.writer.submit(persist(4))
        assert kinds(bench.events) == [PersistFailed]
        await until(lambda: len(bench.failures) == 1, "the writer has ended")
        bench.writer.submit(persist(4))
        assert await bench.writer.finish(lambda: None, within_s=5.0)
        assert kinds(bench.events)[:1] == [PersistFailed]

    asyncio.run(story())


def test_a_cut_waits_for_space_and_is_made_then(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.disk.refuses = ("quarantine/",)
        bench.writer.submit(CutLog(bench.heads[0]))
        await until(lambda: bench.disk.refused >= 2, "it is tried again")
        assert bench.directory.log.head == bench.heads[2]
        await until(lambda: len(bench.events) >= 2, "it is told each time")
        assert set(kinds(bench.events)) == {StoreDelayed}
        bench.disk.refuses = ()
        await until(lambda: bench.events[-1] == CutDone(bench.heads[0]), "there is space")
        assert await bench.writer.finish(lambda: None, within_s=5.0)
        assert not bench.failures

    asyncio.run(story())


def test_a_cut_to_what_turned_out_to_be_damaged_is_refused_and_the_node_goes_on(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        log = bench.directory.log
        [path] = (tmp_path / "segments").iterdir()
        data = bytearray(path.read_bytes())
        data[data.index(b'"2"')] ^= 1
        path.write_bytes(data)
        assert log.scrub_next()
        bench.writer.submit(CutLog(bench.heads[1]))
        expected = [*map(DamageFound, log.damage), CutRefused()]
        await until(lambda: bench.events == expected, "the cut is refused")
        assert await bench.writer.finish(lambda: None, within_s=5.0)
        assert not bench.failures
        assert log.head == bench.heads[0]

    asyncio.run(story())


def test_a_stop_gives_up_a_change_that_waits_for_space(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.disk.refuses = ("quarantine/",)
        bench.writer.submit(CutLog(GENESIS))
        await until(lambda: bench.disk.refused >= 1, "there is none")
        assert await bench.writer.finish(lambda: None, within_s=0.5)
        assert not bench.failures
        assert bench.directory.log.head == bench.heads[2]

    asyncio.run(story())


def test_appends_do_not_wait_for_a_note_that_finds_no_space(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.disk.refuses = ("node.json",)
        bench.writer.submit(StoreLossSettled())
        bench.writer.submit(StoreMembers(("http://old",)))
        bench.writer.submit(Persist(EntryId(4), (b'"4"',), Epoch(1), EntryId(3)))
        await until(lambda: any(isinstance(e, Persisted) for e in bench.events), "it is stored")
        bench.writer.submit(StoreMembers(("http://new",)))
        await until(lambda: bench.disk.refused >= 3, "the notes are not")
        bench.disk.refuses = ()
        await until(lambda: not bench.directory.state.is_loss_unsettled, "there is space")
        await until(lambda: bench.directory.state.members == ("http://new",), "the newest counts")
        bench.events.clear()
        bench.writer.submit(persist(5))
        assert kinds(bench.events) == [Written], "jobs that were tried again count as often"
        await until(lambda: kinds(bench.events) == [Written, Persisted], "it is stored")
        assert await bench.writer.finish(lambda: None, within_s=5.0)
        assert bench.directory.state.members == ("http://new",)
        assert not bench.failures

    asyncio.run(story())
