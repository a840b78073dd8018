"""R8: what a restarted master takes over from secondaries before its first batch.

PURE.
"""

from __future__ import annotations

import pytest

from replog.core import events as ev
from replog.core.effects import (
    RefusalReason,
    Refused,
    Repair,
    Say,
    Send,
    Stored,
)
from replog.core.entry import GENESIS, EntryId, Epoch, Tick
from replog.core.events import LinkId, SecondaryIndex
from replog.core.messages import Batches, Fetch, FetchEnd, Heartbeat
from replog.core.reign import Phase
from tests.core.disk import chain, frame
from tests.core.parts import Action, Wire
from tests.core.search import Budget, try_every_order
from tests.core.world import World

THREE = chain(GENESIS, 1, "a", "b", "c")
FIVE = chain(GENESIS, 1, "a", "b", "c", "d", "e")


def lagging_master(*logs: int, note: int = 0, slow_reads: bool = False) -> World:
    """Return a world where the master holds `logs[0]` of five batches, and so on."""
    world = World(len(logs) - 1, slow_reads=slow_reads)
    for number, length in enumerate(logs):
        world.hold(number, FIVE[:length], note=min(note, length))
    world.begin()
    return world


@pytest.mark.parametrize("logs", [(1, 3), (0, 2), (1, 5)])
def test_one_longer_log_is_adopted_in_every_order(logs: tuple[int, int]) -> None:
    world = lagging_master(*logs, note=logs[1])
    searched = try_every_order(world, Budget(cuts=(1,)))
    assert searched.rests


def test_of_two_longer_logs_both_keep_what_they_hold_in_every_order() -> None:
    """The second report may come while the first log is being adopted: it is no divergence."""
    world = lagging_master(1, 2, 3, note=3)
    world.dial_all()
    searched = try_every_order(world, Budget())
    assert searched.rests


def test_a_report_during_an_adoption_is_looked_at_again_when_the_log_has_grown() -> None:
    world = lagging_master(1, 3, 3, note=3, slow_reads=True)
    world.unreachable = {2}
    world.dial_all()
    while world.master.facts.durable.last_id < 2 and not world.master.facts.is_persisting:
        world.act(next(iter(world.internal())))
    # The first log is on its way to the disk: now the other secondary speaks.
    world.unreachable = set()
    world.dial(2)
    moves = [m for m in world.internal() if m != Action("disk", 0)]
    while moves:
        world.act(moves[0])
        moves = [m for m in world.internal() if m != Action("disk", 0)]
    world.settle()
    world.check_at_rest()
    assert [node.disk.head.last_id for node in world.nodes] == [3, 3, 3]


def test_what_is_adopted_is_shown_on_secondaries_that_stream_already() -> None:
    world = lagging_master(1, 1, 3)
    world.dial_all()
    world.settle()
    world.check_at_rest()


def test_a_late_longer_log_is_adopted_while_no_batch_was_made() -> None:
    world = lagging_master(1, 1, 3)
    world.unreachable = {2}
    world.dial_all()
    world.settle()
    assert world.master.reign.phase is Phase.SERVING
    world.unreachable = set()
    world.dial_all()
    world.settle()
    world.check_at_rest()
    assert world.nodes[0].disk.head == FIVE[2].head


def test_after_the_first_batch_a_longer_log_is_cut_if_none_of_it_was_committed() -> None:
    world = lagging_master(1, 1, 3)
    world.unreachable = {2}
    world.dial_all()
    world.settle()
    world.append("new", w=1)
    world.settle()
    world.unreachable = set()
    world.dial_all()
    world.settle()
    world.check_at_rest()
    assert [b.messages for b in world.nodes[2].disk.log] == [(b"a",), (b"new",)]


def test_while_the_first_batch_is_made_a_longer_log_is_cut_and_not_adopted() -> None:
    """Its ids are given away already: two batches for one id would be adopted over each other."""
    world = lagging_master(1, 1, 3)
    world.unreachable = {2}
    world.dial_all()
    world.settle()
    request = world.append("new", w=1)
    world.unreachable = set()
    world.dial(2)
    while moves := [move for move in world.internal() if move != Action("disk", 0)]:
        world.act(moves[0])
    assert world.nodes[0].jobs, "the first batch is still on its way to the disk"
    assert world.nodes[2].disk.head == FIVE[0].head
    world.settle()
    assert world.outcome(request) is not None
    assert not any("adopting" in line for line in world.nodes[0].said)
    world.check_at_rest()
    assert [b.messages for b in world.nodes[0].disk.log] == [(b"a",), (b"new",)]


