"""How appends are gathered: by count, bytes and time, in order, within a bounded memory."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog.client import (
    Appended,
    AppendedMany,
    ClientError,
    ClosedError,
    KeyReusedError,
    NotSentError,
    UnreachableError,
    errors,
)
from replog.client.pile import Batch, Bounds, Pile, encode


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Done:
    is_set = False

    def set(self) -> None:
        self.is_set = True


def pile_of(
    *,
    batch_entries: int = 10,
    batch_bytes: int = 1000,
    linger_s: float = 0.5,
    buffer_bytes: int = 10_000,
    clock: Clock | None = None,
) -> Pile[Done]:
    keys = map(str, count(1))
    bounds = Bounds(batch_entries, batch_bytes, linger_s, buffer_bytes)
    return Pile(bounds, clock=clock or Clock(), make_key=lambda: next(keys), make_done=Done)


def stored(first: int, last: int) -> AppendedMany:
    return AppendedMany(first, last, False, False, 3, 3, "1")


def test_a_batch_leaves_when_it_is_full_or_its_time_has_come() -> None:
    clock = Clock()
    pile = pile_of(batch_entries=2, clock=clock)
    assert not pile.is_ready(10.0)
    clock.now = 10.0
    pile.add(b'"a"')
    assert (pile.is_ready(10.4), pile.is_ready(10.5), pile.due_at) == (False, True, 10.5)
    clock.now = 10.2
    pile.add(b'"b"')
    assert pile.is_ready(10.2)
    clock.now = 10.3
    pile.add(b'"c"')
    assert pile.take().body() == b'{"message":"a"}\n{"message":"b"}\n'
    assert not pile.is_ready(10.7)
    assert pile.is_ready(10.8)


def test_only_a_batch_that_begins_or_is_full_is_news_to_the_sender() -> None:
    pile = pile_of(batch_entries=3)
    news = [pile.has_news(pile.add(b'"a"')) for _ in range(5)]
    assert news == [True, False, True, True, False]
    of_bytes = pile_of(batch_bytes=40)
    news = [of_bytes.has_news(of_bytes.add(b'"abc"')) for _ in range(5)]
    assert news == [True, False, True, False, True]


def test_a_pile_is_barred_while_an_append_has_to_wait_or_is_refused() -> None:
    pile = pile_of(batch_entries=1, buffer_bytes=150)
    barred = [pile.is_barred]
    pile.add(b'"a"')
    barred.append(pile.is_barred)
    pile.add(b'"b"')
    barred.append(pile.is_barred)
    pile.take()
    pile.settle(stored(1, 1))
    barred.append(pile.is_barred)
    pile.take()
    pile.settle(UnreachableError("nobody"))
    assert [*barred, pile.is_barred] == [False, False, True, False, True]
    with pytest.raises(UnreachableError):
        pile.check_open()
    closed = pile_of()
    closed.add(b'"a"')
    closed.close()
    assert (closed.is_barred, closed.is_ready(0.0)) == (True, True)
    closed.take()
    closed.settle(stored(1, 1))
    assert closed.is_barred
    with pytest.raises(ClosedError):
        closed.check_open()


def test_a_batch_stays_within_its_bytes_but_for_a_message_that_is_larger_alone() -> None:
    pile = pile_of(batch_bytes=30)
    for message in (b"123456789", b"12345678", b"x" * 50, b"y"):
        pile.add(message)
    pile.seal()
    sizes = []
    while pile.due_at is not None:
        batch = pile.take()
        sizes.append(len(batch.messages))
        pile.settle(stored(1, len(batch.messages)))
    assert sizes == [1, 1, 1, 1]
    two = pile_of(batch_bytes=30)
    assert two.add(b"12") is two.add(b"12")


def test_a_full_buffer_has_no_room_until_its_first_batch_is_stored() -> None:
    pile = pile_of(batch_entries=1, buffer_bytes=250)
    pile.add(b'"a"')
    pile.add(b'"b"')
    room = [pile.has_room]
    pile.add(b'"c"')
    room.append(pile.has_room)
    pile.take()
    room.append(pile.has_room)
    pile.settle(stored(1, 1))
    assert [*room, pile.has_room] == [True, False, False, True]


def test_each_message_gets_its_id_or_what_its_batch_met() -> None:
    pile = pile_of(batch_entries=2)
    batches = [pile.add(b'"m"') for _ in range(5)]
    assert pile.last() is batches[4]
    pile.take()
    pile.settle(stored(7, 8))
    assert [batches[0].appended(index).id for index in (0, 1)] == [7, 8]
    assert batches[0].appended(0) == Appended(7, False, False, 3, 3, "1")
    error = UnreachableError("nobody")
    pile.take()
    pile.settle(error)
    assert pile.failure is error
    with pytest.raises(UnreachableError):
        batches[2].appended(0)
    with pytest.raises(NotSentError) as caught:
        batches[4].appended(0)
    assert caught.value.before is error
    assert batches[4].done.is_set
    assert pile.last() is None
    assert pile.due_at is None


def test_an_error_that_is_raised_again_and_again_does_not_grow() -> None:
    pile = pile_of(batch_entries=1)
    batch = pile.add(b'"m"')
    pile.take()
    pile.settle(UnreachableError("nobody"))
    for _ in range(3):
        with pytest.raises(UnreachableError) as caught:
            batch.appended(0)
        assert len(caught.traceback) == 2
        with pytest.raises(UnreachableError) as caught:
            pile.check()
        assert len(caught.traceback) == 2


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=40),
    batch_entries=st.integers(1, 5),
    batch_bytes=st.integers(1, 100),
    fails_at=st.integers(0, 40),
)
def test_all_messages_leave_in_order_and_once(
    texts: list[str], batch_entries: int, batch_bytes: int, fails_at: int
) -> None:
    pile = pile_of(batch_entries=batch_entries, batch_bytes=batch_bytes)
    taken: list[Batch[Done]] = [pile.add(encode(text)) for text in texts]
    pile.seal()
    left: list[bytes] = []
    next_id = 1
    while pile.due_at is not None:
        batch = pile.take()
        size = len(batch.messages)
        assert size <= batch_entries
        left += batch.messages
        is_failing = len(left) > fails_at
        pile.settle(
            KeyReusedError(problem()) if is_failing else stored(next_id, next_id + size - 1)
        )
        next_id += size
    assert left == [encode(text) for text in texts][: len(left)]
    assert pile.failure is not None or len(left) == len(texts)
    assert all(batch.done.is_set for batch in taken)
    assert pile._buffered == 0
    ids = [batch.outcome for batch in taken if not isinstance(batch.outcome, ClientError)]
    assert None not in ids


def problem() -> errors.Problem:
    return errors.Problem("idempotency-key-reused", 422, "t", "d", False, "http://a")


@pytest.mark.parametrize(
    ("message", "kind"), [("\ud800", ValueError), (b"bytes", TypeError), (None, TypeError)]
)
def test_what_is_no_message_is_refused_at_once(message: object, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        encode(message)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bounds",
    [(0, 1, 0.0, 1), (10_001, 1, 0.0, 1), (1, 0, 0.0, 1), (1, 1, -0.1, 1), (1, 1, 0.0, 0)],
)
def test_bounds_that_cannot_work_are_refused(bounds: tuple[int, int, float, int]) -> None:
    with pytest.raises(ValueError, match=r"got|above 0"):
        Bounds(*bounds)
