"""Single flows, each step performed by hand: what leaves with which time, and how it ends."""

from __future__ import annotations

import contextlib
import json

import pytest

from replog.client.asking import Asking
from replog.client.calls import Calls
from replog.client.errors import InDoubtError, NotANodeError, NotFreshError, UnreachableError
from replog.client.model import Level
from replog.client.ops import (
    Answer,
    Call,
    Chunk,
    Emit,
    Failed,
    Flow,
    More,
    Op,
    Open,
    Opened,
    Outcome,
    Pause,
    Shut,
    T,
)
from replog.client.policy import Nodes, Surroundings
from replog.client.wire import ANSWER_WITHIN_S, Lines

A, B = "http://a", "http://b"
NOT_MET = b'{"id":7,"required":2,"met":false,"acks":[]}'
STORED = Answer(A, 200, {"log-acks": "3/3"}, b'{"status":"success","log":{"id":1,"message":"x"}}')


BEHIND = Answer(
    A,
    504,
    {"content-type": "application/problem+json"},
    b'{"type":"/problems/not-fresh","retryable":true,"committed":6}',
)


class Table:
    """Calls of one node or some, a clock that is set by hand, and keys that are counted."""

    def __init__(self, *urls: str, retry_for_s: float | None = 30.0) -> None:
        self.now = 0.0
        self.keys = 0
        nodes = Nodes(urls or [A], lock=contextlib.nullcontext())
        surroundings = Surroundings(lambda: self.now, lambda: 0.0, self._new_key)
        self.calls = Calls(Asking(nodes, surroundings, retry_for_s))

    def _new_key(self) -> str:
        self.keys += 1
        return f"key-{self.keys}"


def step(flow: Flow[T], outcome: Outcome = None) -> Op:
    return flow.send(outcome)


def sent(op: Op) -> Call:
    assert isinstance(op, Call), op
    return op


def end(flow: Flow[T], outcome: Outcome) -> T:
    with pytest.raises(StopIteration) as ended:
        flow.send(outcome)
    result: T = ended.value.value
    return result


def fields(call: Call) -> dict[str, object]:
    value: dict[str, object] = json.loads(call.request.body or b"")
    return value


def test_an_append_without_a_timeout_waits_as_long_as_it_takes() -> None:
    flow = Table().calls.append("x", w="all")
    call = sent(step(flow))
    assert call.answer_within_s is None
    assert fields(call) == {"message": "x", "key": "key-1", "w": "all"}
    assert end(flow, STORED).held == 3


def test_every_try_has_the_same_key_and_what_is_left_of_the_time() -> None:
    table = Table()
    flow = table.calls.append("x", timeout=10, expect=4)
    first = sent(step(flow))
    table.now = 4.0
    assert isinstance(step(flow, Failed(A, "broken", has_left=True)), Pause)
    second = sent(step(flow))
    table.now = 9.9375
    assert step(flow, Failed(A, "broken", has_left=True)) == Pause(0.0625)
    table.now = 10.5
    third = sent(step(flow))
    assert [fields(call)["timeout"] for call in (first, second, third)] == [10, 6, 0]
    assert {fields(call)["key"] for call in (first, second, third)} == {"key-1"}
    assert {fields(call)["expect"] for call in (first, second, third)} == {4}
    assert second.answer_within_s == 6 + ANSWER_WITHIN_S
    with pytest.raises(InDoubtError):  # the time of the call is up
        step(flow, Failed(A, "broken", has_left=True))


def test_a_doubt_outlasts_a_later_silence_of_which_nothing_left() -> None:
    table = Table(retry_for_s=1.0)
    flow = table.calls.append("x")
    step(flow)
    step(flow, Failed(A, "broken", has_left=True))
    step(flow)
    table.now = 2.0
    with pytest.raises(InDoubtError) as caught:
        step(flow, Failed(A, "refused", has_left=False))
    assert caught.value.key == "key-1"


