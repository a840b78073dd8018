"""Idempotency keys and conditional appends: stored once, or not at all (P6).

PURE.
"""

from __future__ import annotations

import time
import tracemalloc

import pytest

from replog.core import events as ev
from replog.core.effects import LoadKeys, Pending, RefusalReason, Refused, Stored
from replog.core.entry import EntryId
from replog.core.events import RequestId
from replog.core.keys import KeyWindow
from replog.core.reign import Phase
from replog.core.waiters import QueuedAppend
from tests.core.disk import make_batch
from tests.core.greetings import LOG
from tests.core.world import World, serving_world


def outcome(world: World, request: int) -> object:
    world.settle()
    return world.outcome(request)


def stored(entry_id: int, last_id: int | None = None, *, replayed: bool = True) -> Stored:
    last = entry_id if last_id is None else last_id
    return Stored(EntryId(entry_id), EntryId(last), 3, 3, replayed)


def test_a_key_sent_again_gets_the_first_answer_and_stores_nothing() -> None:
    world = serving_world()
    assert outcome(world, world.append("x", keys=("k",))) == stored(1, replayed=False)
    assert outcome(world, world.append("x", keys=("k",))) == stored(1)
    assert outcome(world, world.append("y", keys=("other",))) == stored(2, replayed=False)
    assert world.nodes[0].disk.messages() == [b"x", b"y"]


def test_a_key_of_another_message_is_refused_and_names_the_entry() -> None:
    world = serving_world()
    world.append("x", keys=("k",))
    world.settle()
    refused = outcome(world, world.append("y", keys=("k",)))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.id) == (RefusalReason.KEY_REUSED, 1)
    assert world.nodes[0].disk.messages() == [b"x"]


def test_a_retry_while_the_first_is_in_flight_gets_the_same_entry() -> None:
    world = serving_world()
    first = world.append("x", keys=("k",))
    again = world.append("x", keys=("k",))
    other = world.append("y", keys=("k",))
    assert outcome(world, first) == stored(1, replayed=False)
    assert world.outcome(again) == stored(1)
    refused = world.outcome(other)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.KEY_REUSED


def test_a_retry_waits_for_its_own_write_concern() -> None:
    world = serving_world()
    world.cut(2)
    world.unreachable = {2}
    first = world.append("x", keys=("k",), w=1)
    world.settle()
    two = world.append("x", keys=("k",), w=2)
    all_ = world.append("x", keys=("k",), w=3)
    short = world.append("x", keys=("k",), w=3, timeout=5)
    world.settle()
    assert world.outcome(first) == Stored(EntryId(1), EntryId(1), 1, 3)
    assert world.outcome(two) == Stored(EntryId(1), EntryId(1), 2, 3, is_replayed=True)
    assert world.outcome(all_) is None
    world.run(10)
    pending = world.outcome(short)
    assert pending == Pending(
        EntryId(1), EntryId(1), 3, ("http://m", "http://s1"), is_replayed=True
    )
    world.unreachable = set()
    world.run(300)
    assert world.outcome(all_) == stored(1)


def test_keys_are_known_after_a_restart_and_after_adoption() -> None:
    world = serving_world()
    world.append("x", keys=("k",))
    world.settle()
    world.restart(0)
    world.run(300)
    assert outcome(world, world.append("x", keys=("k",))) == stored(1)
    world.append("late", keys=("l",))
    world.settle()
    disk = world.nodes[0].disk
    del disk.log[1:]
    disk.durable = 1
    disk.note = world.nodes[0].shown = EntryId(1)
    world.restart(0)
    world.run(300)
    assert outcome(world, world.append("late", keys=("l",))) == stored(2)


def test_several_entries_with_one_key_are_one_run() -> None:
    world = serving_world()
    first = world.append("a", "b", "c", keys=("k", None, "k"))
    assert outcome(world, first) == stored(1, 3, replayed=False)
    assert outcome(world, world.append("a", "b", "c", keys=("k", None, "k"))) == stored(1, 3)
    for texts in (("a",), ("a", "b"), ("a", "b", "x"), ("a", "x", "c"), ("a", "b", "c", "d")):
        keys = ("k", *([None] * (len(texts) - 2)), "k") if len(texts) > 1 else ("k",)
        refused = outcome(world, world.append(*texts, keys=keys))
        assert isinstance(refused, Refused), texts
        assert refused.reason is RefusalReason.KEY_REUSED
    assert len(world.nodes[0].disk.messages()) == 3


