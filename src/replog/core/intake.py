"""Batches that arrived at a secondary and are not durable yet (R5, R12).

PURE.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from replog.core.effects import Effect, PersistBatches
from replog.core.entry import GENESIS, Head, Tick, ticks
from replog.core.messages import Batches

STORE_BYTES = 4 * 1024 * 1024
"""Most bytes that one fdatasync covers, unless one message alone is larger."""
RETRY_AFTER = ticks(1.0)
"""How long a full disk is left alone before the same batches are tried again."""


@dataclass(slots=True)
class Intake:
    """The way of batches from the link to the disk.

    Attributes:
        expected: end of everything taken in; what comes next must follow on it.
        held: batches whose injected latency has not passed, with the tick when it has (R12).
        ready: batches that may be stored. Invariant: storing, ready and held, in this
            order, form one gapless chain that ends at `expected`.
        storing: what the disk works on; empty while it is idle.
    """

    expected: Head = GENESIS
    held: deque[tuple[Tick, Batches]] = field(default_factory=deque)
    ready: deque[Batches] = field(default_factory=deque)
    storing: tuple[Batches, ...] = ()
    retry_at: Tick | None = None

    @property
    def is_storing(self) -> bool:
        return bool(self.storing)

    def restart(self, head: Head) -> None:
        """Begin a stream at `head`; what is not being stored is dropped (R2)."""
        self.held.clear()
        self.ready.clear()
        self.retry_at = None
        self.expected = head

    def take(self, batches: Batches, *, now: Tick, delay: Tick) -> None:
        """Take in batches that follow on `expected`; latency, not throughput (R12)."""
        assert batches.after == self.expected, (batches.after, self.expected)
        self.expected = batches.head
        if delay or self.held:
            # One tick more: `now` may be almost a tick old, and a wait is never cut short.
            self.held.append((Tick(now + delay + 1), batches))
        else:
            self.ready.append(batches)

    def shorten(self, *, now: Tick, delay: Tick) -> None:
        """Hold nothing longer than a new delay would: one that is taken back is gone (R12)."""
        latest = Tick(now + delay + 1)
        self.held = deque((min(due, latest), batches) for due, batches in self.held)

    def release(self, now: Tick) -> None:
        """Let go of what was held long enough."""
        while self.held and self.held[0][0] <= now:
            self.ready.append(self.held.popleft()[1])

    def store(self, now: Tick, out: list[Effect]) -> None:
        """Hand everything that is ready to the disk: one fdatasync for all of it (R5)."""
        if self.storing or not self.ready:
            return
        if self.retry_at is not None and now < self.retry_at:
            return
        self.retry_at = None
        taken = [self.ready.popleft()]
        size = len(taken[0].payload)
        while self.ready and size + len(self.ready[0].payload) <= STORE_BYTES:
            size += len(self.ready[0].payload)
            taken.append(self.ready.popleft())
        self.storing = tuple(taken)
        out.append(PersistBatches(self.storing))

    def stored(self) -> None:
        """The disk is idle again: what it worked on is durable."""
        self.storing = ()

    def refused(self, now: Tick, *, is_same_stream: bool) -> None:
        """The disk was full: nothing was stored; the same batches wait for their turn.

        Those of a stream that has ended are dropped with it (R2).
        """
        if is_same_stream:
            self.ready.extendleft(reversed(self.storing))
        self.storing = ()
        self.retry_at = Tick(now + RETRY_AFTER)