def test_an_append_waits_for_the_adoption_and_gets_the_id_after_it() -> None:
    world = lagging_master(1, 3)
    request = world.append("new")
    world.dial_all()
    world.settle()
    assert world.outcome(request) == Stored(EntryId(4), EntryId(4), 2, 2)
    world.check_at_rest()


def test_a_full_disk_during_an_adoption_is_tried_again_later_from_the_same_place() -> None:
    world = lagging_master(1, 5)
    world.nodes[0].disk.is_full = True
    world.dial_all()
    world.settle(moves_max=100)
    assert world.nodes[0].disk.head.last_id == 1
    said = len(world.nodes[0].said)
    world.run(300)
    new = world.nodes[0].said[said:]
    assert len([line for line in new if line.startswith("read-only: ")]) <= 1, new
    assert len(new) < 5, new
    world.nodes[0].disk.is_full = False
    world.run(200)
    world.check_at_rest()
    assert world.nodes[0].disk.head == FIVE[4].head


def test_a_donor_whose_link_is_replaced_is_asked_again() -> None:
    """A new connection may take the place of the old one without a word of its end."""
    world = lagging_master(1, 3)
    world.dial_all()
    while "adopting" not in " ".join(world.nodes[0].said):
        world.act(next(iter(world.internal())))
    (old,) = world.wires
    world.wires.clear()
    world.next_link += 1
    world.step(1, ev.LinkClosed(old, "gone"))
    new = LinkId(world.next_link)
    world.wires[new] = Wire(1)
    world.step(1, ev.LinkOpened(new))
    world.step(0, ev.LinkOpened(new, SecondaryIndex(0)))
    world.settle()
    world.check_at_rest()
    assert world.nodes[0].disk.head == FIVE[2].head


def test_of_several_longer_logs_the_highest_position_is_adopted() -> None:
    world = lagging_master(1, 3, 5)
    world.dial_all()
    world.settle()
    adopted = [line for line in world.nodes[0].said if "adopting" in line]
    assert adopted
    assert all(line.startswith("http://s2 ") for line in adopted)
    world.check_at_rest()


@pytest.mark.parametrize("note", [1, 3])
def test_a_longer_log_that_is_damaged_behind_the_masters_end_does_not_hold_up_for_ever(
    note: int,
) -> None:
    """It is adopted as far as it is good; what nobody can read any more holds up nobody."""
    world = lagging_master(1, 5, note=note)
    world.dial_all()
    bad = world.nodes[1].disk.rot(4, None)
    world.step(1, ev.DamageFound(bad))
    world.run(600)
    assert world.nodes[0].disk.head == FIVE[2].head
    request = world.append("new", w=1)
    world.settle()
    assert isinstance(world.outcome(request), Stored)


def test_a_donor_that_gives_nothing_is_left_alone_for_a_while() -> None:
    world = lagging_master(1, 3)
    world.dial_all()
    while "adopting" not in " ".join(world.nodes[0].said):
        world.act(next(iter(world.internal())))
    (link,) = world.wires
    end = FetchEnd(FIVE[0].head, found=True)
    effects = world.master.step(ev.Received(link, end))
    assert not any(isinstance(effect, Send) for effect in effects)
    looked = world.master.step(ev.LookedUp(link, (FIVE[2].head,), (False,)))
    asked = [e.message for e in looked if isinstance(e, Send)]
    assert not any(isinstance(message, Fetch) for message in asked)


def test_a_repair_of_a_master_that_stops_growing_asks_another_time() -> None:
    world = World(1)
    world.hold(0, FIVE)
    world.hold(1, FIVE)
    world.begin()
    world.dial_all()
    world.settle()
    bad = world.nodes[0].disk.rot(2, 4)
    effects = world.master.step(ev.DamageFound(bad))
    (fetch,) = [e.message for e in effects if isinstance(e, Send)]
    assert fetch == Fetch(FIVE[0].head, EntryId(4))
    (link,) = world.wires
    part = ev.Received(link, frame([FIVE[1]]))
    end = ev.Received(link, FetchEnd(FIVE[1].head, found=True))
    assert not world.master.step(part)
    (again,) = [e.message for e in world.master.step(end) if isinstance(e, Send)]
    assert again == Fetch(FIVE[1].head, EntryId(4))
    assert not [e for e in world.master.step(end) if isinstance(e, Send)], "not at once"
    world.master.step(ev.Ticked(Tick(499)))
    later = world.master.step(ev.Received(link, Heartbeat(Epoch(1))))
    later += world.master.step(ev.Ticked(Tick(501)))
    assert Fetch(FIVE[0].head, EntryId(4)) in [e.message for e in later if isinstance(e, Send)]


