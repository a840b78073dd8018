"""What a master stores, counts, answers, tells and refuses (R1-R13).

PURE.
"""

from __future__ import annotations

import time

import pytest

from replog.core import events as ev
from replog.core.effects import Pending, RefusalReason, Refused, Stored
from replog.core.entry import GENESIS, EntryId, Epoch
from replog.core.events import RequestId
from replog.core.messages import (
    Acknowledgement,
    CommitNews,
)
from replog.core.progress import LinkState
from replog.core.write_concern import WriteConcern
from tests.core.desk import is_closed
from tests.core.disk import make_batch
from tests.core.greetings import refusal
from tests.core.parts import Action
from tests.core.world import World, serving_world

# --- R10: write concern ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("w", "acks"), [(1, 1), (2, 2), (3, 3), ("majority", 2), ("all", 3), (None, 3)]
)
def test_an_append_is_answered_at_its_write_concern(w: WriteConcern | None, acks: int) -> None:
    world = serving_world()
    request = world.append("x", "y", w=w)
    answered_at = []
    world.act(Action("disk", 0))
    world.act(Action("disk", 0))
    for number in (0, 1, 2):
        if number:
            while any(wire.to_secondary for wire in world.wires.values()):
                link = next(k for k, wire in world.wires.items() if wire.to_secondary)
                world.act(Action("down", link))
            while world.nodes[number].jobs:
                world.act(Action("disk", number))
            world.act(Action("up", number))
        if world.outcome(request) is not None:
            answered_at.append(number + 1)
    assert answered_at[0] == acks
    assert world.outcome(request) == Stored(EntryId(1), EntryId(2), acks, 3)


@pytest.mark.parametrize("w", [0, -1, 4])
def test_a_write_concern_that_no_number_of_nodes_can_meet_stores_nothing(w: int) -> None:
    world = serving_world()
    assert refusal(world.outcome(world.append("x", w=w))) is RefusalReason.BAD_WRITE_CONCERN
    assert not world.nodes[0].jobs


@pytest.mark.parametrize(
    ("secondaries", "said"),
    [
        (2, 'w is 4, but there are 3 nodes: give 1 to 3, "majority" or "all".'),
        (0, 'w is 4, but there is 1 node: give 1, "majority" or "all".'),
    ],
)
def test_it_says_which_write_concerns_there_are(secondaries: int, said: str) -> None:
    world = serving_world(secondaries)
    assert world.outcome(world.append("x", w=4)) == Refused(RefusalReason.BAD_WRITE_CONCERN, said)


def test_a_client_that_waits_for_all_blocks_nobody() -> None:
    world = serving_world()
    world.cut(2)
    slow = world.append("x")
    quick = world.append("y", w=1)
    world.settle()
    assert world.outcome(slow) is None
    assert isinstance(world.outcome(quick), Stored)
    world.dial_all()
    world.settle()
    assert isinstance(world.outcome(slow), Stored)


def test_a_secondary_counts_on_its_present_link_only() -> None:
    world = serving_world()
    first = world.append("x")
    world.settle()
    assert isinstance(world.outcome(first), Stored)
    world.cut(1)
    assert world.master.replicas.counted() == [1, 1]
    late = world.append("y", w=2, timeout=0)
    world.cut(2)
    world.settle()
    assert world.outcome(late) == Pending(EntryId(2), EntryId(2), 2, ("http://m",))


def test_the_head_of_an_acknowledgement_is_compared_before_it_counts() -> None:
    world = serving_world(1)
    request = world.append("x")
    world.act(Action("disk", 0))
    world.act(Action("disk", 0))
    (link,) = world.wires
    other = make_batch(GENESIS, 1, "other")
    effects = world.master.step(ev.Received(link, Acknowledgement(other.head)))
    assert is_closed(effects)
    assert world.outcome(request) is None
    assert world.master.replicas.peers[0].shown_state is LinkState.DIVERGED


