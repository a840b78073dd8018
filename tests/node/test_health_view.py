"""What a master tells of a secondary that it lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

from replog.core.effects import Pending
from tests.support.nodes import Nodes, until


def test_a_lost_secondary_is_shown_with_what_it_held_last_and_how_far_behind_it_is(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            master = await nodes.master("s1", "s2")
            await master.stored("one", w=2)
            await nodes.stop("s1")
            await until(lambda: master.link_states()[0] == "down", "the link is down")
            await master.stored("two", w=1)
            lost, never = master.node.health().secondaries
            assert (lost.last_id, lost.lag) == (1, 1)
            assert (never.last_id, never.lag) == (None, None)
            waiting = await master.append("three", w=2, timeout_s=0)
            assert isinstance(waiting, Pending), "what it told last counts for nothing"

    asyncio.run(story())