def test_entries_with_keys_of_their_own_are_replayed_only_as_they_were() -> None:
    world = serving_world()
    world.append("zero")
    assert outcome(world, world.append("a", "b", "c", keys=("k1", None, "k3"))) == stored(
        2, 4, replayed=False
    )
    assert outcome(world, world.append("a", "b", "c", keys=("k1", None, "k3"))) == stored(2, 4)
    wrong = (
        (("a", "c"), ("k1", "k3")),  # not behind one another
        (("a", "b"), ("k1", "new")),  # one is stored, the other is not
        (("c", "b", "a"), ("k3", None, "k1")),  # another order
        (("a", "b", "x"), ("k1", None, "k3")),  # another message
    )
    for texts, keys in wrong:
        refused = outcome(world, world.append(*texts, keys=keys))
        assert isinstance(refused, Refused), texts
        assert refused.reason is RefusalReason.KEY_REUSED
    assert outcome(world, world.append("a", keys=("k1",))) == stored(2), "one of them alone"
    assert len(world.nodes[0].disk.messages()) == 4


def test_a_refused_batch_frees_its_keys() -> None:
    world = serving_world()
    world.nodes[0].disk.is_full = True
    first = world.append("x", keys=("k",))
    again = world.append("x", keys=("k",))
    world.settle()
    for request in (first, again):
        refused = world.outcome(request)
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.DISK_FULL
    world.nodes[0].disk.is_full = False
    world.run(200)
    assert outcome(world, world.append("x", keys=("k",))) == stored(1, replayed=False)


def test_what_is_stored_is_replayed_also_while_the_disk_is_full() -> None:
    """A retry must never be told that it failed when the entry is there."""
    world = serving_world()
    world.append("x", keys=("k",))
    world.settle()
    world.nodes[0].disk.is_full = True
    world.append("more")
    world.settle()
    assert outcome(world, world.append("x", keys=("k",))) == stored(1)


@pytest.mark.parametrize("waits_for", ["the window", "the first", "the log"])
def test_who_hangs_up_while_a_key_is_looked_at_leaves_nothing(waits_for: str) -> None:
    world = serving_world()
    if waits_for != "the window":
        world.append("x", keys=("k",))
        if waits_for == "the log":
            world.settle()
    world.slow_reads = True
    request = world.append("x", keys=("k",))
    world.step(0, ev.RequestAbandoned(RequestId(request)))
    world.slow_reads = False
    world.settle()
    world.run(10)
    assert world.outcome(request) is None
    world.check_at_rest()
    assert outcome(world, world.append("x", keys=("k",))) is not None


def test_a_stop_answers_who_waits_for_a_key() -> None:
    world = serving_world()
    world.slow_reads = True
    request = world.append("x", keys=("k",))
    world.step(0, ev.StopRequested())
    refused = world.outcome(request)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.STOPPING


def test_who_sent_the_same_again_is_told_of_it_when_the_disk_fails() -> None:
    """What may be stored is never called refused."""
    world = serving_world()
    world.append("warm", keys=("w",))
    world.settle()
    first = world.append("x", keys=("k",), w=1)
    same = world.append("x", keys=("k",), w=1)
    world.step(0, ev.PersistFailed("EIO"))
    for request in (first, same):
        told = world.outcome(request)
        assert isinstance(told, Pending)
        assert told.is_unknown
        assert told.first_id == 2


def test_a_stop_waits_for_the_batch_that_holds_the_key() -> None:
    world = serving_world()
    world.append("warm", keys=("w",))
    world.settle()
    world.append("x", keys=("k",), w=1)
    same = world.append("x", keys=("k",), w=1)
    world.step(0, ev.StopRequested())
    assert world.outcome(same) is None
    world.settle()
    told = world.outcome(same)
    assert isinstance(told, Stored)
    assert told.is_replayed


@pytest.mark.parametrize("stage", ["loading", "confirming", "queued"])
def test_a_key_that_arrives_by_adoption_is_not_stored_again(stage: str) -> None:
    """The log grew from elsewhere after the window was read, or asked for (R8)."""
    world = World(2)
    world.hold(0, LOG[:1])
    extended = [*LOG[:1], make_batch(LOG[0].head, 1, "x", keys=((EntryId(2), "k"),))]
    world.hold(1, extended, note=2)
    world.begin()
    world.unreachable = {1, 2}
    world.dial_all()
    world.settle()
    assert world.master.reign.phase is Phase.SERVING
    appending = world.master.appending
    if stage != "loading":
        appending._window.load([(EntryId(1), "k")] if stage == "confirming" else [])
    # The append and the secondary's hello come together: nothing was made here yet.
    world.master.reign.phase = Phase.ADOPTING
    world.slow_reads = True
    request = world.append("x", w=1, keys=("k",))
    world.slow_reads = False
    world.unreachable = set()
    world.run(400)
    assert world.nodes[0].disk.messages() == [b"a", b"x"], "stored twice"
    told = world.outcome(request)
    assert isinstance(told, Stored)
    assert (told.first_id, told.is_replayed) == (2, True)


