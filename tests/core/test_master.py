"""What a master stores, counts, answers, tells and refuses (R1-R13).

PURE.
"""

from __future__ import annotations

from typing import Literal

import pytest

from replog.core import effects as do
from replog.core import events as ev
from replog.core.effects import Pending, RefusalReason, Refused, Stored
from replog.core.entry import GENESIS, EntryId, Epoch, LogId, NodeId, Tick
from replog.core.events import LinkId, RequestId, SecondaryIndex
from replog.core.messages import (
    Acknowledgement,
    CommitNews,
    Hello,
    Message,
    Refusal,
    RefusalKind,
    Report,
    StreamStart,
)
from replog.core.progress import LinkState
from replog.core.reign import Phase
from replog.core.write_concern import WriteConcern
from tests.core.disk import Batch, chain, make_batch
from tests.core.test_secondary import is_closed, said, sent
from tests.core.world import Action, World, serving_world

LOG = chain(GENESIS, 1, "a", "b", "c", "d")


def refusal(outcome: do.AppendOutcome | None) -> RefusalReason:
    assert isinstance(outcome, Refused)
    return outcome.reason


def hello(
    node: str = "s1", *, log: str | None = "log", epoch: int = 1, owner: str | None = "m"
) -> Hello:
    is_owned = NodeId(owner) if owner is not None else None
    log_id = None if log is None else LogId(log)
    return Hello(1, NodeId(node), log_id, Epoch(epoch), is_owned, 0.0)


def greet(world: World, index: int, message: Message) -> list[do.Effect]:
    """Let a made-up secondary say its first word; return what the master does for it."""
    world.next_link += 1
    link = LinkId(world.next_link)
    world.step(0, ev.LinkOpened(link, SecondaryIndex(index)))
    return world.master.step(ev.Received(link, message))


def dormant(held: int = 2, *, epoch: int = 1, damaged: bool = False, **settings: bool) -> World:
    """Return a world in which the master has started and nobody has been dialled."""
    world = World(2)
    world.hold(0, LOG[:held], epoch=epoch)
    if damaged:
        world.nodes[0].disk.rot(2, None)
    world.restart(0, **settings)
    return world


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
    world.tick(99)
    assert world.outcome(request) is None
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
    assert not world.master.appends.abandoned
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


def test_a_failed_fdatasync_answers_pending_and_stores_nothing_more() -> None:
    world = serving_world()
    running = world.append("x", w=1)
    queued = world.append("y", w=1)
    world.step(0, ev.PersistFailed("EIO"))
    outcome = world.outcome(running)
    assert outcome == Pending(EntryId(1), EntryId(1), 1, ())
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


# --- R8: epochs -----------------------------------------------------------------------------


def test_a_new_epoch_is_above_every_epoch_stored_or_heard() -> None:
    world = dormant()
    greet(world, 0, hello(epoch=6))
    world.step(0, ev.DialFailed(SecondaryIndex(1), "refused"))
    assert list(world.nodes[0].jobs) == [do.StoreEpoch(Epoch(7), NodeId("m"))]


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


@pytest.mark.parametrize(("epoch", "owner"), [(2, "n"), (3, "n"), (3, "m")])
def test_a_master_that_hears_of_a_newer_reign_is_read_only(epoch: int, owner: str) -> None:
    """The same owner with a higher epoch is a copy of the data directory."""
    world = dormant()
    world.unreachable = {1, 2}
    world.dial_all()
    world.settle()
    assert world.master.reign.phase is Phase.SERVING
    greet(world, 0, hello(epoch=epoch, owner=owner))
    assert refusal(world.outcome(world.append("x"))) is RefusalReason.SUPERSEDED


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
    assert world.master.reign.superseded


def test_after_damage_at_open_a_refused_connection_is_no_answer() -> None:
    world = dormant(2, damaged=True)
    world.hold(1, LOG[:2])
    world.hold(2, LOG[:2])
    world.restart(1)
    world.restart(2)
    world.unreachable = {2}
    world.run(400)
    assert not world.nodes[0].disk.damage, "repaired from the one that is there"
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


# --- R2, R11: links and health --------------------------------------------------------------


@pytest.mark.parametrize("node", ["s1", "m"])
def test_a_node_is_linked_once(node: str) -> None:
    world = serving_world()
    world.cut(2)
    effects = greet(world, 1, hello(node, epoch=1))
    (answer,) = sent(effects)
    assert isinstance(answer, Refusal)
    assert answer.kind is RefusalKind.SAME_NODE
    assert is_closed(effects)


