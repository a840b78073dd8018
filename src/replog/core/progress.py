"""What the master knows of one secondary: its link, its log, what it holds durably.

PURE.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from replog.core.entry import GENESIS, NO_ENTRY, EntryId, Head, NodeId, Tick
from replog.core.events import LinkId, SecondaryIndex
from replog.core.health import UNHEALTHY_AFTER, Health, PeerHealth
from replog.core.messages import Hello, Report
from replog.core.rejoin import CommonSearch

WINDOW_BYTES = 4 * 1024 * 1024
"""Bytes on their way to one secondary: about 10 ms of a fast disk, small beside a node."""
WINDOW_BYTES_MAX = 32 * 1024 * 1024
"""However long the injected delay: the secondary holds as much in memory (P10)."""
FRAME_BYTES = 1024 * 1024
"""Most bytes of one `Batches` message, unless one batch alone is larger (R4)."""
WORTH_BYTES = FRAME_BYTES // 2
"""Less room than that in a window waits for an acknowledgement: what little fits into the rest
of it would cost as many steps of both nodes as a whole frame."""


HISTORY_MAX = 4096
"""Acknowledgements of one secondary whose time is remembered: about 0.5 MB."""


class LinkState(StrEnum):
    """How far a link has come; only STREAMING counts for a write concern."""

    DOWN = "down"
    GREETING = "greeting"
    PROVING = "proving"
    AHEAD = "ahead"
    CUTTING = "cutting"
    REPAIRING = "repairing"
    STREAMING = "streaming"
    DIVERGED = "diverged"
    REFUSED = "refused"


class ChainMismatchError(Exception):
    """An acknowledgement carries a head that this master never sent (P7)."""


def _new_history() -> deque[tuple[EntryId, Tick]]:
    return deque(maxlen=HISTORY_MAX)


@dataclass(slots=True)
class Peer:
    """One configured secondary.

    Attributes:
        link: the present connection, None while there is none.
        hello, report: what the secondary said on the present link.
        reported: whether it ever proved its log since this master started.
        verdict: why the last link was ended on purpose; kept while it is dialled again.
        search: the running search for the last common batch.
        searched_at: end of the master's log when the running proof began.
        no_donor_until: it could not give what it was asked for; asked again later (R8, R13).
        sent: end of what is on its way or there.
        unacknowledged: ends and sizes of frames on their way. Invariant: ascending, the
            last one is `sent`, and `in_flight` is the sum of the sizes.
        is_sending: a `SendBatches` has not come back yet.
        acknowledged: durable head on the present link; None while nothing is proven (R6).
        last_known: durable head that it told last, on whatever link; for people only.
        told_committed: commit news that has been sent on this link.
        heard_at: the tick, of its own, of its last heartbeat on this link.
        opened_at: the tick, of this node, at which the link was opened.
        history: the last acknowledgements on the present link: up to which id, and when.
    """

    index: SecondaryIndex
    url: str
    health: PeerHealth
    link: LinkId | None = None
    state: LinkState = LinkState.DOWN
    node_id: NodeId | None = None
    hello: Hello | None = None
    report: Report | None = None
    reported: bool = False
    verdict: LinkState | None = None
    problem: str = ""
    search: CommonSearch | None = None
    searched_at: Head = GENESIS
    no_donor_until: Tick | None = None
    sent: Head = GENESIS
    unacknowledged: deque[tuple[Head, int]] = field(default_factory=deque)
    in_flight: int = 0
    is_sending: bool = False
    acknowledged: Head | None = None
    damaged_from: EntryId | None = None
    told_committed: EntryId = NO_ENTRY
    delay_s: float = 0.0
    heard_at: Tick = Tick(0)
    opened_at: Tick = Tick(0)
    last_known: Head | None = None
    history: deque[tuple[EntryId, Tick]] = field(default_factory=_new_history)
    said_health: Health | None = None

    @property
    def takes_part(self) -> bool:
        """Whether it counts for a quorum right now (R11)."""
        return self.state is LinkState.STREAMING and self.health.state is Health.HEALTHY

    @property
    def shown_state(self) -> LinkState:
        """The state for people: a verdict outlives the link on which it fell."""
        if self.verdict is not None and self.state in {LinkState.DOWN, LinkState.GREETING}:
            return self.verdict
        return self.state

    @property
    def has_spoken(self) -> bool:
        """Whether it told, since this master started, what its log holds (R8)."""
        return self.reported or self.state is LinkState.AHEAD

    @property
    def is_kept_waiting(self) -> bool:
        """Whether it has greeted and waits for a welcome: it has nothing to say till then."""
        return self.state is LinkState.GREETING and self.hello is not None

    def is_silent(self, now: Tick) -> bool:
        """Whether a word was due on the present link, and none came for too long (R11).

        Counted from its opening at least: it may be unhealthy since before, and has its time.
        """
        if self.link is None or self.is_kept_waiting:
            return False
        return now - max(self.opened_at, self.health.silent_since) >= UNHEALTHY_AFTER

    @property
    def counted_id(self) -> EntryId:
        """The last id that counts for a write concern: on the present link only (R10)."""
        if self.acknowledged is None:
            return EntryId(0)
        if self.damaged_from is not None:
            return EntryId(min(self.acknowledged.last_id, self.damaged_from - 1))
        return self.acknowledged.last_id

    @property
    def window(self) -> int:
        """Bytes that may be on their way: grows with an injected delay (R4)."""
        return min(int(WINDOW_BYTES * (1 + 2 * self.delay_s)), WINDOW_BYTES_MAX)

    @property
    def room(self) -> int:
        """Bytes that the next frame may have; 0 where an acknowledgement must come first (R4)."""
        room = self.window - self.in_flight
        return 0 if self.in_flight and room < WORTH_BYTES else min(room, FRAME_BYTES)

    def link_opened(self, link: LinkId, now: Tick) -> None:
        """Begin a link: nothing of an earlier one is known any more (R6)."""
        self._forget()
        self.opened_at = now
        self.link = link
        self.state = LinkState.GREETING

    def link_closed(self) -> None:
        """End the link: progress is unknown until the next report proves it anew (R6)."""
        self._forget()
        self.link = None
        self.state = LinkState.DOWN

    def _forget(self) -> None:
        self.node_id = None
        self.heard_at = Tick(0)
        self.hello = None
        self.restart_proof()

    def restart_proof(self) -> None:
        """Forget what was proven of the secondary's log: a new report decides (R3)."""
        self.report = None
        self.search = None
        self.unacknowledged.clear()
        self.in_flight = 0
        self.is_sending = False
        self.acknowledged = None
        self.damaged_from = None
        self.history.clear()

    def start_stream(self, after: Head, *, committed: EntryId, now: Tick) -> None:
        """The secondary's whole log is proven common up to `after`, durably (R3)."""
        self.sent = after
        self.history.append((after.last_id, now))
        self.acknowledged = after
        self.last_known = after
        self.told_committed = committed
        self.verdict = None
        self.problem = ""

    def frame_sent(self, head: Head, size: int, *, committed: EntryId) -> None:
        """Note that a frame ending at `head` is on its way."""
        self.is_sending = False
        self.sent = head
        self.unacknowledged.append((head, size))
        self.in_flight += size
        self.told_committed = max(self.told_committed, committed)

    def held_since(self, id: EntryId) -> Tick | None:
        """Return when the master learnt that the secondary holds `id`, on the present link.

        None where it does not, or where that is longer ago than is remembered.
        """
        place = bisect_left(self.history, (id, Tick(0)))
        is_forgotten = place == 0 and len(self.history) == HISTORY_MAX
        if place == len(self.history) or is_forgotten:
            return None
        return self.history[place][1]

    def acknowledge(self, head: Head, *, now: Tick) -> None:
        """Take in a durable head of the secondary.

        Raises:
            ChainMismatchError: the head is none that was sent (P7): the logs differ, and
                nothing of it may be counted.
        """
        if head == self.acknowledged:
            return
        while self.unacknowledged and self.unacknowledged[0][0].last_id <= head.last_id:
            expected, size = self.unacknowledged.popleft()
            self.in_flight -= size
            if expected == head:
                self.acknowledged = head
                self.last_known = head
                self.history.append((head.last_id, now))
                return
        raise ChainMismatchError(f"acknowledged {head}, which was never sent")


def new_peer(index: int, url: str, now: Tick) -> Peer:
    """Return a secondary that has not been heard of yet."""
    return Peer(index=SecondaryIndex(index), url=url, health=PeerHealth(silent_since=now))
