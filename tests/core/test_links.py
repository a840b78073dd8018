"""A master's links: who is linked, proven, cut, silent or refused (R2-R4, R11).

PURE.
"""

from __future__ import annotations

import pickle
from typing import Literal

import pytest

from replog.core import effects as do
from replog.core import events as ev
from replog.core.effects import RefusalReason, Refused, Stored
from replog.core.entry import GENESIS, EntryId, Epoch, LogId, Tick
from replog.core.events import LinkId
from replog.core.health import Health
from replog.core.messages import (
    Acknowledgement,
    Heartbeat,
    Refusal,
    RefusalKind,
    Report,
    StreamStart,
)
from replog.core.progress import WINDOW_BYTES, WINDOW_BYTES_MAX, WORTH_BYTES, LinkState
from tests.core.desk import is_closed, said, sent
from tests.core.disk import Batch, chain
from tests.core.greetings import LOG, greet, hello, refusal
from tests.core.parts import Action
from tests.core.world import World, serving_world

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
    refused = world.outcome(world.append("x"))
    assert refusal(refused) is RefusalReason.NO_QUORUM
    assert isinstance(refused, Refused)
    assert refused.detail == (
        "1 of 3 nodes are reachable, 2 are required, and nothing was stored; start the missing "
        "nodes (http://s1, http://s2) or mend the way to them: it recovers by itself"
    )
    assert not world.nodes[0].jobs
    world.dial(1)
    world.settle()
    request = world.append("x", w=2)
    world.settle()
    assert isinstance(world.outcome(request), Stored)


def test_a_stopping_master_says_nothing_of_the_quorum_that_leaves_it() -> None:
    """Nodes are stopped together: "read-only" would read as a fault."""
    world = serving_world(quorum=True)
    world.step(0, ev.StopRequested())
    world.cut(1)
    world.cut(2)
    said_before = len(world.nodes[0].said)
    world.tick()
    assert not any("read-only" in line for line in world.nodes[0].said[said_before:])
    assert refusal(world.outcome(world.append("x"))) is RefusalReason.STOPPING


def test_a_paused_secondary_is_declared_down_by_ticks() -> None:
    world = serving_world(1)
    for _ in range(5):
        world.step(0, ev.Ticked(Tick(world.master.facts.now + 100)))
    assert world.master.replicas.peers[0].link is None
    assert world.master.replicas.reachable() == 1


def test_a_link_on_which_nobody_speaks_ends_though_its_secondary_was_unhealthy_before() -> None:
    """Its host lost power behind the handshake: no word comes, and no end of the connection."""
    world = World(1)
    world.begin()
    world.master.step(ev.Ticked(Tick(world.master.facts.now + 600)))
    (peer,) = world.master.replicas.peers
    assert peer.health.state is Health.UNHEALTHY
    world.master.step(ev.LinkOpened(LinkId(7), peer.index))
    world.master.step(ev.Ticked(Tick(world.master.facts.now + 499)))
    assert peer.link == LinkId(7), "it has as long as any link"
    effects = world.master.step(ev.Ticked(Tick(world.master.facts.now + 1)))
    assert do.CloseLink(LinkId(7), "no sign of life for 5 s") in effects
    assert peer.link is None


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
    world.nodes[1].core = world._new_core(1)  # It shows what is another history (P3).
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


# --- R4: the window -------------------------------------------------------------------------


@pytest.mark.parametrize("rest", [0, 1, WORTH_BYTES - 1])
def test_a_full_window_waits_for_an_acknowledgement(rest: int) -> None:
    """Also one that is nearly full: what would fit into its rest is not worth a frame."""
    world = serving_world(1, slow_reads=True)
    world.settle()
    for text in "ab":
        world.append(text, w=1)
        world.act(Action("disk", 0))
        world.act(Action("disk", 0))
    (link,) = world.wires
    first = world.nodes[0].disk.log[0].head
    world.nodes[0].reading.clear()
    full = ev.BatchesSent(link, first, WINDOW_BYTES - rest, EntryId(0), GENESIS)
    assert not any(isinstance(effect, do.SendBatches) for effect in world.master.step(full))
    effects = world.master.step(ev.Received(link, Acknowledgement(first)))
    (send,) = [effect for effect in effects if isinstance(effect, do.SendBatches)]
    assert send.after == first


