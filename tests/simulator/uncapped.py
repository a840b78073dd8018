"""Faults that may take the last copy: no promise of survival holds, and safety must.

PURE. They hit any node at any time, several at once, and disks that lie: a sync that reports
success and did nothing, a write that never reaches the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulator.invariants import SEGMENTS

if TYPE_CHECKING:
    from tests.simulator.shell import SimNode
    from tests.simulator.world import World

OTHER_FILES = ("/data/marks", "/data/node.json")


def rot(world: World, node: SimNode) -> None:
    """Bits turn over in any file, of whatever nobody else may hold."""
    if node.process is not None:
        world.faults.kill(node)
    paths = [f"{SEGMENTS}/{name}" for name, _ in node.disk.cached_files(SEGMENTS)] * 3
    paths += [path for path in OTHER_FILES if node.disk.exists(path)]
    paths = [path for path in paths if node.disk.size(path)]
    for _ in range(world.random.choice((1, 1, 2, 5)) if paths else 0):
        path = world.random.choice(paths)
        offset = world.random.randrange(node.disk.size(path))
        node.disk.flip_bit(path, offset, world.random.randrange(8))
        world.count("rot anywhere")
    world.judge.rotted(node.name)


def lose_end(world: World, node: SimNode) -> None:
    """The end of the log is gone, wherever it was known."""
    if node.process is not None:
        world.faults.kill(node)
    files = node.disk.cached_files(SEGMENTS)
    if files:
        name, inode = world.random.choice(files[-2:])
        node.disk.lose_end(SEGMENTS, name, world.random.randint(0, len(inode.cached)))
        world.count("lost end anywhere")
    world.judge.rotted(node.name)


def lie(world: World, node: SimNode) -> None:
    """This disk says "synced" and does nothing, once, some times or from now on."""
    node.disk.syncs_to_lie = world.random.choice((1, 3, 1000))
    world.judge.rotted(node.name)


def lose_writes(world: World, node: SimNode) -> None:
    node.disk.writes_to_lose = world.random.choice((1, 2, 5))
    world.judge.rotted(node.name)


def wipe(world: World, node: SimNode) -> None:
    """Any node gets a new, empty disk, the master too (R9)."""
    if node.process is not None:
        world.faults.kill(node)
    node.disk.wipe()
    node.disks += 1
    node.disk_changed_at = world.clock.now
    world.judge.wiped(node.name)
    world.count("wiped master" if node is world.master else "wiped disk")