def test_of_many_who_wait_for_the_key_of_a_run_one_goes_on_when_it_was_refused() -> None:
    world = serving_world()
    run = ("k", None, "k")
    world.append("warm", keys=("w",))
    world.settle()
    world.nodes[0].disk.is_full = True
    requests = [world.append("a", "b", "c", keys=run) for _ in range(4)]
    world.settle()
    world.nodes[0].disk.is_full = False
    world.run(200)
    assert not any(isinstance(world.outcome(request), Stored) for request in requests)
    again = [world.append("a", "b", "c", keys=run) for _ in range(4)]
    world.settle()
    told = [world.outcome(request) for request in again]
    assert all(isinstance(one, Stored) and one.first_id == 2 for one in told)
    assert len(world.nodes[0].disk.messages()) == 4


def test_a_key_that_was_taken_up_again_stays_taken() -> None:
    window = KeyWindow()
    window.load([])
    queued = [QueuedAppend(RequestId(n), (b"a", b"b"), 2, 1, None, ("k", "k")) for n in range(3)]
    window.begin(queued[0].keys)
    window.hold("k", queued[1])
    window.hold("k", queued[2])
    for waiting in window.end(queued[0].keys):
        if window.holder_of(waiting.keys) is None:
            window.begin(waiting.keys)
        else:
            window.hold("k", waiting)
    assert window.holder_of(("k",)) == "k"
    assert window.end(("k",)) == [queued[2]]


# --- the window ---------------------------------------------------------------------------------


def test_the_window_holds_the_keys_of_so_many_entries_and_no_more() -> None:
    window = KeyWindow(entries=10)
    window.load([])
    for entry_id in range(1, 1001):
        window.stored([(EntryId(entry_id), f"key {entry_id}")], last_id=EntryId(entry_id))
    last = EntryId(1000)
    known = [n for n in range(1, 1001) if window.candidates((f"key {n}",), last_id=last)]
    assert known == list(range(991, 1001))
    assert len(window._ids) == 10


def test_a_key_that_comes_again_and_again_takes_no_more_room() -> None:
    window = KeyWindow(entries=10)
    window.load([])
    for entry_id in range(1, 1001, 11):
        window.stored([(EntryId(entry_id), "key")], last_id=EntryId(entry_id))
    assert list(map(len, window._ids.values())) == [1]


def test_two_keys_of_one_hash_are_told_apart_in_the_log() -> None:
    world = serving_world()
    world.append("x", keys=("k",))
    world.settle()
    window = world.master.appending._window
    window._ids[hash("other")] = (EntryId(1),)
    assert outcome(world, world.append("y", keys=("other",))) == stored(2, replayed=False)


@pytest.mark.parametrize("keys", [("k",), ()], ids=["keyed", "unkeyed"])
def test_an_append_is_refused_while_damage_hides_the_keys(keys: tuple[str, ...]) -> None:
    world = serving_world(0)
    world.append("x", w=1)
    world.settle()
    world.nodes[0].disk.rot(1, 1)
    keyed = world.append("y", keys=("k",), w=1, timeout=100)
    refused = outcome(world, keyed)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.DAMAGED
    refused = outcome(world, world.append("z", keys=keys, w=1))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.DAMAGED


def test_an_append_that_waits_for_its_keys_is_refused_where_damage_is_found_meanwhile() -> None:
    world = serving_world(0)
    world.append("x", w=1)
    world.settle()
    rotten = world.nodes[0].disk.rot(1, 1)
    world.slow_reads = True
    keyed = world.append("y", keys=("k",), w=1)
    world.step(0, ev.DamageFound(rotten))
    world.slow_reads = False
    world.settle()
    refused = world.outcome(keyed)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.DAMAGED


def test_a_window_that_has_moved_on_for_long_costs_what_a_new_one_costs() -> None:
    """The oldest key is found without walking the places of those that left before (P8)."""
    window = KeyWindow(entries=23_000)

    def pass_by(first: int) -> float:
        began = time.process_time()
        for number in range(first, first + 1000):
            entry_id = EntryId(number)
            window.stored([(entry_id, f"key-{number}")], last_id=entry_id)
        return time.process_time() - began

    costs = [pass_by(first) for first in range(1, 66_000, 1000)]
    assert sum(costs[-20:]) < 5 * sum(costs[:20])


def test_the_window_is_read_with_the_first_key_and_no_further_back_than_it_reaches() -> None:
    world = serving_world()
    for number in range(5):
        world.append(str(number))
    world.settle()
    world.master.appending._window.entries = 2

    def loads(keys: tuple[str | None, ...], request: int) -> list[LoadKeys]:
        asked = ev.AppendRequested(RequestId(request), (b"x",), 1, None, keys, None)
        return [one for one in world.master.step(asked) if isinstance(one, LoadKeys)]

    assert loads((), 900) == []
    [load] = loads(("k",), 901)
    assert (load.first_id, load.last_id) == (4, 5)


@pytest.mark.slow
def test_a_full_window_takes_what_the_documents_say_for_each_key() -> None:
    window = KeyWindow()
    window.load([])
    tracemalloc.start()
    try:
        for number in range(1, 250_001):
            window.stored([(EntryId(number), f"key {number}")], last_id=EntryId(number))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 300 * 100_000
