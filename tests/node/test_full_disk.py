"""Disks without space: refused honestly, said once, and gone on with by itself (Failing)."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from replog.core.effects import RefusalReason, Refused
from replog.core.errors import StorageError
from replog.node.directory import open_directory
from replog.node.views import Role
from tests.support.faulty_disk import FaultyFilesystem
from tests.support.nodes import Nodes, until


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_client_is_told_what_the_disk_did_and_not_that_it_must_be_full(
    tmp_path: Path, error: int
) -> None:
    async def story() -> None:
        disk = FaultyFilesystem()
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master(filesystem=disk)
            await master.stored("one")
            disk.is_full, disk.write_error = True, error
            outcome = await master.append("two")
            assert isinstance(outcome, Refused)
            assert os.strerror(error) in outcome.detail
            assert "full" not in outcome.detail
            disk.is_full = False
            await master.ready()

    asyncio.run(story())


def test_a_full_disk_refuses_appends_serves_reads_and_resumes_by_itself(tmp_path: Path) -> None:
    async def story() -> None:
        disk = FaultyFilesystem()
        async with Nodes(tmp_path) as nodes:
            s1 = await nodes.secondary("s1")
            master = await nodes.master("s1", filesystem=disk)
            await master.stored("one")
            before = master.segments()
            disk.is_full = True
            outcome = await master.append("two")
            assert isinstance(outcome, Refused)
            assert outcome.reason is RefusalReason.DISK_FULL
            assert await master.ids() == await s1.ids() == [1]
            assert master.segments() == before
            assert master.node.readiness()
            disk.is_full = False
            await master.ready()
            assert (await master.stored("two")).first_id == 2

    asyncio.run(story())


def test_a_secondary_with_a_full_disk_gets_everything_when_there_is_space(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        disk = FaultyFilesystem()
        async with Nodes(tmp_path) as nodes:
            s1 = await nodes.secondary("s1", filesystem=disk)
            master = await nodes.master("s1")
            await master.stored("one")
            disk.is_full = True
            waiting = asyncio.ensure_future(master.stored("two"))
            await until(lambda: master.node.health().last_id == 2, "the master has it")
            assert await s1.ids() == [1]
            disk.is_full = False
            assert (await waiting).acks == 2
            assert s1.segments() == master.segments()

    asyncio.run(story())


def test_a_full_disk_keeps_no_epoch_and_ends_no_node(tmp_path: Path) -> None:
    async def story() -> None:
        disk = FaultyFilesystem()
        async with Nodes(tmp_path) as nodes:
            s1 = await nodes.secondary("s1", filesystem=disk)
            master = await nodes.master("s1")
            await master.stored("one")
            await nodes.stop("master")
            disk.refuses = ("node.json",)
            master = await nodes.master("s1")
            await until(lambda: disk.refused >= 2, "it is tried again")
            assert await s1.ids() == [1]
            assert not s1.node.fatal.is_set()
            assert not any("new" in path.name for path in s1.directory.iterdir())
            disk.refuses = ()
            await master.linked()
            assert (await master.stored("two")).acks == 2

    asyncio.run(story())


def test_a_master_that_cannot_store_its_epoch_says_so_to_who_appends_and_goes_on_by_itself(
    tmp_path: Path,
) -> None:
    """Until it has an epoch it stores nothing: nobody waits for that, whatever the timeout."""

    async def story() -> None:
        disk = FaultyFilesystem()
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master(filesystem=disk)
            await master.stored("one")
            await nodes.stop("master")
            disk.refuses = ("node.json",)
            master = await nodes.master(filesystem=disk)
            async with asyncio.timeout(5.0):
                outcomes = [await master.append("two")]
                outcomes.append(await master.node.append((b'"two"',), keys=("k",)))
            reasons = [RefusalReason.DISK_FULL, RefusalReason.NOT_READY]
            for outcome, reason in zip(outcomes, reasons, strict=True):
                assert isinstance(outcome, Refused)
                assert outcome.reason is reason
                assert "epoch was not stored" in outcome.detail
                assert os.strerror(errno.ENOSPC) in outcome.detail
            assert await master.ids() == [1]
            assert master.node.health().status == "disk-full"
            assert "epoch was not stored" in master.node.readiness()[0]
            disk.refuses = ()
            await master.ready()
            assert (await master.stored("two")).first_id == 2

    asyncio.run(story())


def test_a_node_that_begins_on_a_full_disk_ends_with_a_line_that_says_so(tmp_path: Path) -> None:
    disk = FaultyFilesystem()
    disk.refuses = ("node.json",)
    with pytest.raises(
        StorageError, match=r"node.json cannot be written: .*No space left.*; free some"
    ):
        open_directory(disk, str(tmp_path / "new"), role=Role.MASTER, take_over=False)
    disk.refuses = ()
    open_directory(disk, str(tmp_path / "new"), role=Role.MASTER, take_over=False).close()


def test_a_stop_does_not_wait_for_space(tmp_path: Path) -> None:
    async def story() -> None:
        disk = FaultyFilesystem()
        async with Nodes(tmp_path) as nodes:
            s1 = await nodes.secondary("s1", filesystem=disk)
            disk.refuses = ("node.json",)
            await nodes.master("s1")
            await until(lambda: disk.refused >= 1, "there is no space")
            async with asyncio.timeout(5.0):
                await nodes.stop("s1")
            assert not s1.node.fatal.is_set()

    asyncio.run(story())