def test_a_refused_secondary_is_said_once_however_often_it_is_dialled() -> None:
    world = serving_world()
    world.cut(2)
    lines = []
    for turn in range(30):
        lines += said(greet(world, 1, hello("s1", epoch=1)))
        lines += said(world.master.step(ev.Ticked(Tick(turn * 10))))
    assert len([line for line in lines if "s2" in line]) == 2, lines


def test_a_secondary_that_waits_for_its_welcome_is_not_called_dead() -> None:
    world = World(2)
    world.hold(1, LOG)
    world.nodes[1].disk.log_id = LogId("older")
    world.begin()
    world.run(4000, step=100)
    assert len(world.nodes[0].said) < 8, world.nodes[0].said


def test_a_quorum_out_of_reach_refuses_before_storing_and_recovers() -> None:
    world = serving_world(quorum=True)
    world.cut(1)
    world.cut(2)
    assert refusal(world.outcome(world.append("x"))) is RefusalReason.NO_QUORUM
    assert not world.nodes[0].jobs
    world.dial(1)
    world.settle()
    request = world.append("x", w=2)
    world.settle()
    assert isinstance(world.outcome(request), Stored)


def test_a_paused_secondary_is_declared_down_by_ticks() -> None:
    world = serving_world(1)
    for _ in range(5):
        world.step(0, ev.Ticked(Tick(world.master.facts.now + 100)))
    assert world.master.replicas.peers[0].link is None
    assert world.master.replicas.reachable() == 1


def test_an_answer_from_before_a_new_report_is_not_taken_for_one_of_after_it() -> None:
    world = serving_world(1, slow_reads=True)
    world.settle()
    for text in "abc":
        world.append(text, w=1)
        world.act(Action("disk", 0))
        world.act(Action("disk", 0))
    (link,) = world.wires
    old = world.nodes[0].reading.popleft()
    assert isinstance(old, do.SendBatches)
    world.step(0, ev.Received(link, Report(GENESIS, EntryId(0))))
    two = world.nodes[0].disk.log[1]
    stale = ev.BatchesSent(link, two.head, 100, EntryId(0), after=world.nodes[0].disk.log[0].head)
    world.step(0, stale)
    assert world.master.replicas.peers[0].sent == GENESIS


# --- R3: rejoin -----------------------------------------------------------------------------


def secondary_with(log: list[Batch], *, note: int) -> World:
    """Return a serving world whose secondary held `log`; the master holds four entries."""
    world = World(1)
    world.hold(0, LOG)
    world.hold(1, log, note=note)
    world.begin()
    world.unreachable = {1}
    world.dial_all()
    world.settle()
    world.append("e", w=1)
    world.settle()
    world.unreachable = set()
    world.dial_all()
    world.settle()
    return world


@pytest.mark.parametrize("shared", range(5))
@pytest.mark.parametrize("beyond", [0, 1, 2, 7])
def test_what_is_not_of_the_log_is_cut_exactly(shared: int, beyond: int) -> None:
    after = LOG[shared - 1].head if shared else GENESIS
    own = chain(after, 1, *(f"own {number}" for number in range(beyond)))
    world = secondary_with(LOG[:shared] + own, note=shared)
    world.check_at_rest()
    cut = [line for line in world.nodes[1].said if "quarantine" in line]
    assert len(cut) == (1 if beyond else 0)
    if beyond:
        assert f"after {shared} (" in cut[0]


@pytest.mark.parametrize("kind", ["note", "log"])
def test_a_committed_entry_that_differs_stops_the_link_and_nothing_is_cut(
    kind: Literal["note", "log"],
) -> None:
    own = chain(LOG[1].head, 1, "own 3", "own 4")
    world = World(1)
    world.hold(0, LOG)
    world.hold(1, LOG[:2] + own, note=3 if kind == "note" else 4)
    world.restart(0)
    world.secondary(1)
    world.nodes[1].core = world._new_core(1, world.nodes[1].disk)
    world.dial_all()
    world.settle()
    assert world.master.replicas.peers[0].shown_state is LinkState.DIVERGED
    assert world.nodes[1].disk.log == LOG[:2] + own
    detail = world.master.replicas.peers[0].problem
    assert str(own[-1].head) in detail
    assert str(LOG[-1].head) in detail


def test_a_stream_starts_only_at_a_proven_head() -> None:
    world = secondary_with(LOG[:3], note=3)
    starts = [line for line in world.nodes[0].said if "rejoined from entry 3" in line]
    assert starts
    assert StreamStart(LOG[2].head).after == LOG[2].head
