"""Masters that come back, copies of them, quorums and restores (R8, R9, R11)."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from replog.core.effects import RefusalReason, Refused
from replog.core.entry import GENESIS
from replog.core.errors import ConfigurationError, DirectoryLockedError, StorageError
from replog.node.restore import RestoreError, restore
from tests.house.source import ROOT
from tests.support.fake_master import FakeMaster, batch
from tests.support.nodes import Nodes, RunningNode, until


async def filled(nodes: Nodes, *names: str, entries: int) -> RunningNode:
    """Start these secondaries and a master, and append."""
    for name in names:
        await nodes.secondary(name)
    master = await nodes.master(*names)
    for number in range(1, entries + 1):
        await master.stored(str(number))
    return master


def test_a_master_with_an_old_copy_of_its_disk_takes_over_what_it_lost(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await filled(nodes, "s1", "s2", entries=3)
            await nodes.stop("master")
            shutil.copytree(master.directory, tmp_path / "old")
            master = await nodes.master("s1", "s2")
            for number in range(4, 200):
                await master.stored(f"{number} {'x' * 1000}")
            await nodes.stop("master")
            shutil.rmtree(master.directory)
            shutil.copytree(tmp_path / "old", master.directory)
            again = await nodes.master("s1", "s2")
            assert (await again.stored("after")).first_id == 200
            assert again.node.health().epoch > 2
            s1, s2 = nodes.running["s1"], nodes.running["s2"]
            assert again.segments() == s1.segments() == s2.segments()

    asyncio.run(story())


def test_a_running_directory_that_is_copied_as_the_document_says_is_a_backup(
    tmp_path: Path,
) -> None:
    document = (ROOT / "docs" / "operations.md").read_text()
    assert "`node.json` and `marks` first, then\n`segments/`" in document

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await filled(nodes, entries=2)
            backup = tmp_path / "backup"
            backup.mkdir()
            for name in ("node.json", "marks"):
                shutil.copy(master.directory / name, backup)
                await master.stored(f"behind the copy of {name}")
            shutil.copytree(master.directory / "segments", backup / "segments")
            await master.stored("lost with the disk")
            await nodes.stop("master")
            shutil.rmtree(master.directory)
            backup.rename(master.directory)
            again = await nodes.master()
            assert await again.ids() == [1, 2, 3, 4]
            assert (await again.stored("after")).first_id == 5

    asyncio.run(story())


def test_a_copy_of_a_reigning_master_turns_read_only(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await filled(nodes, "s1", entries=2)
            await nodes.stop("master")
            shutil.copytree(master.directory, tmp_path / "copy")
            await nodes.master("s1")
            copy = await nodes.master("s1", name="copy")
            await until(
                lambda: (
                    "superseded" in (nodes.running["master"].node.health().status, status(copy))
                ),
                "one of them gives way",
            )
            assert await copy.ids() == [1, 2]

    asyncio.run(story())


def status(node: RunningNode) -> str:
    return node.node.health().status


def test_a_required_quorum_that_is_lost_makes_the_master_read_only_until_it_is_back(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            master = await nodes.master("s1", "s2", quorum=True)
            await master.linked_some(1)
            await master.stored("one", w="majority")
            await nodes.stop("s1")
            await until(lambda: status(master) == "no-quorum", "it says why")
            outcome = await master.append("two", w=1)
            assert isinstance(outcome, Refused)
            assert outcome.reason is RefusalReason.NO_QUORUM
            assert master.node.readiness()
            assert await master.ids() == [1]
            await nodes.secondary("s2")
            await master.ready()
            assert (await master.stored("two", w="majority")).first_id == 2

    asyncio.run(story())


def test_a_restore_names_who_cannot_be_asked_and_who_holds_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        target = str(tmp_path / "restored")
        async with Nodes(tmp_path) as nodes:
            with pytest.raises(RestoreError, match="connection refused"):
                await restore(nodes.url("nobody"), target)
            await nodes.secondary("empty")
            with pytest.raises(RestoreError, match="nothing to restore"):
                await restore(nodes.url("empty"), target)
            await filled(nodes, "s1", entries=1)
            with pytest.raises(RestoreError, match="a master"):
                await restore(nodes.url("master"), target)
            await restore(nodes.url("s1"), target)
            with pytest.raises(ConfigurationError, match="holds the log"):
                await restore(nodes.url("s1"), target)
            with pytest.raises(DirectoryLockedError):
                await restore(nodes.url("s1"), str(tmp_path / "s1"))

    asyncio.run(story())


def test_a_restore_takes_the_furthest_log_of_all_members(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            await nodes.secondary("s2", delay=60)
            master = await nodes.master("s1", "s2")
            await master.ready()
            await master.linked()
            await master.stored("one", w=2)
            await master.stored("two", w=2)
            await nodes.stop("master")
            s1 = nodes.running["s1"]
            head = await restore(nodes.url("s2"), str(tmp_path / "restored"))
            assert head.last_id == 2
            restored = tmp_path / "restored" / "segments"
            assert {path.name: path.read_bytes() for path in restored.iterdir()} == s1.segments()

    asyncio.run(story())


def test_what_an_interrupted_restore_leaves_cannot_be_started(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await filled(nodes, "s1", entries=5)
            target = tmp_path / "restored"

            def interrupt(_: object) -> None:
                raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                await restore(nodes.url("s1"), str(target), progress=interrupt)
            with pytest.raises(StorageError, match="did not finish"):
                await nodes.master("s1", name="restored")
            with pytest.raises(StorageError, match="did not finish"):
                await restore(nodes.url("s1"), str(target))

    asyncio.run(story())


def test_logs_that_differ_are_not_restored_into_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            await nodes.secondary("s2")
            for name, log_id in (("s1", "a"), ("s2", "b")):
                async with await FakeMaster.connect(nodes.url(name)) as master:
                    members = ("http://127.0.0.1:1", nodes.url("s1"), nodes.url("s2"))
                    await master.welcome(log_id=log_id, members=members)
                    await master.stream()
                    first = batch(GENESIS, "x", log_id=log_id)
                    await master.send(first)
                    await master.acknowledged(first.head)
            with pytest.raises(RestoreError, match="different logs"):
                await restore(nodes.url("s1"), str(tmp_path / "restored"))

    asyncio.run(story())
