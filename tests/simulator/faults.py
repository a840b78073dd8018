"""What goes wrong, and the rule that keeps it within what the promises allow for.

PURE. Faults that take data away (a wiped disk, rot) hit one node at a time, and never the
only copy: the next one waits until the cluster is whole again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replog.core.entry import ticks
from replog.core.events import DelayChanged, StopRequested
from replog.core.master import Master
from replog.core.secondary import Secondary
from replog.node.views import Role
from tests.simulator.clock import seconds
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


@dataclass(frozen=True, slots=True)
class Place:
    """A byte of a segment, and the last id of the batch in which it is."""

    name: str
    offset: int
    last_id: int


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
        that it meets that secondary late: cut instead of adopted. What is being written has
        a key mostly: its client asks again when the master is back (P6).
        """
        wishes = self.world.clients.wishes
        if node is self.world.master:
            wishes.ask(wishes.make(entries=1, size=8, expect=None), concern=None, timeout=None)
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
        if node is world.master or self.is_hurt():
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
            self.kill(node)
        node.disk.settle()
        places = self._places(node)
        if not places:
            return
        place = world.random.choice(places)
        bit = world.random.randrange(8)
        node.disk.flip_bit(f"{SEGMENTS}/{place.name}", place.offset, bit)
        self._is_rotten(node)

    def lose_tail(self, node: SimNode) -> None:
        """The end of a file is gone, below the durable mark and so to be noticed.

        Only where another node holds all that this one held. That one is then out of reach
        for a while, most of the time: a master must not go on without it (R8).
        """
        world = self.world
        if self.is_hurt():
            return
        world.judge.check_disk(node.name)
        whole = world.judge.nodes[node.name].view
        holders = [
            other
            for other in world.nodes
            if other is not node
            and world.judge.nodes[other.name].view.ends.get(whole.last_id) == whole.hash
        ]
        if not holders:
            return
        if node.process is not None:
            node.disk.keeps_unsynced = world.random.choice((None, 0.0))
            self.lose_power(node)
        places = [place for place in self._places(node) if place.last_id <= node.marked_id]
        if not places:
            return
        place = world.random.choice(places[-3:])
        node.disk.lose_end(SEGMENTS, place.name, place.offset)
        self._is_rotten(node)
        for holder in holders if world.random.random() < 0.7 else []:
            if holder.process is not None and world.random.random() < 0.5:
                self.lose_power(holder)
            self._cut_off(holder)

    def lose_tail_with_a_laggard(self) -> None:
        """The master loses its tail while one secondary lags and the other one is away.

        The laggard can mend all that the mark speaks of, but not what came after it: a
        master that takes the other one's silence for an answer forgets acknowledged entries.
        """
        world = self.world
        master, others = world.master, world.secondaries
        if self.is_hurt() or master.writer is None or len(others) < 2 or not world.is_level():
            return
        world.count("tail lost with a laggard")
        world.network.resume()
        laggard = world.random.choice(others)
        master.writer.note_durable()
        world.run_for(100)
        self._cut_off(laggard)
        for _ in range(3):
            world.clients.append(concern=2)
            world.run_for(300)
        world.run_for(world.random.randint(0, 5000))
        world.network.resume()
        self.lose_tail(master)
        world.start_later(master, within=100)
        for _ in range(5):
            world.run_for(seconds(1.0))
            world.clients.append(concern=1)

    def hand_over(self) -> None:
        """An operator makes a secondary the master, and the old master a secondary.

        All hold the same log and nobody waits, so nothing may get lost. The old master runs
        on for a while, half the time: it must notice that another one reigns (R8). An epoch
        that it opened alone, and lost all batches of, may be opened once more by the new one,
        which cannot know of it: only safety is promised then.
        """
        world = self.world
        old = world.master
        world.network.resume()
        world.run_for(seconds(0.5))
        is_busy = world.clients.waiting or world.clients.receipts
        if self.is_hurt() or is_busy or not world.is_level() or not world.judge.committed_id:
            return
        if any(node.process is None for node in world.nodes) or not world.is_idle(old):
            return
        new = world.random.choice(world.secondaries)
        if world.profile.is_capped and not _knows_the_epoch_of(new, old):
            return
        world.count("hand over")
        self.kill(new)
        if world.random.random() < 0.5:
            self.kill(old)
        old.role, new.role = Role.SECONDARY, Role.MASTER  # from their next start on
        new.secondaries = tuple(node for node in world.nodes if node is not new)
        world.master = new
        world.contested_since = world.clock.now
        new.takes_over = True
        world.start(new)
        world.run_for(world.random.randint(0, seconds(6.0)))
        if isinstance(old.core, Master):
            self.kill(old)

    def _cut_off(self, node: SimNode) -> None:
        """Hold everything between the master and a secondary."""
        if not self.world.is_calm:
            self.world.network.pause(self.world.master.name, node.name)
            self.world.network.pause(node.name, self.world.master.name)

    def _is_rotten(self, node: SimNode) -> None:
        world = self.world
        node.disk_changed_at = world.clock.now
        world.judge.rotted(node.name)
        self.hurt = Hurt(node, world.judge.nodes[node.name].kept)

    def _places(self, node: SimNode) -> list[Place]:
        """Return a byte of each batch that may rot."""
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
                is_marked = batch.last_id <= node.marked_id or node is not world.master
                if is_elsewhere and is_marked:
                    offset = world.random.randrange(start, batch.stop)
                    places.append(Place(name, offset, batch.last_id))
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
        if isinstance(node.core, Secondary):
            delay = ticks(self.world.random.choice((0.0, 0.0, 0.03, 0.5)))
            self.world.at(node, lambda: node.deliver(DelayChanged(delay)))

    def pause(self, node: SimNode, other: SimNode) -> None:
        """Hold everything between two nodes, one way or both, without a word to them."""
        self.world.count("paused direction")
        self.world.network.pause(node.name, other.name)
        if self.world.random.random() < 0.4:
            self.world.network.pause(other.name, node.name)
            self.world.count("paused both ways")


def _knows_the_epoch_of(new: SimNode, old: SimNode) -> bool:
    if new.directory is None or old.directory is None:
        return False
    return new.directory.state.epoch >= old.directory.state.epoch