def test_a_damaged_secondary_counts_up_to_its_damage_only() -> None:
    world = serving_world(1)
    world.append("x")
    world.settle()
    waiting = world.append("y")
    world.act(Action("disk", 0))
    world.act(Action("disk", 0))
    (link,) = world.wires
    head = world.nodes[0].disk.head
    world.step(0, ev.Received(link, Acknowledgement(head, EntryId(2))))
    assert world.outcome(waiting) is None
    assert world.master.replicas.counted() == [2, 1]


def test_a_damaged_master_counts_nobody_beyond_its_own_damage() -> None:
    """P2, P4: the master is among those that hold an entry, and shows it."""
    world = serving_world(1)
    world.append("x")
    world.settle()
    waiting = world.append("y", w=1)
    world.act(Action("disk", 0))
    bad = world.nodes[0].disk.rot(1, 1)
    world.step(0, ev.DamageFound(bad))
    world.act(Action("disk", 0))
    assert world.outcome(waiting) is None
    world.settle()
    assert world.outcome(waiting) == Stored(EntryId(2), EntryId(2), 2, 2)
    world.check_at_rest()


def test_secondaries_alone_are_no_copies_where_the_master_is_damaged() -> None:
    """P2: two others hold the entry, and still it waits for the master's own disk."""
    world = serving_world(2)
    world.append("x")
    world.settle()
    waiting = world.append("y", w=2)
    world.act(Action("disk", 0))
    bad = world.nodes[0].disk.rot(1, 1)
    world.step(0, ev.DamageFound(bad))
    world.act(Action("disk", 0))
    for link, secondary in ((k, world.nodes[wire.secondary]) for k, wire in world.wires.items()):
        while world.wires[link].to_secondary:
            world.act(Action("down", link))
        while secondary.jobs:
            world.act(Action("disk", world.wires[link].secondary))
        assert secondary.disk.head.last_id == 2
    for link, wire in world.wires.items():
        acks = [each for each in wire.to_master if isinstance(each, Acknowledgement)]
        wire.to_master.clear()
        for ack in acks:
            world.step(0, ev.Received(link, ack))
    assert [peer.counted_id for peer in world.master.replicas.peers] == [2, 2]
    assert world.outcome(waiting) is None


# --- timeouts, hanging up, stop -------------------------------------------------------------


def test_a_timeout_of_nothing_is_pending_once_it_is_durable_here() -> None:
    world = serving_world()
    world.cut(1)
    world.cut(2)
    request = world.append("x", timeout=0)
    world.tick()
    assert world.outcome(request) is None, "not durable yet: no honest answer"
    world.settle()
    assert world.outcome(request) == Pending(EntryId(1), EntryId(1), 3, ("http://m",))


def test_a_timeout_names_who_holds_the_entry() -> None:
    world = serving_world()
    world.cut(2)
    request = world.append("x", timeout=100)
    world.settle()
    world.tick(100)
    assert world.outcome(request) is None, "it may have come when the tick before was over"
    world.tick(1)
    assert world.outcome(request) == Pending(EntryId(1), EntryId(1), 3, ("http://m", "http://s1"))


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_who_hangs_up_at_any_stage_is_never_answered_and_leaves_nothing(stage: int) -> None:
    world = serving_world(1)
    world.cut(1)
    if stage == 0:
        world.append("ahead", w=1)
    request = world.append("x")
    if stage == 2:
        world.settle()
    world.step(0, ev.RequestAbandoned(RequestId(request)))
    world.run(50)
    world.check_at_rest()
    assert world.outcome(request) is None
    assert not world.master.appending._appends.abandoned
    assert (b"x" in world.nodes[0].disk.messages()) == (stage > 0)


