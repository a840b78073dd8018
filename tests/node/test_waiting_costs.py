"""What clients that wait for other nodes cost a master: nothing for each of those (P8, P10)."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from replog.core.effects import Pending
from tests.support.nodes import Nodes, until

WAITING = 400
NAMES = ("s1", "s2", "s3", "s4")


def test_who_waits_costs_no_task_and_no_thread_for_any_secondary(tmp_path: Path) -> None:
    """Two of the four are linked and hold everything back, two are never there."""

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            for name in NAMES[:2]:
                await nodes.secondary(name, delay=600)
            master = await nodes.master(*NAMES)
            await master.ready()
            await master.linked_some(2)
            await asyncio.gather(*(master.stored(f"warm {n}", w=1) for n in range(WAITING)))
            tasks, threads = len(asyncio.all_tasks()), threading.active_count()
            waiting = [
                asyncio.ensure_future(master.append(f"waits {n}", w=3)) for n in range(WAITING)
            ]
            await until(lambda: master.node.health().last_id == 2 * WAITING, "all are stored")
            # Dials come and go; one task for each who waits and each node would be 1,600 more.
            assert len(asyncio.all_tasks()) < tasks + len(waiting) + WAITING / 2
            assert threading.active_count() < threads + 16
            await nodes.stop("master")
            outcomes = await asyncio.gather(*waiting)
            assert all(isinstance(outcome, Pending) for outcome in outcomes)

    asyncio.run(story())
