"""Bytes that rot under a node that runs, after it has verified them (R3, R5, R13)."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from replog.core.effects import Stored
from replog.core.messages import Damage
from replog.storage.filesystem import PosixFilesystem
from replog.storage.log import Log
from tests.support.nodes import Nodes, RunningNode, until


def rot(node: RunningNode, at: int) -> None:
    """Flip a bit of the one segment of a node."""
    [path] = (node.directory / "segments").iterdir()
    with path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def place_of(node: RunningNode, text: bytes) -> int:
    [content] = node.segments().values()
    at = content.find(text)
    assert at > 0
    return at


async def three(nodes: Nodes) -> tuple[RunningNode, RunningNode, RunningNode]:
    s1, s2 = await nodes.secondary("s1"), await nodes.secondary("s2")
    master = await nodes.master("s1", "s2")
    await master.linked()
    return master, s1, s2


async def all_equal(*nodes: RunningNode) -> None:
    """Return when nothing is damaged and all logs are the same."""

    def are_equal() -> bool:
        sound = all(not node.node.health().damage and not node.node.readiness() for node in nodes)
        return sound and all(node.segments() == nodes[0].segments() for node in nodes[1:])

    await until(are_equal, f"equal: {[node.node.health() for node in nodes]}")


async def appended(master: RunningNode, *texts: str) -> None:
    for text in texts:
        assert isinstance(await master.stored(text, w="all"), Stored)


def test_a_rotten_trailer_never_makes_a_secondary_cut_what_is_good(tmp_path: Path) -> None:
    """The master must not say that it lacks a batch because its own trailer rotted (R3)."""

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master, s1, s2 = await three(nodes)
            await appended(master, "one", "two")
            await nodes.stop("s2")
            for text in ("three", "four"):
                await master.stored(text, w=2)
            content = next(iter(master.segments().values()))
            rot(master, content.find(b'"}}\n', content.find(b'"message":"two"')) - 3)
            s2 = await nodes.secondary("s2")
            await all_equal(master, s1, s2)
            assert not (s2.directory / "quarantine").exists(), "nothing was cut"
            await appended(master, "five")
            await all_equal(master, s1, s2)

    asyncio.run(story())


def test_what_a_secondary_refuses_is_verified_again_at_once_and_repaired(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a word the master would send the rot until the scrubber comes by (R5, R13)."""

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master, s1, s2 = await three(nodes)
            await appended(master, "one")
            await nodes.stop("s2")
            await master.stored("two", "and a half", w=2)
            await master.stored("three", w=2)
            await nodes.stop("master")
            master = await nodes.master("s1", "s2")
            await master.linked_some(1)
            await master.read()
            rot(master, place_of(master, b"and a half"))
            s2 = await nodes.secondary("s2")
            await all_equal(master, s1, s2)
            await appended(master, "four")
            assert "refused what it was sent" in caplog.text
            assert "damage in segment" in caplog.text

    with caplog.at_level(logging.INFO):
        asyncio.run(story())


def test_a_damaged_secondary_is_not_ready_and_names_the_place(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master, s1, s2 = await three(nodes)
            await appended(master, "one", "second", "three")
            at = place_of(s1, b"second")
            for name in ("master", "s1"):
                await nodes.stop(name)
            rot(s1, at)
            damage = damage_of(s1)
            s1 = await nodes.secondary("s1")
            await until(lambda: bool(s1.node.readiness()), "it is not ready")
            [reason] = s1.node.readiness()
            assert damage.segment in reason
            assert f"at byte {damage.offset}, entry 2 to entry 2" in reason
            master = await nodes.master("s1", "s2")
            await all_equal(master, s1, s2)

    asyncio.run(story())


def damage_of(node: RunningNode) -> Damage:
    log = Log.open(PosixFilesystem(), str(node.directory), is_master=False, log_id=node.node.log_id)
    [damage] = log.damage
    log.close()
    return damage
