"""What waits in a producer: appends gathered into batches by count, bytes and time, in order.

PURE.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import msgspec

from replog.client.errors import ClientError, ClosedError, InDoubtError, NotSentError
from replog.client.model import Appended, AppendedMany

OVERHEAD_BYTES = 100
"""What a message costs in memory beside its own bytes, about."""

_AROUND_BYTES = len('{"message":}\n')

BATCH_ENTRIES_MAX = 10_000
"""What a node takes at once, by default."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a batch is full or due, and how much may wait in all."""

    batch_entries: int
    batch_bytes: int
    linger_s: float
    buffer_bytes: int

    def __post_init__(self) -> None:
        if not 1 <= self.batch_entries <= BATCH_ENTRIES_MAX:
            raise ValueError(f"batch_entries is 1 to {BATCH_ENTRIES_MAX}, got {self.batch_entries}")
        if self.batch_bytes < 1 or self.buffer_bytes < 1 or self.linger_s < 0:
            raise ValueError("batch_bytes and buffer_bytes are above 0, linger is not below")


class Settable(Protocol):
    """The event of a thread or of an event loop."""

    def set(self) -> None: ...


E = TypeVar("E", bound=Settable)


@dataclass(slots=True)
class Batch(Generic[E]):
    """Messages that become one request.

    Attributes:
        messages: JSON strings.
        size: bytes of the request's body.
        done: set when `outcome` is known.
    """

    key: str
    due_at: float
    done: E
    messages: list[bytes] = field(default_factory=list)
    size: int = 0
    outcome: AppendedMany | ClientError | None = None

    def body(self) -> bytes:
        """Return the batch as NDJSON."""
        return b'{"message":' + b'}\n{"message":'.join(self.messages) + b"}\n"

    def in_doubt(self, reason: str, cause: BaseException | None) -> InDoubtError:
        """Return the error that tells all that it takes to send the batch again."""
        messages = msgspec.json.decode(b"[" + b",".join(self.messages) + b"]", type=tuple[str, ...])
        error = InDoubtError(reason, self.key, messages)
        error.__cause__ = cause
        return error

    def appended(self, index: int) -> Appended:
        """Return what became of one of the messages; `done` is set.

        Raises:
            ClientError: what the whole batch met.
        """
        outcome = self.outcome
        assert outcome is not None
        if isinstance(outcome, ClientError):
            raise outcome.with_traceback(None)  # it may be raised for each message
        return Appended(
            id=outcome.first + index,
            is_pending=outcome.is_pending,
            is_replayed=outcome.is_replayed,
            held=outcome.held,
            nodes=outcome.nodes,
            key=self.key,
        )


