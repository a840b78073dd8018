"""Appends on their way: group commit, then the wait for their write concern (R7, R10).

PURE.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from replog.core.entry import EntryId, Tick
from replog.core.events import RequestId
from replog.core.keys import keys_of
from replog.core.waiters import QueuedAppend, Waiters, WaitingAppend

BATCH_BYTES_TARGET = 1024 * 1024
"""Group commit closes a batch here, unless one request alone is larger."""
ENTRY_OVERHEAD_BYTES = 32
"""Room for `{"id":…,"message":…}` around a message, generously."""
KEY_OVERHEAD_BYTES = 24
"""Room for `"id":"…",` around a key, with the longest id."""


def encoded_size(messages: tuple[bytes, ...], keys: tuple[str | None, ...] = ()) -> int:
    """Return an upper bound of what `messages` take as entry lines, and `keys` in the trailer."""
    size = ENTRY_OVERHEAD_BYTES * len(messages)
    size += len(messages[0]) if len(messages) == 1 else sum(map(len, messages))
    for key in keys:
        if key is not None:
            size += KEY_OVERHEAD_BYTES + _encoded_key_size(key)
    return size


def _encoded_key_size(key: str) -> int:
    if key.isascii() and key.isprintable():
        return len(key) + key.count('"') + key.count("\\")
    return 6 * len(key)  # A control character takes six bytes, any other four at most.


@dataclass(slots=True)
class Appends:
    """The queue before the disk, the batch on the disk, the waiters behind it.

    Attributes:
        queue: appends without ids, in order of arrival; provably not stored. By request: of
            10,000 that hang up each costs the same (P8).
        running: the appends of the batch that is being persisted, with their ids.
        running_keyed: those of them that have idempotency keys, as they were queued too.
        running_keys: these keys, with the ids of their entries.
        abandoned: members of `running` whose client hung up.
    """

    queue: OrderedDict[RequestId, QueuedAppend] = field(default_factory=OrderedDict)
    running: list[WaitingAppend] = field(default_factory=list)
    running_keyed: list[tuple[QueuedAppend, WaitingAppend]] = field(default_factory=list)
    running_keys: tuple[tuple[EntryId, str], ...] = ()
    abandoned: set[RequestId] = field(default_factory=set)
    waiters: Waiters = field(default_factory=Waiters)
    _running_requests: set[RequestId] = field(default_factory=set)

    def add(self, queued: QueuedAppend) -> None:
        """Let an append wait for a batch, behind those that came before it."""
        self.queue[queued.request] = queued

    @property
    def _oldest(self) -> QueuedAppend:
        return self.queue[next(iter(self.queue))]

    def _take_oldest(self) -> QueuedAppend:
        return self.queue.popitem(last=False)[1]

    def take_unmet(self, last_id: EntryId) -> Iterator[QueuedAppend]:
        """Remove and yield the oldest queued appends that the log's end does not suit.

        No batch may be running: `last_id` is the log's, durably.
        """
        assert not self.running, "the log's end is not known"
        while self.queue and self._oldest.expect not in {None, last_id}:
            yield self._take_oldest()

    def form_batch(self, first_id: EntryId) -> tuple[bytes, ...]:
        """Give ids to the oldest queued appends; return the messages of the batch.

        The queue must not be empty and no batch may be running. An append that expects
        another end of the log than it would find ends the batch: whether the log has moved on
        is certain only when what comes before it is durable.
        """
        assert self.queue, "no append to make a batch of"
        assert not self.running, "one batch at a time"
        messages: list[bytes] = []
        keys: list[tuple[EntryId, str]] = []
        size = 0
        next_id = first_id
        while self.queue and (not messages or size + self._oldest.size <= BATCH_BYTES_TARGET):
            queued = self._oldest
            if queued.expect is not None and queued.expect != next_id - 1:
                break
            self._take_oldest()
            messages.extend(queued.messages)
            size += queued.size
            last_id = EntryId(next_id + len(queued.messages) - 1)
            waiting = WaitingAppend(
                queued.request, next_id, last_id, queued.copies, queued.deadline
            )
            self.running.append(waiting)
            self._running_requests.add(queued.request)
            if queued.keys:
                self.running_keyed.append((queued, waiting))
                keys += keys_of(next_id, queued.keys)
            next_id = EntryId(last_id + 1)
        self.running_keys = tuple(keys)
        return tuple(messages)

    def take_running_keyed(self) -> list[tuple[QueuedAppend, WaitingAppend]]:
        """Remove and return the appends with keys of the running batch: their fate is known."""
        keyed, self.running_keyed = self.running_keyed, []
        return keyed

    def take_keyed(self) -> list[QueuedAppend]:
        """Remove and return the queued appends with keys."""
        keyed = [queued for queued in self.queue.values() if queued.keys]
        for queued in keyed:
            del self.queue[queued.request]
        return keyed

    def batch_durable(self) -> None:
        """Move the running batch's appends to the waiters: they are durable here."""
        for waiting in self._take_running():
            self.waiters.add(waiting)

    def _take_running(self) -> Iterator[WaitingAppend]:
        running, self.running = self.running, []
        self._running_requests.clear()
        abandoned, self.abandoned = self.abandoned, set()
        return (waiting for waiting in running if waiting.request not in abandoned)

    def take_running(self) -> list[WaitingAppend]:
        """Remove and return the running batch's appends: their outcome is known now."""
        return list(self._take_running())

    def take_queue(self) -> list[QueuedAppend]:
        """Remove and return the queued appends: they will not be stored."""
        queue, self.queue = self.queue, OrderedDict()
        return list(queue.values())

    def abandon(self, request: RequestId) -> QueuedAppend | None:
        """The client hung up. What has an id stays stored; what has none is dropped.

        Returns the append that was dropped from the queue, if one was.
        """
        if self.waiters.abandon(request):
            return None
        if request in self._running_requests:
            self.abandoned.add(request)
            return None
        return self.queue.pop(request, None)

    def expired(self, now: Tick, *, durable: EntryId) -> Iterator[WaitingAppend]:
        """Remove and yield what waited long enough and is durable here."""
        return self.waiters.expired(now, durable=durable)
