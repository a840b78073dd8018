"""Whose a data directory is: one process, one role, one log (R8, R9)."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
from pathlib import Path
from random import Random

import pytest

from replog.core.effects import RefusalReason, Refused
from replog.core.entry import Epoch, NodeId
from replog.core.errors import (
    ConfigurationError,
    DirectoryLockedError,
    StorageError,
    SyncFailedError,
)
from replog.node.directory import open_directory
from replog.node.restore import RestoreError, RestoreProgress, restore
from replog.node.views import Role
from tests.simulator.disk import SimFilesystem
from tests.support.faulty_disk import FaultyFilesystem
from tests.support.nodes import Nodes, until


def test_a_second_node_on_one_directory_is_told_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.master()
            (tmp_path / "other").symlink_to(tmp_path / "master")
            with pytest.raises(DirectoryLockedError, match="stop it first"):
                await nodes.master(name="other")

    asyncio.run(story())


def test_a_master_that_names_fewer_secondaries_than_before_is_warned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that is written anew without its secondaries would go on, on one disk."""

    async def warnings(nodes: Nodes, *secondaries: str) -> list[str]:
        caplog.clear()
        master = await nodes.master(*secondaries)
        await master.stored("here")
        await nodes.stop("master")
        said = [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING]
        return [line for line in said if "kept on" in line]

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            urls = [nodes.url(name) for name in ("master", "s1", "s2")]
            for name in ("s1", "s2"):
                await nodes.secondary(name)
            assert await warnings(nodes, "s1", "s2") == []
            assert await warnings(nodes, "s2", "s1") == []
            [said] = await warnings(nodes, "s1")
            assert f"on 3 nodes ({', '.join([urls[0], urls[2], urls[1]])})" in said
            assert "and is on 2 from now on" in said
            assert await warnings(nodes, "s1") == []  # it was the last one that was noted
            [said] = await warnings(nodes)
            assert f"on 2 nodes ({urls[0]}, {urls[1]}) and is on 1 from now on" in said

    asyncio.run(story())


def test_a_secondarys_directory_becomes_a_masters_only_by_take_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            await nodes.secondary("s2")
            master = await nodes.master("s1", "s2")
            await master.stored("one")
            await nodes.stop("master")
            await nodes.stop("s1")
            with pytest.raises(ConfigurationError, match="--take-over"):
                await nodes.master("s2", name="s1")
            new = await nodes.master("s2", name="s1", take_over=True)
            assert (await new.stored("two")).first_id == 2
            old = await nodes.master("s2")
            await until(lambda: old.node.health().status == "superseded", "the old one knows")
            await new.stored("three")

    asyncio.run(story())


def test_an_epoch_whose_sync_failed_is_kept_by_the_next_start() -> None:
    """What a start reads may be in the page cache alone, and must not be forgotten again."""
    disk = SimFilesystem(Random(0))
    directory = open_directory(disk, "data", role=Role.SECONDARY, take_over=False)
    store_file = disk.rename

    def rename(source: str, target: str) -> None:
        store_file(source, target)
        disk.syncs_to_fail = 1

    disk.rename = rename  # type: ignore[method-assign]
    with pytest.raises(SyncFailedError):
        directory.store(epoch=Epoch(7), epoch_owner=NodeId("m"))
    disk.rename = store_file  # type: ignore[method-assign]
    for _ in range(2):
        disk.end_process()
        directory = open_directory(disk, "data", role=Role.SECONDARY, take_over=False)
        assert directory.state.epoch == 7
        disk.keeps_unsynced = 0.0
        disk.lose_power()


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_node_whose_identity_cannot_be_written_says_so(tmp_path: Path, error: int) -> None:
    disk = FaultyFilesystem()
    disk.refuses, disk.refusal = ("node.json",), error

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            expected = rf"node\.json cannot be written: .*{os.strerror(error)}"
            with pytest.raises(StorageError, match=expected):
                await nodes.master(filesystem=disk)
            disk.refuses = ()
            await (await nodes.master(filesystem=disk)).stored("one")

    asyncio.run(story())


def test_segments_without_their_node_json_are_not_started(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master()
            await master.stored("one")
            await nodes.stop("master")
            (master.directory / "node.json").unlink()
            with pytest.raises(StorageError, match=r"node\.json"):
                await nodes.master()

    asyncio.run(story())


def test_an_unwritable_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def story() -> None:
        async with Nodes(tmp_path / "file") as nodes:
            with pytest.raises(StorageError, match="cannot be used"):
                await nodes.master()

    asyncio.run(story())


def test_a_master_with_an_emptied_directory_does_not_begin_anew_but_is_restored(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            await nodes.secondary("s2")
            master = await nodes.master("s1", "s2")
            await master.stored(*(f"{n}" for n in range(1000)))
            await master.stored("the last")
            await nodes.stop("s2")
            await nodes.stop("master")
            shutil.rmtree(master.directory)
            empty = await nodes.master("s1", "s2")
            outcome = await empty.append("no")
            assert isinstance(outcome, Refused)
            assert outcome.reason is RefusalReason.LOG_FOUND_ELSEWHERE
            assert "replog restore" in outcome.detail
            assert empty.node.health().log_id is None, "it has not begun a log of its own"
            await nodes.stop("master")
            shutil.rmtree(master.directory)
            with pytest.raises(RestoreError, match="--force"):
                await restore(nodes.url("s1"), str(master.directory))
            told: list[RestoreProgress] = []
            shutil.rmtree(master.directory)
            head = await restore(
                nodes.url("s1"), str(master.directory), force=True, progress=told.append
            )
            assert head.last_id == 1001
            assert told[-1].last_id == told[-1].of_id == 1001
            again = await nodes.master("s1", "s2")
            s2 = await nodes.secondary("s2")
            assert (await again.stored("after")).first_id == 1002
            assert s2.segments() == again.segments()
            with pytest.raises(DirectoryLockedError):
                await restore(nodes.url("s1"), str(master.directory))

    asyncio.run(story())
