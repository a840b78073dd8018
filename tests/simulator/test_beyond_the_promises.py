"""What is lost beyond the promises is said, never spread: stories without a judge.

With the only copy gone no promise can be kept. What a node must still do is refuse: it
takes no append that would bury what another node holds, and cuts nothing away there.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest

from replog.core.effects import AppendOutcome, RefusalReason, Refused, Stored
from replog.core.master import Master
from replog.core.progress import LinkState
from replog.core.write_concern import WriteConcern
from tests.simulator.clock import seconds
from tests.simulator.invariants import SEGMENTS, Judge
from tests.simulator.profile import quiet
from tests.simulator.requests import Append
from tests.simulator.shell import SimNode
from tests.simulator.world import World

SEEDS = range(10)


class Blind(Judge):
    """Sees nothing: from here on promises are broken on purpose."""

    def check_disk(self, name: str) -> None: ...
    def batch_made(
        self, epoch: int, owner: str, payload: bytes, *, prev: bytes, after: int
    ) -> None: ...
    def master_shows(self, name: str, shown_id: int, head: bytes, now: int) -> None: ...
    def secondary_shows(self, name: str, committed_id: int, head: bytes) -> None: ...
    def head_is(self, name: str, head: bytes) -> None: ...
    def read_answered(
        self, name: str, *, committed_id: int, has_master: bool, floor: int, lines: bytes | None
    ) -> None: ...
    def append_answered(
        self, append: Append, outcome: AppendOutcome, *, nodes: int, excused: set[str]
    ) -> None:
        append.outcome = outcome


@pytest.fixture(params=SEEDS)
def world(request: pytest.FixtureRequest) -> World:
    """A cluster of three whose nodes all hold, and know as committed, the same entries."""
    world = World(Random(request.param), quiet(secondaries=2))
    for node in world.nodes:
        world.start_later(node, within=1000)
    world.run_for(seconds(3.0))
    for _ in range(8):
        assert isinstance(append(world, "all"), Stored)
    world.run_for(seconds(3.0))
    judge = Blind()
    for node in world.nodes:
        judge.add_node(node.name, node.disk)
    world.judge = judge
    return world


def append(world: World, concern: WriteConcern) -> AppendOutcome | None:
    """Append and wait a little for an answer."""
    asked = world.clients.append(concern=concern)
    assert asked is not None
    world.run_for(seconds(0.5))
    return asked.outcome


def end(world: World, nodes: Iterable[SimNode]) -> None:
    for node in nodes:
        world.end_process(node, lost_power=False)


def begin(world: World, nodes: Iterable[SimNode]) -> None:
    for node in nodes:
        world.start(node)
    world.run_for(seconds(6.0))


def held_by_secondaries(world: World) -> list[bytes]:
    """Return every byte of the secondaries' logs; none of them may be in a quarantine."""
    for node in world.secondaries:
        assert node.disk.cached_files("/data/quarantine") == []
    return logs_of_secondaries(world)


def logs_of_secondaries(world: World) -> list[bytes]:
    return [
        bytes(inode.cached)
        for node in world.secondaries
        for _, inode in node.disk.cached_files(SEGMENTS)
    ]


def link_states(world: World) -> set[LinkState]:
    assert isinstance(world.master.core, Master)
    return {peer.shown_state for peer in world.master.core.replicas.peers}


def all_diverge(world: World) -> bool:
    """Whether every link shows it; one is tried again now and then, and is in doubt meanwhile."""
    for _ in range(20):
        if link_states(world) == {LinkState.DIVERGED}:
            return True
        world.run_for(seconds(0.1))
    return False


def test_after_an_accepted_loss_who_holds_more_is_called_diverged_and_keeps_it(
    world: World,
) -> None:
    end(world, world.nodes)
    held = held_by_secondaries(world)
    name, inode = world.master.disk.cached_files(SEGMENTS)[-1]
    world.master.disk.lose_end(SEGMENTS, name, len(inode.cached) // 2)
    world.start(world.master, accept_loss=True)
    world.run_for(seconds(6.0))
    assert isinstance(append(world, 1), Stored), "the operator gave up what is gone"
    begin(world, world.secondaries)
    assert all_diverge(world)
    assert append(world, "all") is None, "nobody else can take it"
    assert held_by_secondaries(world) == held


@pytest.mark.parametrize("is_rotten", [False, True], ids=["whole", "rotten"])
def test_what_was_shown_is_not_cut_after_the_note_of_it_was_lost(
    world: World, is_rotten: bool
) -> None:
    """What a secondary knows to be committed stands in its trailers too (R3)."""
    end(world, world.nodes)
    name, inode = world.master.disk.cached_files(SEGMENTS)[-1]
    world.master.disk.lose_end(SEGMENTS, name, len(inode.cached) // 2)
    for node in world.secondaries:
        node.disk.remove("/data/marks")
        node.disk.sync_directory("/data")
    held = held_by_secondaries(world)
    for node in world.secondaries if is_rotten else ():
        node.disk.flip_bit(f"{SEGMENTS}/{name}", 200, 1)
    world.start(world.master, accept_loss=True)
    world.run_for(seconds(6.0))
    assert isinstance(append(world, 1), Stored), "the operator gave up what is gone"
    begin(world, world.secondaries)
    world.run_for(seconds(6.0))
    assert all_diverge(world)
    assert logs_of_secondaries(world) == held, "the rotten bit is mended"


def test_a_wiped_master_takes_no_append_and_leaves_what_the_others_hold(world: World) -> None:
    end(world, [world.master])
    held = held_by_secondaries(world)
    world.master.disk.wipe()
    begin(world, [world.master])
    outcome = append(world, 1)
    assert isinstance(outcome, Refused)
    assert outcome.reason is RefusalReason.LOG_FOUND_ELSEWHERE
    assert held_by_secondaries(world) == held


def test_a_wiped_master_that_began_a_log_alone_stops_when_it_meets_the_old_one(
    world: World,
) -> None:
    end(world, world.nodes)
    held = held_by_secondaries(world)
    world.master.disk.wipe()
    begin(world, [world.master])
    assert isinstance(append(world, 1), Stored), "nobody said that there is a log"
    begin(world, world.secondaries)
    outcome = append(world, 1)
    assert isinstance(outcome, Refused)
    assert outcome.reason is RefusalReason.LOG_FOUND_ELSEWHERE
    assert all_diverge(world)
    assert held_by_secondaries(world) == held


def test_damage_that_a_repair_brings_to_light_stops_the_master_too(world: World) -> None:
    """A tail behind a gap is judged when the gap is closed; what only looks torn is cut (R8)."""
    end(world, world.secondaries)
    master = world.master
    marks = bytes(dict(master.disk.cached_files("/data"))["marks"].cached)
    for _ in range(2):
        assert isinstance(append(world, 1), Stored)
    end(world, [master])
    name, inode = master.disk.cached_files(SEGMENTS)[-1]
    restored = master.disk.open("/data/marks", writable=True)
    restored.write_at(0, marks)
    restored.sync()
    restored.close()
    content = bytes(inode.cached)
    master.disk.flip_bit(f"{SEGMENTS}/{name}", content.index(b'"message":"') + 12, 1)
    master.disk.flip_bit(f"{SEGMENTS}/{name}", content.rindex(b'"message":"') + 12, 1)
    begin(world, world.nodes)
    assert isinstance(master.core, Master)
    assert [found.last_id for found in master.core.facts.damage] == [None]
    outcome = append(world, 1)
    assert isinstance(outcome, Refused)
    assert outcome.reason is RefusalReason.DAMAGED