def test_waiting_asks_again_until_it_is_met_or_late() -> None:
    table = Table()
    flow = table.calls.wait_for(7, w=2, timeout=40)
    assert sent(step(flow)).request.path == "/logs/7/acks?w=2&wait=30.0"
    table.now = 30.0
    assert (
        sent(step(flow, Answer(A, 200, {}, NOT_MET))).request.path == "/logs/7/acks?w=2&wait=10.0"
    )
    table.now = 40.0
    assert not end(flow, Answer(A, 200, {}, NOT_MET)).is_met


def test_a_wait_that_meets_a_failure_is_not_longer_for_it() -> None:
    table = Table()
    flow = table.calls.wait_for(7, timeout=2)
    assert sent(step(flow)).request.path == "/logs/7/acks?wait=2.0"
    table.now = 1.5
    step(flow, Failed(A, "broken", has_left=True))
    again = sent(step(flow))
    assert again.request.path == "/logs/7/acks?wait=0.5"
    assert again.answer_within_s == 0.5 + ANSWER_WITHIN_S
    table.now = 1.75
    last = sent(step(flow, Answer(A, 200, {}, NOT_MET)))  # a node that answers before its time
    assert last.request.path == "/logs/7/acks?wait=0.25"
    table.now = 2.5
    with pytest.raises(UnreachableError):  # not two seconds more from there
        step(flow, Failed(A, "broken", has_left=True))


def test_a_read_asks_for_what_is_left_of_its_time_to_be_fresh() -> None:
    table = Table()
    flow = table.calls.get(7, min_id=7, timeout=5, max_lag=0.25, level="master")
    query = "min_id=7&max_lag_ms=250&level=master&timeout="
    assert sent(step(flow)).request.path == f"/logs/7?{query}5.0"
    table.now = 3.0
    assert isinstance(step(flow, BEHIND), Pause)
    assert sent(step(flow)).request.path == f"/logs/7?{query}2.0"
    table.now = 5.0
    with pytest.raises(NotFreshError):
        step(flow, BEHIND)


def test_a_read_without_a_timeout_waits_ten_seconds_for_a_node_that_is_fresh() -> None:
    table = Table()
    flow = table.calls.get(7, min_id=7)
    step(flow)
    table.now = 9.0
    assert isinstance(step(flow, BEHIND), Pause)
    assert sent(step(flow)).request.path == "/logs/7?min_id=7&timeout=1.0"
    table.now = 10.0
    with pytest.raises(NotFreshError):
        step(flow, BEHIND)


@pytest.mark.parametrize(
    ("max_lag", "level", "query"),
    [
        (0.25, None, "max_lag_ms=250&timeout=0.5"),
        (None, "master", "level=master&timeout=0.5"),
        (None, None, None),
    ],
)
def test_every_kind_of_freshness_is_waited_for_as_long_as_the_timeout_says(
    max_lag: float | None, level: Level | None, query: str | None
) -> None:
    flow = Table().calls.get(7, min_id=0, max_lag=max_lag, level=level, timeout=0.5)
    assert sent(step(flow)).request.path == ("/logs/7" if query is None else f"/logs/7?{query}")


def asked_of(call: Call) -> tuple[str, str]:
    return call.url, call.request.path.rpartition("timeout=")[2]


def test_no_node_takes_the_time_in_which_another_one_may_be_fresh() -> None:
    table = Table(A, B)
    flow = table.calls.get(7, min_id=7, timeout=2)
    asked = [sent(step(flow))]
    for now, node in [(0.25, B), (0.5, A), (1.0, B), (1.5, A), (2.0, B)]:
        table.now = now
        wanted = step(flow, BEHIND)
        asked.append(sent(step(flow) if isinstance(wanted, Pause) else wanted))
        assert asked[-1].url == node
    assert list(map(asked_of, asked)) == [
        (A, "0.25"), (B, "0.25"), (A, "0.5"), (B, "0.5"), (A, "0.5"), (B, "0.0"),
    ]  # fmt: skip
    assert asked[0].answer_within_s == 0.25 + ANSWER_WITHIN_S
    with pytest.raises(NotFreshError):
        step(flow, BEHIND)