class Pile(Generic[E]):
    """Batches in the order of their appends: the one that leaves, those that are full, the last.

    Args:
        make_key: a key for each batch, by which the node knows it again.

    Attributes:
        is_barred: `check` has something to say, or `has_room` is False. Kept up to date, so that
            an append asks one question.
    """

    def __init__(
        self,
        bounds: Bounds,
        *,
        clock: Callable[[], float],
        make_key: Callable[[], str],
        make_done: Callable[[], E],
    ) -> None:
        self._linger_s = bounds.linger_s
        self._batch_entries = bounds.batch_entries
        self._batch_bytes = bounds.batch_bytes
        self._buffer_bytes = bounds.buffer_bytes
        self._clock = clock
        self._make_key = make_key
        self._make_done = make_done
        self._full: deque[Batch[E]] = deque()
        self._open: Batch[E] | None = None
        self._leaving: Batch[E] | None = None
        self._buffered = 0
        self.failure: ClientError | None = None
        self.is_closed = False
        self.is_barred = False

    @property
    def has_room(self) -> bool:
        """Whether another append may come: else it waits. One that is let in may be any size."""
        return self._buffered < self._buffer_bytes

    @property
    def due_at(self) -> float | None:
        """When the next batch leaves, full or not; None where nothing waits."""
        if self._full:
            return self._full[0].due_at
        return self._open.due_at if self._open is not None else None

    def check(self) -> None:
        """Raises: ClientError: what a batch met; nothing leaves any more."""
        if self.failure is not None:
            raise self.failure.with_traceback(None)  # it may be raised for each append

    def check_open(self) -> None:
        """Raises: ClientError: no append is taken any more, as `check`, or it is closed."""
        self.check()
        if self.is_closed:
            raise ClosedError("the producer is closed")

    def add(self, message: bytes) -> Batch[E]:
        """Put a JSON string behind all others; return its batch, whose last message it is.

        It is written for speed: with `Producer.append` it is most of what a producer costs.
        """
        length = len(message)
        batch = self._open
        if batch is None or batch.size + length + _AROUND_BYTES > self._batch_bytes:
            batch = self._begin()
        batch.size += length + _AROUND_BYTES
        messages = batch.messages
        messages.append(message)
        self._buffered = buffered = self._buffered + length + OVERHEAD_BYTES
        if buffered >= self._buffer_bytes:
            self.is_barred = True
        if len(messages) >= self._batch_entries:
            self.seal()
        return batch

    def has_news(self, batch: Batch[E]) -> bool:
        """Whether `batch`, just added to, just began or is full: the sender is to look again."""
        return len(batch.messages) == 1 or batch is not self._open

    def _begin(self) -> Batch[E]:
        self.seal()
        due_at = self._clock() + self._linger_s
        batch = self._open = Batch(self._make_key(), due_at, self._make_done())
        return batch

    def close(self) -> None:
        """Take no more, and let the last batch leave without waiting for more."""
        self.is_closed = self.is_barred = True
        self.seal()

    def is_ready(self, now: float) -> bool:
        """Return whether a batch is to leave now."""
        return bool(self._full) or (self._open is not None and self._open.due_at <= now)

    def seal(self) -> None:
        """Let the last batch leave without waiting for more."""
        if self._open is not None:
            self._full.append(self._open)
            self._open = None

    def take(self) -> Batch[E]:
        """Return the first batch; it leaves until `settle` says what became of it."""
        assert self._leaving is None
        if not self._full:
            self.seal()
        self._leaving = self._full.popleft()
        return self._leaving

    def last(self) -> Batch[E] | None:
        """Return the last batch that has no outcome yet; all others get theirs before it."""
        return self._open or (self._full[-1] if self._full else self._leaving)

    def settle(self, outcome: AppendedMany | ClientError) -> None:
        """Note what became of the batch that left.

        After a failure nothing leaves any more: what stands behind it must not overtake it.
        """
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            if isinstance(outcome, InDoubtError):
                outcome = leaving.in_doubt(outcome.reason, outcome.__cause__)
            self._end(leaving, outcome)
        if isinstance(outcome, ClientError):
            self.failure = outcome
            self.seal()
            while self._full:
                self._end(self._full.popleft(), NotSentError(outcome))
        self.is_barred = not self.has_room or self.is_closed or self.failure is not None

    def abandon(self, reason: str, cause: BaseException) -> None:
        """Settle everything: whoever sends was cancelled, or met a defect.

        Only the batch that left may be stored.
        """
        is_idle = self._leaving is None
        error = ClosedError(reason) if is_idle else InDoubtError(reason, None)
        error.__cause__ = cause
        self.settle(error)

    def _end(self, batch: Batch[E], outcome: AppendedMany | ClientError) -> None:
        self._buffered -= batch.size + (OVERHEAD_BYTES - _AROUND_BYTES) * len(batch.messages)
        batch.messages = []  # its tickets may be kept for long
        batch.outcome = outcome
        batch.done.set()


_encode = msgspec.json.Encoder().encode


def encode(message: str) -> bytes:
    """Return a message as a JSON string.

    Raises:
        ValueError: it holds a lone surrogate, which a log cannot hold.
        TypeError: it is no string.
    """
    if not isinstance(message, str):
        raise TypeError(f"a message is a str, got {type(message).__name__}")
    return _encode(message)