def test_a_longer_log_that_cannot_be_had_is_cut_when_the_first_batch_is_made() -> None:
    world = lagging_master(1, 3)
    world.master.replicas.peers[0].no_donor_until = Tick(1_000_000)
    world.run(300)
    assert world.master.reign.phase is Phase.SERVING
    world.append("new", w=1)
    world.settle()
    world.check_at_rest()
    assert [batch.messages for batch in world.nodes[1].disk.log] == [(b"a",), (b"new",)]


# --- donors that fail -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "why"),
    [
        (frame(FIVE[3:4]), "batches do not follow on"),
        (frame(FIVE[1:2], epoch=Epoch(9)), "batches do not follow on"),
        (FetchEnd(FIVE[0].head, found=False), "it no longer holds"),
    ],
    ids=["a gap", "a later epoch", "not found"],
)
def test_a_donor_that_cannot_give_what_it_reported_loses_its_link_and_another_is_asked(
    word: Batches | FetchEnd, why: str
) -> None:
    world = lagging_master(1, 3, 3)
    world.dial_all()
    while not any("http://s1 " in line and "adopting" in line for line in world.nodes[0].said):
        world.act(next(iter(world.internal())))
    link = world.master.replicas.peers[0].link
    assert link is not None
    said = len(world.nodes[0].said)
    world.step(0, ev.Received(link, word))
    line = world.nodes[0].said[said]
    assert line.startswith(f"link to http://s1 is down: {why}")
    assert link not in world.wires
    assert not world.nodes[0].jobs, "nothing of it is stored"
    world.run(100)
    donors = [line.split()[0] for line in world.nodes[0].said if "adopting" in line]
    assert donors == ["http://s1", "http://s2"], "the first is left alone for a while"
    assert world.nodes[0].disk.head == FIVE[2].head
    world.check_at_rest()


def test_a_repair_that_fails_asks_another_secondary_and_its_reason_is_said_once() -> None:
    world = World(2)
    for number in range(3):
        world.hold(number, FIVE)
    world.begin()
    world.dial_all()
    world.settle()
    bad = world.nodes[0].disk.rot(2, 4)
    links = [peer.link for peer in world.master.replicas.peers]
    asked, lines = [], []
    effects = world.master.step(ev.DamageFound(bad))
    for _ in range(2):
        (send,) = [e for e in effects if isinstance(e, Send)]
        asked.append(send.link)
        world.master.step(ev.Received(send.link, frame(FIVE[1:4])))
        end = ev.Received(send.link, FetchEnd(FIVE[3].head, found=True))
        assert Repair(bad, (frame(FIVE[1:4]),)) in world.master.step(end)
        effects = world.master.step(ev.RepairFailed(bad, "the chain does not close"))
        lines += [e.text for e in effects if isinstance(e, Say) and "failed" in e.text]
    assert asked == links
    assert lines == ["repair failed: the chain does not close; trying on"]
    assert not [e for e in effects if isinstance(e, Send)], "both are left alone for a while"
    again = world.master.step(ev.Ticked(Tick(499)))
    for link in asked:
        again += world.master.step(ev.Received(link, Heartbeat(Epoch(1))))
    assert not [e for e in again if isinstance(e, Send) and isinstance(e.message, Fetch)]
    again = world.master.step(ev.Ticked(Tick(500)))
    assert Fetch(FIVE[0].head, EntryId(4)) in [e.message for e in again if isinstance(e, Send)]


def test_an_append_is_taken_while_adopting_once_all_have_spoken_after_a_loss() -> None:
    """R8: damage of an earlier start holds appends up only until every log was told of."""
    world = World(2)
    for number, length in enumerate((1, 3, 1)):
        world.hold(number, FIVE[:length])
    world.nodes[0].disk.is_loss_unsettled = True
    world.begin()
    world.dial(1)
    world.step(0, ev.DialFailed(SecondaryIndex(1), "refused"))
    world.settle()
    early = world.append("early")
    outcome = world.outcome(early)
    assert isinstance(outcome, Refused)
    assert outcome.reason is RefusalReason.DAMAGED
    assert "http://s2 may hold what was lost" in outcome.detail
    world.dial(2)
    while not all(peer.has_spoken for peer in world.master.replicas.peers):
        world.act(next(iter(world.internal())))
    assert world.master.reign.phase is Phase.ADOPTING
    request = world.append("new", w=3)
    assert world.outcome(request) is None, "it waits, and is not refused"
    world.settle()
    assert world.outcome(request) == Stored(EntryId(4), EntryId(4), 3, 3)
    world.check_at_rest()
