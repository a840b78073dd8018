"""How a master comes to its epoch, and what takes it away (R8, R9).

PURE.
"""

from __future__ import annotations

import pytest

from replog.core import effects as do
from replog.core import events as ev
from replog.core.effects import RefusalReason, Refused, Stored
from replog.core.entry import GENESIS, EntryId, Epoch, LogId, NodeId, ReignId, Tick
from replog.core.events import LinkId, SecondaryIndex
from replog.core.messages import (
    Hello,
    Refusal,
    RefusalKind,
    Welcome,
)
from replog.core.progress import LinkState
from replog.core.reign import Phase
from tests.core.desk import sent
from tests.core.disk import Disk, chain
from tests.core.greetings import LOG, dormant, greet, hello, refusal
from tests.core.parts import new_master, new_secondary
from tests.core.world import World, serving_world

# --- R8: epochs -----------------------------------------------------------------------------


def test_a_new_epoch_is_above_every_epoch_stored_or_heard() -> None:
    world = dormant()
    greet(world, 0, hello(epoch=6))
    world.step(0, ev.DialFailed(SecondaryIndex(1), "refused"))
    assert list(world.nodes[0].jobs) == [do.StoreEpoch(Epoch(7), NodeId("m"))]


def test_a_new_epoch_is_above_those_of_the_log_whatever_is_stored() -> None:
    """Simulator seed 164603, uncapped: a disk lied about the sync of the epoch."""
    world = World(1)
    world.hold(0, chain(GENESIS, 3, "a"), epoch=1)
    world.hold(1, [], epoch=1)
    world.begin()
    world.dial_all()
    world.settle()
    assert world.master.reign.epoch == 4
    request = world.append("x", w=2)
    world.settle()
    assert world.outcome(request) == Stored(EntryId(2), EntryId(2), 2, 2)


def test_a_master_begins_while_a_secondary_is_down() -> None:
    """R1: a refused connection, or a name that does not resolve, is an answer."""
    world = World(2)
    for number in range(3):
        world.hold(number, [])
    world.unreachable = {1, 2}
    world.begin()
    world.dial_all()
    world.settle()
    request = world.append("x", w=1)
    world.settle()
    assert world.outcome(request) == Stored(EntryId(1), EntryId(1), 1, 3)


def test_no_secondary_is_welcomed_before_the_epoch_is_durable() -> None:
    world = dormant()
    assert not sent(greet(world, 0, hello()))
    world.step(0, ev.DialFailed(SecondaryIndex(1), "refused"))
    effects = world.master.step(ev.EpochStored(Epoch(2)))
    assert [type(message).__name__ for message in sent(effects)] == ["Welcome"]


@pytest.mark.parametrize(
    ("epoch", "owner", "is_lost"), [(1, "n", True), (2, "n", True), (0, "n", False)]
)
def test_a_start_hears_of_another_reign(epoch: int, owner: str, is_lost: bool) -> None:
    world = dormant()
    greet(world, 0, hello(epoch=epoch, owner=owner))
    assert bool(world.master.reign.superseded) is is_lost
    if is_lost:
        assert refusal(world.outcome(world.append("x"))) is RefusalReason.SUPERSEDED


def serving_alone(**settings: bool) -> World:
    """Return a world whose master serves in epoch 2 and has heard of no secondary."""
    world = dormant(**settings)
    world.unreachable = {1, 2}
    world.dial_all()
    world.settle()
    assert world.master.reign.phase is Phase.SERVING
    assert world.master.reign.epoch == 2
    return world


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_master_that_hears_of_a_newer_reign_is_read_only(epoch: int) -> None:
    world = serving_alone()
    greet(world, 0, hello(epoch=epoch, owner="n"))
    assert refusal(world.outcome(world.append("x"))) is RefusalReason.SUPERSEDED


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_master_from_an_old_backup_takes_late_what_its_earlier_runs_made(epoch: int) -> None:
    """It chose an epoch that was used already, and has made nothing in it (R8)."""
    world = serving_alone()
    world.hold(1, LOG, note=4, epoch=epoch)
    world.nodes[1].disk.owner = NodeId("m/earlier")
    world.restart(1)
    world.unreachable = {2}
    world.run(400)
    assert world.master.reign.epoch == epoch + 1
    assert world.nodes[0].disk.log == LOG
    stored = world.append("x", w=2)
    world.settle()
    assert isinstance(world.outcome(stored), Stored)


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_master_from_an_old_backup_that_has_appended_is_read_only(epoch: int) -> None:
    world = serving_alone()
    world.append("x", w=1)
    world.settle()
    greet(world, 0, hello(epoch=epoch, owner="m/earlier"))
    assert refusal(world.outcome(world.append("y", w=1))) is RefusalReason.SUPERSEDED


