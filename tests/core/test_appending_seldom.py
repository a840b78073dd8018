"""What seldom becomes of an append: keys that cannot be looked up, a batch that is no good.

PURE.
"""

from __future__ import annotations

import pytest

from replog.core import effects as do
from replog.core import events as ev
from replog.core.effects import Pending, RefusalReason, Refused, Stored
from replog.core.entry import EntryId
from replog.core.events import RequestId
from replog.core.reign import Phase
from tests.core.greetings import dormant, refusal
from tests.core.world import World, serving_world


def looking_up(world: World) -> tuple[int, int]:
    """Let a stored key be looked for twice: the second append waits for the first one's fate."""
    world.append("x", keys=("k",), w=1)
    world.settle()
    world.slow_reads = True
    first = world.append("x", keys=("k",), w=1)
    second = world.append("x", keys=("k",), w=1)
    (job,) = world.nodes[0].reading
    assert isinstance(job, do.ConfirmKeys)
    assert job.request == first
    return first, second


# --- keys that cannot be looked up ------------------------------------------------------------


def test_an_append_with_a_key_is_not_ready_while_no_epoch_can_be_stored() -> None:
    """R8: what secondaries hold joins the log first, and the key may be there."""
    world = dormant()
    world.step(0, *(ev.DialFailed(peer.index, "refused") for peer in world.master.replicas.peers))
    assert world.master.reign.phase is Phase.OPENING
    world.step(0, ev.StoreDelayed("no space"))
    outcome = world.outcome(world.append("x", keys=("k",)))
    assert isinstance(outcome, Refused)
    assert outcome.reason is RefusalReason.NOT_READY
    assert "send it again under the same key" in outcome.detail
    assert refusal(world.outcome(world.append("x"))) is RefusalReason.DISK_FULL


def test_keys_that_cannot_be_read_refuse_who_waits_and_are_read_for_the_next() -> None:
    world = serving_world()
    world.slow_reads = True
    first = world.append("x", keys=("k",))
    second = world.append("y", keys=("l",))
    (load,) = world.nodes[0].reading
    assert isinstance(load, do.LoadKeys)
    world.nodes[0].reading.clear()
    world.step(0, ev.KeysLoaded(None, load.number, "too many open files"))
    for request in (first, second):
        outcome = world.outcome(request)
        assert isinstance(outcome, Refused)
        assert outcome.detail == "the log's keys cannot be read: too many open files"
    again = world.append("x", keys=("k",))
    world.settle()
    assert world.outcome(again) == Stored(EntryId(1), EntryId(1), 3, 3)


def test_a_key_that_cannot_be_looked_up_is_refused_and_who_waited_for_it_looks_anew() -> None:
    world = serving_world()
    first, second = looking_up(world)
    world.nodes[0].reading.clear()
    number = world.master.appending._window.number
    failed = ev.KeysConfirmed(
        RequestId(first), None, is_same=False, number=number, problem="too many open files"
    )
    world.step(0, failed)
    outcome = world.outcome(first)
    assert isinstance(outcome, Refused)
    assert outcome.detail == "the log's keys cannot be read: too many open files"
    assert world.outcome(second) is None
    world.settle()
    assert world.outcome(second) == Stored(EntryId(1), EntryId(1), 3, 3, is_replayed=True)
    assert world.nodes[0].disk.messages() == [b"x"]


def test_damage_that_hides_a_key_refuses_everybody_who_asks_for_it() -> None:
    world = serving_world(0)
    requests = looking_up(world)
    world.nodes[0].disk.rot(1, 1)
    world.slow_reads = False
    world.settle()
    for request in requests:
        assert refusal(world.outcome(request)) is RefusalReason.DAMAGED
    assert world.master.appending.is_idle


def test_a_stop_refuses_who_looks_for_a_key_and_who_waits_for_that() -> None:
    world = serving_world()
    requests = looking_up(world)
    world.step(0, ev.StopRequested())
    for request in requests:
        assert refusal(world.outcome(request)) is RefusalReason.STOPPING
    world.settle()
    assert world.master.appending.is_idle, "the late answer about the key changes nothing"


def test_who_sent_something_else_under_a_key_that_failed_is_told_that_it_is_not_stored() -> None:
    """Its own messages were never handed to the disk: "unknown" would be the lie here."""
    world = serving_world()
    world.append("warm", keys=("w",))
    world.settle()
    first = world.append("x", keys=("k",), w=1)
    other = world.append("another", keys=("k",), w=1)
    world.step(0, ev.PersistFailed("EIO"))
    assert world.outcome(first) == Pending(EntryId(2), EntryId(2), 1, (), is_unknown=True)
    assert refusal(world.outcome(other)) is RefusalReason.STOPPING


# --- batches ----------------------------------------------------------------------------------


def test_appends_that_arrive_together_are_one_batch_but_for_those_that_are_refused() -> None:
    world = serving_world()
    together = (
        ev.AppendRequested(RequestId(901), (b"a",), 1),
        ev.AppendRequested(RequestId(902), (b"b",), 9),
        ev.AppendRequested(RequestId(903), (b"c", b"d"), 1),
    )
    world.step(0, ev.AppendsRequested(together))
    world.settle()
    assert world.outcome(901) == Stored(EntryId(1), EntryId(1), 1, 3)
    assert refusal(world.outcome(902)) is RefusalReason.BAD_WRITE_CONCERN
    assert world.outcome(903) == Stored(EntryId(2), EntryId(3), 1, 3)
    assert [batch.messages for batch in world.nodes[0].disk.log] == [(b"a", b"c", b"d")]


def test_an_append_that_expects_another_end_is_judged_when_what_is_before_it_is_durable() -> None:
    """What would prove it wrong may never be stored: a batch ends before it."""
    world = serving_world()
    world.append("running")
    ahead = world.append("ahead", w=1)
    wrong = world.append("wrong", w=1, expect=1)
    right = world.append("right", w=1, expect=2)
    world.settle()
    log = world.nodes[0].disk.log
    assert [batch.messages for batch in log] == [(b"running",), (b"ahead",), (b"right",)]
    assert world.outcome(ahead) == Stored(EntryId(2), EntryId(2), 1, 3)
    assert world.outcome(right) == Stored(EntryId(3), EntryId(3), 1, 3)
    refused = world.outcome(wrong)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.last_id) == (RefusalReason.PRECONDITION_FAILED, 2)


@pytest.mark.parametrize(
    ("is_too_large", "reason"),
    [(True, RefusalReason.TOO_LARGE), (False, RefusalReason.DAMAGED)],
)
def test_a_batch_that_the_log_does_not_take_is_refused_and_the_next_one_is_tried_at_once(
    is_too_large: bool, reason: RefusalReason
) -> None:
    world = serving_world()
    request = world.append("x", w=1)
    assert len(world.nodes[0].jobs) == 1
    world.nodes[0].jobs.clear()
    why = "what the disk says"
    world.step(0, ev.PersistRefused(why, is_full=False, is_too_large=is_too_large))
    assert world.outcome(request) == Refused(reason, why)
    again = world.append("y", w=1)
    assert world.nodes[0].jobs[0] == do.Persist(
        EntryId(1), (b"y",), world.master.reign.epoch, EntryId(0), ()
    )
    world.settle()
    assert world.outcome(again) == Stored(EntryId(1), EntryId(1), 1, 3)
