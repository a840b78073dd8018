"""What goes wrong, and the rule that keeps it within what the promises allow for.

PURE. Faults that take data away (a wiped disk, rot) hit one node at a time, and never the
only copy: the next one waits until the cluster is whole again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replog.core.entry import ticks
from replog.core.events import DelayChanged, StopRequested
from replog.node.views import Role
from tests.simulator.invariants import SEGMENTS
from tests.simulator.reader import GENESIS_HASH, scan

if TYPE_CHECKING:
    from tests.simulator.shell import SimNode
    from tests.simulator.world import World


@dataclass(slots=True)
class Hurt:
    """A node whose disk lost something, until it holds everything again."""

    node: SimNode
    until_id: int


@dataclass(slots=True)
class Faults:
    """The bad luck of one world."""

    world: World
    hurt: Hurt | None = None

    def kill(self, node: SimNode) -> None:
        self.world.end_process(node, lost_power=False)

    def lose_power(self, node: SimNode) -> None:
        self.world.end_process(node, lost_power=True)

    def lose_power_in_sync(self, node: SimNode) -> None:
        """The node's next sync takes long, and before it is through the power goes.

        A batch travels while its sync runs (R7), so a secondary may hold what its master
        lost. Half the time the master then comes back alone and makes other batches, so
        that it meets that secondary late: cut instead of adopted.
        """
        node.sync_hook = lambda: self._slow_sync(node)

    def _slow_sync(self, node: SimNode) -> int:
        world = self.world
        node.sync_hook = None
        duration = world.random.randint(300, 6000)
        node.after(world.random.randint(duration // 4, duration), lambda: self._dark(node))
        return duration

    def _dark(self, node: SimNode) -> None:
        world = self.world
        if world.is_calm:
            return
        world.count("power lost in a sync")
        self.lose_power(node)
        world.start_later(node, within=world.random.choice((100, 3000)))
        if world.random.random() < 0.5:
            return
        for other in world.nodes:
            if other is node:
                continue
            if world.random.random() < 0.5:
                world.network.pause(node.name, other.name)
                world.network.pause(other.name, node.name)
            elif other.process is not None:
                self.kill(other)

    def lose_power_everywhere(self) -> None:
        for node in self.world.nodes:
            if node.process is not None:
                self.lose_power(node)
        self.world.count("power lost everywhere")

    def stop(self, node: SimNode) -> None:
        """A clean stop, as on SIGTERM: answer who waits, finish the disk's work, close."""
        world = self.world
        if node.process is None:
            return

        def close() -> None:
            if node.directory is not None:
                node.directory.close()
            world.end_process(node, lost_power=False)

        def stop() -> None:
            node.deliver(StopRequested())
            if node.writer is not None:
                node.writer.when_written(close)

        world.count("clean stop")
        world.at(node, stop)

    def wipe(self, node: SimNode) -> None:
        """A secondary gets a new, empty disk."""
        world = self.world
        if node.role is Role.MASTER or self.is_hurt():
            return
        if node.process is not None:
            self.kill(node)
        node.disk.wipe()
        node.disks += 1
        node.disk_changed_at = world.clock.now
        world.judge.wiped(node.name)
        self.hurt = Hurt(node, world.judge.committed_id)
        world.count("wiped disk")

    def rot(self, node: SimNode) -> None:
        """A bit of the log turns over on one disk, in what another disk holds as well.

        On a master only below its durable mark: what rots above it looks like a torn tail
        in part of all cases, and no log can tell the two apart.
        """
        world = self.world
        if self.is_hurt():
            return
        if node.process is not None:
            self.lose_power(node)
        places = self._places(node)
        if not places:
            return
        name, offset = world.random.choice(places)
        node.disk.flip_bit(f"{SEGMENTS}/{name}", offset, world.random.randrange(8))
        node.disk_changed_at = world.clock.now
        world.judge.rotted(node.name)
        self.hurt = Hurt(node, world.judge.nodes[node.name].kept)

    def _places(self, node: SimNode) -> list[tuple[str, int]]:
        """Return a few bytes that may rot: file name and offset."""
        world = self.world
        world.judge.check_disk(node.name)
        others = [
            world.judge.nodes[other.name].view.ends for other in world.nodes if other is not node
        ]
        places = []
        prev, last_id = GENESIS_HASH, 0
        for name, inode in node.disk.durable_files(SEGMENTS):
            start = 0
            for batch in scan(bytes(inode.durable), prev=prev, last_id=last_id):
                is_elsewhere = any(ends.get(batch.last_id) == batch.hash for ends in others)
                is_marked = batch.last_id <= node.marked_id or node.role is Role.SECONDARY
                if is_elsewhere and is_marked:
                    places.append((name, world.random.randrange(start, batch.stop)))
                prev, last_id, start = batch.hash, batch.last_id, batch.stop
        return places

    def is_hurt(self) -> bool:
        """Whether some disk still lacks what it lost."""
        if self.hurt is None:
            return False
        record = self.world.judge.nodes[self.hurt.node.name]
        self.world.judge.check_disk(record.name)
        if record.is_rotten or record.view.last_id < self.hurt.until_id:
            return True
        self.hurt = None
        return False

    def die_in_a_call(self, node: SimNode) -> None:
        if node.process is not None:
            node.disk.calls_to_death = self.world.random.randint(1, 12)
            node.dies_of_power = self.world.random.random() < 0.5

    def change_delay(self, node: SimNode) -> None:
        if node.role is Role.SECONDARY and node.process is not None:
            delay = ticks(self.world.random.choice((0.0, 0.0, 0.03, 0.5)))
            self.world.at(node, lambda: node.deliver(DelayChanged(delay)))

    def pause(self, node: SimNode, other: SimNode) -> None:
        """Hold everything between two nodes, one way or both, without a word to them."""
        self.world.count("paused direction")
        self.world.network.pause(node.name, other.name)
        if self.world.random.random() < 0.4:
            self.world.network.pause(other.name, node.name)