def test_of_two_live_runs_on_copies_one_gives_up() -> None:
    world = serving_alone()
    greet(world, 0, hello(epoch=3, owner="m/copy"))
    world.step(0, ev.EpochStored(Epoch(4)))
    assert not world.master.reign.superseded
    greet(world, 0, hello(epoch=5, owner="m/copy"))
    assert refusal(world.outcome(world.append("x"))) is RefusalReason.SUPERSEDED


def test_an_epoch_opened_anew_is_told_to_who_followed_the_one_before() -> None:
    world = World(2)
    for number in range(3):
        world.hold(number, LOG)
    world.begin()
    world.unreachable = {2}
    world.run(100)
    assert world.master.reign.epoch == 2
    world.step(0, ev.LinkOpened(LinkId(9), SecondaryIndex(1)))
    world.step(0, ev.Received(LinkId(9), hello("s2", epoch=2, owner="m/earlier")))
    world.run(200)
    assert world.nodes[0].disk.epoch == world.nodes[1].disk.epoch == 3
    stored = world.append("x", w=2)
    world.settle()
    assert isinstance(world.outcome(stored), Stored)


def test_an_epoch_of_another_log_says_nothing_about_this_one() -> None:
    world = serving_alone()
    greet(world, 0, hello(log="another", epoch=9, owner="n"))
    stored = world.append("x", w=1)
    world.settle()
    assert isinstance(world.outcome(stored), Stored)


def test_a_refusal_for_a_newer_epoch_makes_the_master_read_only() -> None:
    world = serving_world()
    stale = Refusal(RefusalKind.STALE_EPOCH, "newer", Epoch(9), NodeId("n"))
    world.step(0, ev.Received(LinkId(1), stale))
    assert refusal(world.outcome(world.append("x"))) is RefusalReason.SUPERSEDED


def test_a_take_over_opens_above_the_other_reign_also_while_its_epoch_is_being_stored() -> None:
    world = World(2)
    world.hold(0, LOG[:2])
    world.nodes[0].disk.owner = NodeId("n")
    world.restart(0)
    assert refusal(world.outcome(world.append("x"))) is RefusalReason.SUPERSEDED
    world.restart(0, take_over=True)
    greet(world, 0, hello(epoch=5, owner="n"))
    world.step(0, ev.DialFailed(SecondaryIndex(1), "refused"))
    assert world.master.reign.phase is Phase.OPENING
    greet(world, 1, hello("s2", epoch=5, owner="n"))
    assert not world.master.reign.superseded, "its own epoch 6 is above"
    greet(world, 1, hello("s2", epoch=6, owner="n"))
    assert not world.master.reign.superseded, "nothing is made yet: it opens epoch 7"
    world.step(0, ev.EpochStored(Epoch(6)))
    assert world.master.reign.phase is Phase.OPENING, "not epoch 6 any more"
    world.step(0, ev.EpochStored(Epoch(7)))
    greet(world, 1, hello("s2", epoch=7, owner="n"))
    assert world.master.reign.superseded, "it gives up: the other one goes on"