def test_a_stop_answers_everybody_honestly() -> None:
    world = serving_world()
    world.cut(1)
    waiting = world.append("waits")
    world.settle()
    running = world.append("runs")
    queued = world.append("queued")
    world.step(0, ev.StopRequested())
    held = ("http://m", "http://s2")
    assert world.outcome(waiting) == Pending(EntryId(1), EntryId(1), 3, held)
    assert refusal(world.outcome(queued)) is RefusalReason.STOPPING
    assert world.outcome(running) is None
    world.act(Action("disk", 0))
    world.act(Action("disk", 0))
    assert world.outcome(running) == Pending(EntryId(2), EntryId(2), 3, ("http://m",))
    assert refusal(world.outcome(world.append("late"))) is RefusalReason.STOPPING


def test_a_failed_fdatasync_answers_that_nobody_knows_and_stores_nothing_more() -> None:
    world = serving_world()
    running = world.append("x", w=1)
    queued = world.append("y", w=1)
    world.step(0, ev.PersistFailed("EIO"))
    outcome = world.outcome(running)
    assert outcome == Pending(EntryId(1), EntryId(1), 1, (), is_unknown=True)
    assert refusal(world.outcome(queued)) is RefusalReason.STOPPING
    assert len(world.nodes[0].jobs) == 1, "nothing more is handed to the disk"


def test_a_full_disk_refuses_what_it_did_not_take_and_resumes_by_itself() -> None:
    world = serving_world()
    world.nodes[0].disk.is_full = True
    first, second = world.append("x"), world.append("y")
    world.settle()
    assert refusal(world.outcome(first)) is RefusalReason.DISK_FULL
    assert refusal(world.outcome(second)) is RefusalReason.DISK_FULL
    assert refusal(world.outcome(world.append("z"))) is RefusalReason.DISK_FULL
    world.nodes[0].disk.is_full = False
    world.tick(100)
    again = world.append("again")
    world.settle()
    assert world.outcome(again) == Stored(EntryId(1), EntryId(1), 3, 3)
    world.check_at_rest()


# --- R7: commit news, group commit ----------------------------------------------------------


def test_nothing_leaves_before_it_is_written_and_nothing_is_committed_before_it_is_durable() -> (
    None
):
    world = serving_world(1)
    world.append("x")
    (wire,) = world.wires.values()
    assert not wire.to_secondary
    world.act(Action("disk", 0))
    assert [type(message).__name__ for message in wire.to_secondary] == ["Batches"]
    assert world.nodes[0].shown == 0
    world.act(Action("disk", 0))
    assert wire.to_secondary[-1] == CommitNews(Epoch(1), EntryId(1))


def test_a_batch_that_follows_at_once_carries_the_news() -> None:
    world = serving_world(1)
    world.append("x")
    world.append("y")
    world.act(Action("disk", 0))
    world.act(Action("disk", 0))
    world.act(Action("disk", 0))
    (wire,) = world.wires.values()
    assert [type(message).__name__ for message in wire.to_secondary] == ["Batches", "Batches"]
    world.settle()
    world.check_at_rest()


def test_appends_that_arrive_during_a_write_form_one_batch() -> None:
    world = serving_world()
    world.append("x")
    for text in "yz":
        world.append(text)
    world.settle()
    assert [batch.messages for batch in world.nodes[0].disk.log] == [(b"x",), (b"y", b"z")]


@pytest.mark.parametrize("keys", [(), ("k",)], ids=["unkeyed", "keyed"])
def test_clients_that_hang_up_cost_the_same_however_many_wait(keys: tuple[str, ...]) -> None:
    """Looking for each of them among all makes the cost quadratic (P8)."""

    def hang_up(count: int) -> float:
        master = World(2).master  # it has not heard its secondaries: all are in line
        requests = list(map(RequestId, range(count)))
        for request in requests:
            master.step(ev.AppendRequested(request, (b'"x"',), 1, None, keys))
        is_idle = master.appending.is_idle
        assert not is_idle
        began = time.process_time()
        for request in reversed(requests):
            master.step(ev.RequestAbandoned(request))
        assert master.appending.is_idle
        return time.process_time() - began

    few, many = min(hang_up(200) for _ in range(3)), min(hang_up(2000) for _ in range(2))
    assert many < 40 * few
