"""`Producer`: many appends as few requests, from programs without an event loop.

NETWORK. A thread of its own sends, one batch after the other, so that order is kept.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import msgspec

from replog.client.blocking import Client
from replog.client.errors import ClientError
from replog.client.model import Appended, AppendedMany, WriteConcern
from replog.client.pile import BATCH_ENTRIES_MAX, Batch, Bounds, Pile, encode
from replog.client.wire import NDJSON, Terms


class Ticket(msgspec.Struct, eq=False, gc=False):
    """An append that a producer took. One is made for each: a struct is made in a third."""

    _batch: Batch[threading.Event]
    _index: int

    __repr__ = object.__repr__

    @property
    def is_done(self) -> bool:
        return self._batch.done.is_set()

    def result(self, timeout: float | None = None) -> Appended:
        """Wait until the entry is stored.

        Raises:
            TimeoutError: not within `timeout` seconds; it may still be stored.
            ClientError: what its batch met.
        """
        if not self._batch.done.wait(timeout):
            raise TimeoutError(f"no answer within {timeout:g} s")
        return self._batch.appended(self._index)


class Producer:
    """Gathers appends into batches and sends them in order; threads may share one.

    Close it, or leave its `with` block: what it took is sent then. When a batch fails for good,
    so does everything behind it, and `append`, `flush` and `close` raise what it met: nothing
    overtakes it.

    Args:
        w, timeout: of each batch, as `Client.append` takes them.
        batch_entries, batch_bytes: a batch that is so large leaves at once.
        linger: seconds that a batch waits for more. It waits longer where the one before it is
            not answered yet.
        buffer_bytes: when so much waits, `append` waits too.
    """

    def __init__(
        self,
        client: Client,
        *,
        w: WriteConcern | None = None,
        timeout: float | None = None,
        batch_entries: int = BATCH_ENTRIES_MAX,
        batch_bytes: int = 4 << 20,
        linger: float = 0.005,
        buffer_bytes: int = 32 << 20,
    ) -> None:
        self._client = client
        self._terms = Terms(w, timeout)
        self._pile: Pile[threading.Event] = Pile(
            Bounds(batch_entries, batch_bytes, linger, buffer_bytes),
            clock=time.monotonic,
            make_key=client.calls.new_key,
            make_done=threading.Event,
        )
        lock = threading.Lock()
        self._acquire, self._release = lock.acquire, lock.release
        self._work = threading.Condition(lock)
        self._room = threading.Condition(lock)
        self._thread = threading.Thread(target=self._send, name="replog-producer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, message: str) -> Ticket:
        """Take one append; it waits only while the buffer is full.

        Raises:
            ClientError: an earlier batch failed, or the producer is closed.
            ValueError: the message is no UTF-8.
        """
        encoded = encode(message)
        pile = self._pile
        self._acquire()  # `with` would cost as much again
        try:
            if pile.is_barred:
                self._wait_for_room()
            batch = pile.add(encoded)
            index = len(batch.messages) - 1
            if pile.has_news(batch):
                self._work.notify()
        finally:
            self._release()
        return Ticket(batch, index)

    def _wait_for_room(self) -> None:
        while not (self._pile.has_room or self._pile.is_closed or self._pile.failure):
            self._room.wait()
        self._pile.check_open()

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything that was taken so far is stored.

        Raises:
            TimeoutError: not within `timeout` seconds.
            ClientError: what a batch met.
        """
        with self._work:
            last = self._pile.last()
            self._pile.seal()
            self._work.notify()
        if last is not None and not last.done.wait(timeout):
            raise TimeoutError(f"not everything is stored within {timeout:g} s")
        self._pile.check()

    def close(self) -> None:
        """Send what was taken, wait for its answers, and take no more.

        Raises:
            ClientError: what a batch met.
        """
        with self._work:
            self._pile.close()
            self._work.notify()
            self._room.notify_all()
        self._thread.join()
        self._pile.check()

    # --- the thread that sends ------------------------------------------------------------------

    def _send(self) -> None:
        calls = self._client.calls
        try:
            while (batch := self._next()) is not None:
                flow = calls.append_encoded(batch.body(), NDJSON, key=batch.key, terms=self._terms)
                try:
                    stored = self._client.run(flow)
                except ClientError as error:
                    self._settle(error)
                    return
                self._settle(stored)
        except BaseException as error:  # a defect: whoever waits must learn of it
            with self._room:
                self._pile.abandon("the producer ended by a defect", error)
                self._room.notify_all()
            raise

    def _settle(self, outcome: AppendedMany | ClientError) -> None:
        with self._room:
            self._pile.settle(outcome)
            self._room.notify_all()

    def _next(self) -> Batch[threading.Event] | None:
        """Wait for a batch that is to leave; None when the producer is closed and empty."""
        with self._work:
            while not self._pile.is_ready(now := time.monotonic()):
                due_at = self._pile.due_at
                if due_at is None and self._pile.is_closed:
                    return None
                self._work.wait(None if due_at is None else due_at - now)
            return self._pile.take()