def test_after_damage_at_open_a_refused_connection_is_no_answer() -> None:
    world = dormant(2, damaged=True)
    world.hold(1, LOG[:2], note=2)
    world.hold(2, LOG[:2])
    world.restart(1)
    world.restart(2)
    world.unreachable = {2}
    world.run(400)
    assert not world.nodes[0].disk.damage, (
        "repaired from the one that is there, which knows it to be committed"
    )
    outcome = world.outcome(world.append("x"))
    assert refusal(outcome) is RefusalReason.DAMAGED
    assert isinstance(outcome, Refused)
    assert "http://s2" in outcome.detail
    world.unreachable = set()
    world.run(400)
    again = world.append("x")
    world.settle()
    assert isinstance(world.outcome(again), Stored)
    world.check_at_rest()


def test_a_repair_at_open_is_told_to_who_streams_already() -> None:
    world = dormant(4, damaged=True)
    for number in (1, 2):
        world.hold(number, LOG)
        world.restart(number)
    world.run(200)
    world.check_at_rest()


# --- R9: a lost disk ------------------------------------------------------------------------


def test_an_empty_directory_opens_at_once_if_all_say_no_log() -> None:
    world = World(2)
    world.begin()
    world.dial_all()
    world.settle()
    assert world.master.reign.phase is Phase.SERVING


def test_an_empty_directory_redials_refused_secondaries_for_a_second() -> None:
    world = World(2)
    world.begin()
    world.unreachable = {1, 2}
    world.dial_all()
    world.tick(99)
    assert world.master.reign.phase is Phase.GATHERING
    world.tick(1)
    assert world.master.reign.phase is not Phase.GATHERING


@pytest.mark.parametrize("is_late", [False, True])
def test_an_emptied_master_takes_no_appends_beside_another_log(is_late: bool) -> None:
    world = World(2)
    world.hold(1, LOG)
    world.nodes[1].disk.log_id = LogId("older")
    world.begin()
    world.unreachable = {1, 2} if is_late else set()
    world.run(200)
    assert (world.nodes[0].disk.log_id is not None) is is_late
    world.unreachable = set()
    world.run(200)
    outcome = world.outcome(world.append("x"))
    assert refusal(outcome) is RefusalReason.LOG_FOUND_ELSEWHERE
    assert isinstance(outcome, Refused)
    assert "replog restore" in outcome.detail


def test_a_shared_log_goes_on_beside_a_foreign_secondary() -> None:
    world = World(2)
    world.hold(0, LOG)
    world.hold(1, LOG)
    world.hold(2, LOG)
    world.nodes[2].disk.log_id = LogId("older")
    world.begin()
    world.run(100)
    request = world.append("x", w=2)
    world.settle()
    assert isinstance(world.outcome(request), Stored)
    assert world.master.replicas.peers[1].shown_state is LinkState.DIVERGED


def test_of_two_runs_on_copies_of_one_directory_a_secondary_follows_one() -> None:
    secondary = new_secondary(Disk(NodeId("s")), now=Tick(0))
    refusals = []
    for link, reign in ((LinkId(1), "first"), (LinkId(2), "second"), (LinkId(3), "first")):
        secondary.step(ev.LinkOpened(link))
        welcome = Welcome(LogId("log"), NodeId("m"), Epoch(2), "http://m", (), ReignId(reign))
        effects = secondary.step(ev.Received(link, welcome))
        refusals += [word for word in sent(effects) if isinstance(word, Refusal)]
        secondary.step(ev.EpochStored(Epoch(2)))
    (refusal,) = refusals
    assert refusal.kind is RefusalKind.STALE_EPOCH
    assert refusal.epoch_owner == "m/first"


def test_the_next_run_of_a_master_goes_on_behind_the_epochs_of_its_earlier_ones() -> None:
    disk = Disk(NodeId("m"), log_id=LogId("log"), epoch=Epoch(2), owner=NodeId("m/earlier"))
    disk.members = ("http://m", "http://s0")
    master = new_master(disk, ("http://s0",))
    master.step(ev.LinkOpened(LinkId(1), SecondaryIndex(0)))
    hello = Hello(1, NodeId("s"), LogId("log"), Epoch(2), NodeId("m/earlier"), 0.0)
    effects = master.step(ev.Received(LinkId(1), hello))
    assert do.StoreEpoch(Epoch(3), NodeId("m")) in effects
