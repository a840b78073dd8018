"""A secondary that catches up makes way for appends (P8)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from replog.replication.dial import DialledConnection
from replog.replication.pace import REST_S
from tests.support.nodes import Nodes, until

LONG = "x" * 700_000
"""A message whose frame goes in several parts."""


@pytest.fixture
def rests_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What each long frame rested for before each of its parts."""
    noted: list[float] = []
    send = DialledConnection.send

    async def noting(self: DialledConnection, frame: str | bytes, *, rest_s: float = 0.0) -> None:
        if len(frame) > len(LONG):
            noted.append(rest_s)
        await send(self, frame, rest_s=rest_s)

    monkeypatch.setattr(DialledConnection, "send", noting)
    return noted


@pytest.mark.parametrize("is_busy", [False, True])
def test_what_a_secondary_missed_rests_while_appends_come(
    tmp_path: Path, rests_s: list[float], *, is_busy: bool
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            await nodes.secondary("s2")
            master = await nodes.master("s1", "s2")
            await master.linked()
            await nodes.stop("s2")
            for number in range(12):
                await master.stored(f"{number} {LONG}", w=2)
            assert set(rests_s) <= {0.0}, "s1 keeps up"
            rests_s.clear()
            if not is_busy:  # nobody has appended since it started
                await nodes.stop("master")
                master = await nodes.master("s1", "s2")
            s2 = await nodes.secondary("s2")

            def is_level() -> bool:
                return s2.segments() == master.segments()

            if is_busy:
                while not is_level():
                    await master.stored("short", w=2)
                assert REST_S in rests_s
            else:
                await until(is_level, "it is level")
                assert rests_s == [0.0] * len(rests_s) != []

    asyncio.run(story())


def test_nothing_rests_that_an_append_waits_for(tmp_path: Path, rests_s: list[float]) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            master = await nodes.master("s1")
            await master.linked()
            await nodes.stop("s1")
            for number in range(12):
                await master.stored(f"{number} {LONG}", w=1)
            rests_s.clear()
            everywhere = asyncio.ensure_future(master.stored("everywhere", w=2))
            await nodes.secondary("s1")
            while not everywhere.done():
                await master.stored("here", w=1)
            await everywhere
            assert len(rests_s) > 10
            assert rests_s[1:] == [0.0] * len(rests_s[1:]), "the first frame does not know yet"

    asyncio.run(story())
