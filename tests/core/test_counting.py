"""Counting copies, waiting for them, searching the last common batch: against brute force.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog.core.appends import BATCH_BYTES_TARGET, Appends, encoded_size
from replog.core.entry import GENESIS, EntryId, Epoch, Head, Tick, ticks
from replog.core.events import RequestId
from replog.core.health import TRANSITIONS, Health, PeerHealth, Sign
from replog.core.progress import HISTORY_MAX, new_peer
from replog.core.rejoin import CommonSearch
from replog.core.waiters import QueuedAppend, Waiters, WaitingAppend
from replog.core.write_concern import WriteConcern, acknowledged_id, copies_needed, majority
from replog.storage.batch import encode_batch, encode_message
from tests.core.disk import Batch, make_batch

IDS = st.integers(0, 20).map(EntryId)


@given(durable=st.lists(IDS, max_size=7), copies=st.integers(1, 8))
def test_the_acknowledged_id_is_the_highest_that_so_many_hold(
    durable: list[EntryId], copies: int
) -> None:
    held = [last_id for last_id in range(21) if sum(d >= last_id for d in durable) >= copies]
    assert acknowledged_id(durable, copies=copies) == max(held, default=0)


@given(nodes=st.integers(1, 9))
def test_two_majorities_share_a_node(nodes: int) -> None:
    assert 2 * majority(nodes) > nodes
    assert 2 * (majority(nodes) - 1) <= nodes


@pytest.mark.parametrize(
    ("concern", "copies"),
    [(1, 1), (2, 2), (3, 3), ("majority", 2), ("all", 3), (0, None), (-1, None), (4, None)],
)
def test_a_write_concern_is_a_number_of_copies_or_cannot_be_met(
    concern: WriteConcern, copies: int | None
) -> None:
    assert copies_needed(concern, nodes=3) == copies


# --- waiters --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ask:
    copies: int
    deadline: int | None


ASKS = st.builds(Ask, st.integers(1, 3), st.none() | st.integers(1, 30))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hold"), st.integers(0, 2), st.integers(0, 30)),
        st.tuples(st.just("time"), st.integers(0, 10), st.just(0)),
        st.tuples(st.just("abandon"), st.integers(1, 30), st.just(0)),
    ),
    max_size=12,
)


@given(asks=st.lists(ASKS, max_size=12), steps=STEPS)
def test_waiters_are_met_expired_and_abandoned_as_a_plain_list_would_be(
    asks: list[Ask], steps: list[tuple[str, int, int]]
) -> None:
    waiters = Waiters()
    plain: dict[int, WaitingAppend] = {}
    for number, ask in enumerate(asks, start=1):
        due = None if ask.deadline is None else Tick(ask.deadline)
        waiting = WaitingAppend(
            RequestId(number), EntryId(number), EntryId(number), ask.copies, due
        )
        waiters.add(waiting)
        plain[number] = waiting
    durable = [EntryId(0)] * 3
    now = Tick(0)
    for kind, first, second in steps:
        if kind == "hold":
            durable[first] = EntryId(max(durable[first], second))
            met = {w.request for w in waiters.done(partial(_held_by, durable))}
            wanted = {
                number
                for number, w in plain.items()
                if sum(last >= w.last_id for last in durable) >= w.copies
            }
        elif kind == "time":
            now = Tick(now + first)
            met = {w.request for w in waiters.expired(now, durable=durable[0])}
            wanted = {
                number
                for number, w in plain.items()
                if w.deadline is not None and w.deadline <= now and w.last_id <= durable[0]
            }
        else:
            met = {RequestId(first)} if waiters.abandon(RequestId(first)) else set()
            wanted = {first} & set(plain)
        assert met == wanted
        for number in wanted:
            del plain[number]
    assert len(waiters) == len(plain)


def _held_by(durable: list[EntryId], copies: int) -> EntryId:
    return acknowledged_id(durable, copies=copies)


@pytest.mark.parametrize("way", ["done", "abandon", "expired"])
def test_waiters_that_are_answered_leave_nothing_behind(way: str) -> None:
    """P10: ten thousand answered appends with an hour to go must not be remembered."""
    waiters = Waiters()
    stuck = WaitingAppend(RequestId(0), EntryId(1), EntryId(1), 3, None)
    waiters.add(stuck)
    for number in range(1, 10_001):
        due = Tick(0) if way == "expired" else ticks(3600)
        last_id = EntryId(number + 1)
        waiters.add(
            WaitingAppend(RequestId(number), last_id, last_id, 3 if way != "done" else 1, due)
        )
        if way == "done":
            durable = [last_id, EntryId(0), EntryId(0)]
            met = waiters.done(partial(_held_by, durable))
            assert len(list(met)) == 1
        elif way == "abandon":
            assert waiters.abandon(RequestId(number))
        else:
            assert len(list(waiters.expired(Tick(0), durable=last_id))) == 1
    assert len(waiters) == 1
    assert len(waiters._deadlines) < 100
    assert sum(map(len, waiters._by_copies.values())) < 100


# --- group commit ---------------------------------------------------------------------------


def queued(number: int, size: int) -> QueuedAppend:
    messages = (b"x" * size,)
    return QueuedAppend(RequestId(number), messages, encoded_size(messages), 1, None)


def test_a_batch_closes_at_its_target_unless_one_request_alone_is_larger() -> None:
    appends = Appends()
    sizes = [BATCH_BYTES_TARGET * 2, 400_000, 400_000, 400_000, 10]
    for number, size in enumerate(sizes):
        appends.add(queued(number, size))
    formed = []
    first_id = EntryId(1)
    while appends.queue:
        formed.append([len(message) for message in appends.form_batch(first_id)])
        first_id = EntryId(appends.running[-1].last_id + 1)
        appends.batch_durable()
    assert formed == [[sizes[0]], [400_000, 400_000], [400_000, 10]]
    assert first_id == 6


KEYS = st.text(max_size=60)
ENTRIES = st.lists(st.tuples(st.text('a\0"', max_size=40), st.none() | KEYS), min_size=1)


@given(st.lists(st.tuples(st.text('a\0"', max_size=40), st.none() | KEYS), min_size=1))
def test_a_run_never_takes_more_than_it_is_counted_for(
    entries: list[tuple[str, str | None]],
) -> None:
    messages = tuple(encode_message(text) for text, _ in entries)
    keys = tuple(key for _, key in entries)
    bare = encode_batch(
        after=GENESIS, messages=(b'""',), epoch=Epoch(1), committed_id=EntryId(0), time_ms=0
    )
    whole = encode_batch(
        after=GENESIS,
        messages=messages,
        epoch=Epoch(1),
        committed_id=EntryId(0),
        time_ms=0,
        keys={EntryId(at): key for at, key in enumerate(keys, 1) if key is not None},
    )
    around = len(bare.payload) + len(',"keys":{}') + len("12")
    assert len(whole.payload) <= encoded_size(messages, keys) + around


def test_keys_count_toward_the_size_of_a_batch() -> None:
    """Else three requests within the limits make one batch beyond that of the format."""
    appends = Appends()
    keys = tuple(f"{number:05}".ljust(255, "\x01") for number in range(1000))
    messages = (b'""',) * len(keys)
    size = encoded_size(messages, keys)
    assert size > BATCH_BYTES_TARGET
    for number in range(3):
        appends.add(QueuedAppend(RequestId(number), messages, size, 1, None, keys))
    appends.add(queued(3, 10))
    assert len(appends.form_batch(EntryId(1))) == len(keys)


def test_one_request_stays_one_run_of_ids() -> None:
    appends = Appends()
    for number in range(3):
        messages = (b"a", b"b", b"c")
        appends.add(QueuedAppend(RequestId(number), messages, 3, 1, None))
    appends.form_batch(EntryId(5))
    assert [(w.first_id, w.last_id) for w in appends.running] == [(5, 7), (8, 10), (11, 13)]


# --- the last common batch ------------------------------------------------------------------


def log(after: list[Batch], sizes: list[int], name: str) -> list[Batch]:
    made = list(after)
    for place, size in enumerate(sizes):
        head = made[-1].head if made else GENESIS
        made.append(make_batch(head, 1, *(f"{name} {place} {n}" for n in range(size))))
    return made


SIZES = st.lists(st.integers(1, 4), max_size=12)


@given(common=SIZES, mine=SIZES, theirs=SIZES.filter(bool))
def test_the_search_finds_exactly_the_last_common_batch(
    common: list[int], mine: list[int], theirs: list[int]
) -> None:
    shared = log([], common, "shared")
    own = {GENESIS, *(batch.head for batch in log(shared, mine, "mine"))}
    own_last_id = EntryId(max(head.last_id for head in own))
    ends = [GENESIS, *(batch.head for batch in log(shared, theirs, "theirs"))]
    search = CommonSearch(differs=ends[-1])
    questions = 0
    while True:
        questions += 1
        assert questions <= 2 * len(ends).bit_length() + 6
        probe = search.next_probe(own_last_id=own_last_id)
        below = max((end for end in ends if end.last_id <= probe), key=_last_id)
        beyond = [end for end in ends if end.last_id > probe]
        above = min(beyond, key=_last_id) if beyond else None
        if search.learn(below=below, has_below=below in own, above=above, has_above=above in own):
            break
    assert search.shared == (shared[-1].head if shared else GENESIS)


def _last_id(head: Head) -> int:
    return head.last_id


# --- health ---------------------------------------------------------------------------------


def test_every_sign_is_answered_in_every_health() -> None:
    assert set(TRANSITIONS) == {(health, sign) for health in Health for sign in Sign}


@pytest.mark.parametrize(("health", "sign"), list(TRANSITIONS))
def test_only_contact_heals_and_only_silence_kills(health: Health, sign: Sign) -> None:
    after = TRANSITIONS[health, sign]
    assert (after is Health.HEALTHY) == (sign is Sign.CONTACT), (
        "a lost link or silence is never healthy"
    )
    if sign is not Sign.CONTACT:
        order = list(Health)
        assert order.index(after) >= order.index(health), "nothing but contact is good news"
    if after is Health.UNHEALTHY:
        assert sign is Sign.SILENT_LONG or health is Health.UNHEALTHY


@pytest.mark.parametrize(
    ("silent_s", "health"),
    [
        (0.0, Health.HEALTHY),
        (1.9, Health.HEALTHY),
        (2.0, Health.SUSPECTED),
        (4.9, Health.SUSPECTED),
        (5.0, Health.UNHEALTHY),
    ],
)
def test_silence_is_measured_in_ticks_since_the_last_sign(silent_s: float, health: Health) -> None:
    peer = PeerHealth(silent_since=Tick(0))
    assert peer.contact(ticks(10.0))
    peer.tick(Tick(ticks(10.0) + ticks(silent_s)))
    assert peer.state is health
    assert peer.link_lost() is (health is Health.HEALTHY)


# --- since when -----------------------------------------------------------------------------------


def test_a_secondary_is_known_to_hold_an_entry_since_the_acknowledgement_that_covered_it() -> None:
    peer = new_peer(0, "http://s", Tick(0))
    peer.start_stream(head(2), committed=EntryId(2), now=Tick(10))
    for last_id, now in ((4, 20), (9, 30)):
        peer.frame_sent(head(last_id), 100, committed=EntryId(2))
        peer.acknowledge(head(last_id), now=Tick(now))
    since = [peer.held_since(EntryId(number)) for number in (1, 2, 3, 4, 5, 9, 10)]
    assert since == [10, 10, 20, 20, 30, 30, None]
    peer.link_closed()
    assert peer.held_since(EntryId(1)) is None


def test_of_long_ago_nothing_is_known_and_nothing_is_kept() -> None:
    peer = new_peer(0, "http://s", Tick(0))
    peer.start_stream(head(0), committed=EntryId(0), now=Tick(0))
    for last_id in range(1, 3 * HISTORY_MAX):
        peer.frame_sent(head(last_id), 100, committed=EntryId(0))
        peer.acknowledge(head(last_id), now=Tick(last_id))
    assert len(peer.history) == HISTORY_MAX
    assert peer.held_since(EntryId(1)) is None
    assert peer.held_since(EntryId(3 * HISTORY_MAX - 1)) == 3 * HISTORY_MAX - 1


def head(last_id: int) -> Head:
    return Head(Epoch(1), EntryId(last_id), last_id.to_bytes(32, "big"))
