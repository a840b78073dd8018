"""The thread that changes the disk: what it does where there is no space (Failing)."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

from replog.core.effects import CutLog, Persist, StoreLossSettled, StoreMembers
from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId
from replog.core.events import CutDone, Event, Persisted
from replog.node.directory import DataDirectory, open_directory
from replog.node.views import Role
from replog.node.writer import Writer
from replog.storage.filesystem import PosixFile, PosixFilesystem
from tests.support.nodes import until


class NoRoom(PosixFilesystem):
    """There is no space for new files whose path holds `part`."""

    part = ""
    refused = 0

    def open(self, path: str, *, writable: bool, create: bool = False) -> PosixFile:
        if create and self.part and self.part in path:
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return super().open(path, writable=writable, create=create)


class Bench:
    """A writer on a log of three batches, and what it told."""

    def __init__(self, path: Path) -> None:
        self.disk = NoRoom()
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


def test_a_cut_waits_for_space_and_is_made_then(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.disk.part = "quarantine/"
        bench.writer.submit(CutLog(bench.heads[0]))
        await until(lambda: bench.disk.refused >= 2, "it is tried again")
        assert bench.directory.log.head == bench.heads[2]
        assert not bench.events
        bench.disk.part = ""
        await until(lambda: bench.events == [CutDone(bench.heads[0])], "there is space")
        assert await bench.writer.finish(lambda: None, within_s=5.0)
        assert not bench.failures

    asyncio.run(story())


def test_a_stop_gives_up_a_change_that_waits_for_space(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.disk.part = "quarantine/"
        bench.writer.submit(CutLog(GENESIS))
        await until(lambda: bench.disk.refused >= 1, "there is none")
        assert await bench.writer.finish(lambda: None, within_s=0.5)
        assert not bench.failures
        assert bench.directory.log.head == bench.heads[2]

    asyncio.run(story())


def test_appends_do_not_wait_for_a_note_that_finds_no_space(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.disk.part = "node.json"
        bench.writer.submit(StoreLossSettled())
        bench.writer.submit(StoreMembers(("http://old",)))
        bench.writer.submit(Persist(EntryId(4), (b'"4"',), Epoch(1), EntryId(3)))
        await until(lambda: any(isinstance(e, Persisted) for e in bench.events), "it is stored")
        bench.writer.submit(StoreMembers(("http://new",)))
        await until(lambda: bench.disk.refused >= 3, "the notes are not")
        bench.disk.part = ""
        await until(lambda: not bench.directory.state.is_loss_unsettled, "there is space")
        await until(lambda: bench.directory.state.members == ("http://new",), "the newest counts")
        assert await bench.writer.finish(lambda: None, within_s=5.0)
        assert bench.directory.state.members == ("http://new",)
        assert not bench.failures

    asyncio.run(story())
