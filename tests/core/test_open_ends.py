"""R13: a master repairs the end of its log, behind which no good batch closes the chain.

A secondary that was away may hold batches there that a master lost before they were committed.

PURE.
"""

from __future__ import annotations

from replog.core import events as ev
from replog.core.entry import GENESIS
from replog.core.messages import Damage
from tests.core.disk import Batch, chain, make_batch
from tests.core.world import World

ONE = chain(GENESIS, 1, "a")
LOST = [*ONE, make_batch(ONE[0].head, 3, "never committed")]
KEPT = [*ONE, make_batch(ONE[0].head, 5, "committed")]


def damaged_master(*logs: list[Batch], notes: tuple[int, ...] = (0, 0)) -> World:
    """Return a world whose master finds the end of `KEPT` damaged at its start."""
    world = World(len(logs))
    world.hold(0, KEPT, note=2, epoch=5)
    for number, (log, note) in enumerate(zip(logs, notes, strict=True), 1):
        world.hold(number, log, note=note, epoch=log[-1].head.epoch)
    rot_the_end(world)
    world.begin()
    return world


def rot_the_end(world: World) -> Damage:
    return world.nodes[0].disk.rot(2, None)


def test_the_first_who_answers_is_not_believed() -> None:
    world = damaged_master(LOST, KEPT)
    world.unreachable = {2}
    world.run(600)
    assert world.nodes[0].disk.damage, "nobody has what surely stood there"
    world.unreachable = set()
    world.run(600)
    assert world.nodes[0].disk.log == KEPT
    world.check_at_rest()


def test_the_highest_position_is_taken_once_all_have_been_heard() -> None:
    longer = [*LOST, make_batch(LOST[1].head, 3, "nor this")]
    world = damaged_master(longer, KEPT)
    world.run(600)
    assert world.nodes[0].disk.log == KEPT
    world.check_at_rest()


def test_what_a_secondary_knows_to_be_committed_is_taken_at_once_and_nothing_beyond() -> None:
    tail = [*KEPT, make_batch(KEPT[1].head, 5, "never committed")]
    went_on = [*KEPT, make_batch(KEPT[1].head, 6, "committed later")]
    world = damaged_master(tail, went_on, notes=(2, 0))
    world.unreachable = {2}
    world.run(600)
    assert not world.nodes[0].disk.damage
    assert world.nodes[0].disk.log == KEPT
    world.unreachable = set()
    world.run(600)
    assert world.nodes[0].disk.log == went_on
    world.check_at_rest()


def rotten_beside(log: list[Batch]) -> World:
    """Return a world whose master made `KEPT`, found its end rotten, and reaches only `log`."""
    world = World(2)
    for number, held in enumerate((KEPT, KEPT, log)):
        world.hold(number, held, note=1, epoch=held[-1].head.epoch)
    world.begin()
    world.unreachable = {2}
    world.run(100)
    world.cut(1)
    world.unreachable = {1}
    world.step(0, ev.DamageFound(rot_the_end(world)))
    world.run(600)
    return world


def test_an_end_that_this_master_has_made_is_repaired_with_that_end_only() -> None:
    world = rotten_beside(LOST)
    assert world.nodes[0].disk.damage
    [line] = [line for line in world.nodes[0].said if "repair failed" in line]
    assert line == f"repair failed: http://s2 holds {LOST[1].head} in its place; trying on"
    world.unreachable = set()
    world.run(1200)
    assert world.nodes[0].disk.log == KEPT
    world.check_at_rest()


def test_an_end_that_this_master_has_made_is_taken_from_one_that_holds_more() -> None:
    tail = [*KEPT, make_batch(KEPT[1].head, 5, "never committed")]
    world = rotten_beside(tail)
    assert not world.nodes[0].disk.damage
    assert world.nodes[0].disk.log == tail, "what follows on it is adopted behind it"
    world.unreachable = set()
    world.run(1200)
    assert world.nodes[1].disk.log == tail
    world.check_at_rest()


def test_accepting_the_loss_takes_what_there_is() -> None:
    world = damaged_master(LOST, KEPT)
    world.unreachable = {2}
    world.restart(0, accept_loss=True)
    world.run(600)
    assert world.nodes[0].disk.log == LOST