@pytest.mark.parametrize("delay_s", [0.0, 0.5, 2.0, 100.0])
def test_a_window_grows_with_the_delay_of_its_secondary(delay_s: float) -> None:
    """Else a delay would be a limit of throughput (R12); a bound it has all the same (P10)."""
    world = serving_world(1, slow_reads=True)
    world.settle()
    (link,) = world.wires
    world.step(0, ev.Received(link, Heartbeat(Epoch(1), delay_s=delay_s)))
    for text in "ab":
        world.append(text, w=1)
        world.act(Action("disk", 0))
        world.act(Action("disk", 0))
    first = world.nodes[0].disk.log[0].head
    world.nodes[0].reading.clear()
    window = min(int(WINDOW_BYTES * (1 + 2 * delay_s)), WINDOW_BYTES_MAX)
    for size, is_room in ((window - WORTH_BYTES, True), (window - WORTH_BYTES + 1, False)):
        there = pickle.loads(pickle.dumps(world))
        effects = there.master.step(ev.BatchesSent(link, first, size, EntryId(0), GENESIS))
        assert any(isinstance(effect, do.SendBatches) for effect in effects) is is_room


def test_one_frame_is_read_after_the_other() -> None:
    """Two that begin at the same place would bring everything in them twice."""
    world = serving_world(1, slow_reads=True)
    world.settle()
    for text in "abc":
        world.append(text, w=1)
        world.act(Action("disk", 0))
        world.act(Action("disk", 0))
    reading = [job for job in world.nodes[0].reading if isinstance(job, do.SendBatches)]
    assert [job.after for job in reading] == [GENESIS]
    world.settle()
    world.check_at_rest()


# --- what seldom happens on a link ----------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (RefusalKind.DIVERGED, LinkState.DIVERGED),
        (RefusalKind.OTHER_LOG, LinkState.DIVERGED),
        (RefusalKind.SAME_NODE, LinkState.REFUSED),
    ],
)
def test_a_secondary_that_refuses_for_itself_takes_no_reign_away(
    kind: RefusalKind, state: LinkState
) -> None:
    """Only a newer epoch does: the others go on with this master."""
    world = serving_world()
    (link, _) = world.wires
    world.step(0, ev.Received(link, Refusal(kind, "why")))
    first, second = world.master.replicas.peers
    assert (first.shown_state, first.problem, first.link) == (state, "why", None)
    assert second.shown_state is LinkState.STREAMING
    request = world.append("x", w=2)
    world.settle()
    assert world.outcome(request) == Stored(EntryId(1), EntryId(1), 2, 3)


def test_the_state_shown_is_that_of_the_link_until_it_ends_by_a_verdict() -> None:
    world = World(1)
    world.begin()
    (peer,) = world.master.replicas.peers
    shown = [peer.shown_state]
    world.dial(1)
    shown.append(peer.shown_state)
    world.settle()
    shown.append(peer.shown_state)
    world.step(0, ev.Received(LinkId(1), Refusal(RefusalKind.DIVERGED, "why")))
    shown.append(peer.shown_state)
    world.dial(1)
    shown.append(peer.shown_state)
    world.settle()
    shown.append(peer.shown_state)
    assert shown == ["down", "greeting", "streaming", "diverged", "diverged", "streaming"]


def test_what_was_looked_up_for_an_earlier_report_proves_nothing_of_the_next() -> None:
    """Its log was cut, or is damaged, since then: a stream after what it held would not fit."""
    world = World(1, slow_reads=True)
    world.hold(0, LOG)
    world.hold(1, LOG[:3])
    world.begin()
    world.dial_all()
    while not world.nodes[0].reading:
        world.act(next(iter(world.internal())))
    (link,) = world.wires
    (peer,) = world.master.replicas.peers
    heads = (LOG[2].head, LOG[1].head)
    assert world.nodes[0].reading[0] == do.LookUp(link, heads[:1])
    effects = world.master.step(ev.Received(link, Report(heads[1], EntryId(0))))
    assert effects == [do.LookUp(link, heads[1:])]
    assert world.master.step(ev.LookedUp(link, heads[:1], (True,))) == []
    assert (peer.state, peer.counted_id) == (LinkState.PROVING, 0)
    effects = world.master.step(ev.LookedUp(link, heads[1:], (True,)))
    assert StreamStart(heads[1]) in sent(effects)
    assert peer.counted_id == 2