@pytest.mark.parametrize(("retry_for_s", "asked_first"), [(0.0, "10.0"), (0.1, "0.25")])
def test_waiting_for_a_node_to_be_fresh_is_no_failure(retry_for_s: float, asked_first: str) -> None:
    table = Table(A, B, retry_for_s=retry_for_s)
    flow = table.calls.get(7, min_id=7)
    wanted = step(flow)
    assert asked_of(sent(wanted))[1] == asked_first
    while True:
        table.now += float(asked_of(sent(wanted))[1])
        if table.now >= 10.0:
            break
        wanted = step(flow, BEHIND)
        if isinstance(wanted, Pause):
            wanted = step(flow)


@pytest.mark.parametrize("size", range(1, 40))
def test_entries_are_the_same_wherever_the_stream_is_cut(size: int) -> None:
    data = '\n{"id":1,"message":"a\\n"}\n\n{"id":2,"message":"ы"}\n{"id":3,"message":""}\n'.encode()
    lines = Lines()
    found = [
        entry for at in range(0, len(data), size) for entry in lines.feed(data[at : at + size])
    ]
    assert [(entry.id, entry.message) for entry in found] == [(1, "a\n"), (2, "ы"), (3, "")]


def test_a_line_that_is_no_entry_is_refused() -> None:
    with pytest.raises(NotANodeError):
        Lines().feed(b'{"id":"1"}\n')


# --- following ----------------------------------------------------------------------------------

HEALTH = Answer(A, 200, {}, b'{"role":"master","status":"ok","log_id":"one"}')
REFUSED = Failed(A, "refused", has_left=False)


class Following:
    """A follower whose steps are performed by hand."""

    def __init__(self, table: Table, *, retry_for: float | None = None) -> None:
        self.table = table
        self.steps = table.calls.follow(1, retry_for=retry_for)
        self.wanted = next(self.steps)

    def send(self, outcome: Outcome) -> Op | Emit:
        self.wanted = self.steps.send(outcome)
        return self.wanted

    def open(self) -> None:
        assert isinstance(self.wanted, Call)
        assert isinstance(self.send(HEALTH), Open)
        assert isinstance(self.send(Opened(A)), More)

    def break_off(self) -> float:
        """End the stream; return the pause after it, over already."""
        assert isinstance(self.send(Chunk(b"")), Shut)
        return self.pass_pause(None)

    def fail(self) -> float:
        assert isinstance(self.wanted, Call)
        return self.pass_pause(REFUSED)

    def pass_pause(self, outcome: Outcome) -> float:
        pause = self.send(outcome)
        assert isinstance(pause, Pause)
        self.table.now += pause.seconds
        self.send(None)
        return pause.seconds


def test_a_follower_that_reached_a_node_once_goes_on_for_ever() -> None:
    following = Following(Table(retry_for_s=1.0))
    following.open()
    following.break_off()
    for _ in range(20):
        following.table.now += 1000
        following.fail()


def test_a_follower_gives_up_after_its_own_time_without_any_node() -> None:
    following = Following(Table(retry_for_s=1.0), retry_for=60.0)
    following.open()
    following.table.now += 1000  # heartbeats alone: it is alive
    following.break_off()
    following.table.now += 59
    following.fail()
    following.table.now += 60
    with pytest.raises(UnreachableError):
        following.send(REFUSED)


def test_entries_make_the_pauses_of_a_follower_short_again() -> None:
    following = Following(Table())
    pauses = [following.fail() for _ in range(4)]
    following.open()
    pauses.append(following.break_off())
    following.open()
    assert isinstance(following.send(Chunk(b'{"id":1,"message":""}\n')), Emit)
    assert isinstance(following.send(None), More)
    pauses.append(following.break_off())
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 0.05]
