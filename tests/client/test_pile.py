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
    KeyReusedError,
    NotSentError,
    UnreachableError,
    errors,
)
from replog.client.pile import Batch, Bounds, Pile, encode


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
) -> Pile[Done]:
    keys = map(str, count(1))
    bounds = Bounds(batch_entries, batch_bytes, linger_s, buffer_bytes)
    return Pile(bounds, make_key=lambda: next(keys), make_done=Done)


def stored(first: int, last: int) -> AppendedMany:
    return AppendedMany(first, last, False, False, 3, 3, "1")


def test_a_batch_leaves_when_it_is_full_or_its_time_has_come() -> None:
    pile = pile_of(batch_entries=2)
    assert not pile.is_ready(10.0)
    pile.add(b'"a"', 10.0)
    assert (pile.is_ready(10.4), pile.is_ready(10.5), pile.due_at) == (False, True, 10.5)
    pile.add(b'"b"', 10.2)
    assert pile.is_ready(10.2)
    pile.add(b'"c"', 10.3)
    assert pile.take().body() == b'{"message":"a"}\n{"message":"b"}\n'
    assert not pile.is_ready(10.7)
    assert pile.is_ready(10.8)


def test_a_pile_tells_whether_a_batch_is_full_whatever_the_time() -> None:
    pile = pile_of(batch_entries=2)
    pile.add(b'"a"', 0.0)
    told = [pile.has_full_batch]
    pile.add(b'"b"', 0.0)
    told.append(pile.has_full_batch)
    pile.take()
    assert [*told, pile.has_full_batch] == [False, True, False]


def test_a_batch_stays_within_its_bytes_but_for_a_message_that_is_larger_alone() -> None:
    pile = pile_of(batch_bytes=30)
    for message in (b"123456789", b"12345678", b"x" * 50, b"y"):
        pile.add(message, 0.0)
    pile.seal()
    sizes = []
    while pile.due_at is not None:
        batch = pile.take()
        sizes.append(len(batch.messages))
        pile.settle(stored(1, len(batch.messages)))
    assert sizes == [1, 1, 1, 1]
    two = pile_of(batch_bytes=30)
    assert two.add(b"12", 0.0) is two.add(b"12", 0.0)


def test_a_full_buffer_has_no_room_until_its_first_batch_is_stored() -> None:
    pile = pile_of(batch_entries=1, buffer_bytes=250)
    pile.add(b'"a"', 0.0)
    pile.add(b'"b"', 0.0)
    room = [pile.has_room]
    pile.add(b'"c"', 0.0)
    room.append(pile.has_room)
    pile.take()
    room.append(pile.has_room)
    pile.settle(stored(1, 1))
    assert [*room, pile.has_room] == [True, False, False, True]


def test_each_message_gets_its_id_or_what_its_batch_met() -> None:
    pile = pile_of(batch_entries=2)
    batches = [pile.add(b'"m"', 0.0) for _ in range(5)]
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
    batch = pile.add(b'"m"', 0.0)
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
    taken: list[Batch[Done]] = [pile.add(encode(text), 0.0) for text in texts]
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
