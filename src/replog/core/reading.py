"""When a read may go on: what is committed, and what its client asks for beyond it (P4, R7).

PURE.
"""

from __future__ import annotations

from replog.core.admission import Admission
from replog.core.effects import AnswerRead, Effect, RefusalReason, Send
from replog.core.entry import NO_ENTRY, EntryId, Tick, end_of_wait, ticks
from replog.core.events import ReadRequested, RequestId
from replog.core.facts import LinkPhase, MasterFacts, SecondaryFacts
from replog.core.health import Health, PeerHealth
from replog.core.messages import ReadBarrier, ReadMark
from replog.core.reads import FreshRead, FreshReads, WaitingReads
from replog.core.reign import Phase, Reign

_NO_LAG = Tick(0)

ASK_AFTER = ticks(0.05)
"""How long a read waits for news before the master is asked what is committed: far longer than
a sync takes, so that under load nobody asks."""


class MasterReading:
    """The reads of a master: what is durable here is committed (R7)."""

    def __init__(self, facts: MasterFacts, reign: Reign, admission: Admission) -> None:
        self._facts = facts
        self._reign = reign
        self._admission = admission
        self._fresh = FreshReads()

    @property
    def is_supreme(self) -> bool:
        """Whether all that is committed is shown here: no other one reigns, nothing is damaged."""
        refused = self._admission.blocked()
        lost = (
            RefusalReason.SUPERSEDED,
            RefusalReason.LOG_FOUND_ELSEWHERE,
            RefusalReason.DAMAGED,
        )
        is_lost = refused is not None and refused.reason in lost
        return self._reign.phase is Phase.SERVING and not is_lost

    def requested(self, event: ReadRequested, out: list[Effect]) -> None:
        """Answer a read, or let it wait for the entry that it names."""
        asks_word = event.is_linearizable or event.max_lag is not None
        is_met = not asks_word or self.is_supreme
        if event.min_id <= self._facts.good_id or not is_met:
            self._answer(event.request, out, is_met=is_met)
            return
        deadline = end_of_wait(self._facts.now, event.timeout)
        self._fresh.add(FreshRead(event.request, event.min_id, event.min_id, None, deadline))
        if self._admission.is_stopping:
            self.stop(out)
        self.expire(out)

    def advance(self, out: list[Effect]) -> None:
        """Let reads go on whose entry is here now."""
        if len(self._fresh):
            for read in self._fresh.reached(self._facts.good_id):
                self._answer(read.request, out)

    def expire(self, out: list[Effect]) -> None:
        """Give up on what has waited long enough."""
        for request in self._fresh.expired(self._facts.now):
            self._answer(request, out, is_met=False)

    def stop(self, out: list[Effect]) -> None:
        """Answer everybody: the node ends."""
        for request in self._fresh.all():
            self._answer(request, out, is_met=False)

    def abandon(self, request: RequestId) -> None:
        """The client hung up."""
        self._fresh.abandon(request)

    def _answer(self, request: RequestId, out: list[Effect], *, is_met: bool = True) -> None:
        good_id, lag = self._facts.good_id, _NO_LAG if self.is_supreme else None
        out.append(AnswerRead(request, good_id, has_master=True, is_met=is_met, lag=lag))


class SecondaryReading:
    """The reads of a secondary, and how long ago it was level with its master.

    Attributes:
        level_at: when this node showed everything that its master had committed, last; None
            where it never did since it started. In monotonic time (R11: no wall clock decides).
    """

    def __init__(self, facts: SecondaryFacts, health: PeerHealth) -> None:
        self._facts = facts
        self._health = health
        self._waiting = WaitingReads()
        self._fresh = FreshReads()
        self._has_targets = False
        self._barrier = 0
        self._asked_at: Tick | None = None
        self._ask_again_at = facts.now
        self._heard: tuple[EntryId, Tick] | None = None
        self.level_at: Tick | None = None

    @property
    def has_master(self) -> bool:
        """Whether a master is linked and gave a sign of life lately (P4, R11).

        A stopping node waits for no news any more: it answers as one without a master.
        """
        facts = self._facts
        is_alive = facts.link is not None and self._health.state is not Health.UNHEALTHY
        return is_alive and not facts.is_stopping

    @property
    def lag(self) -> Tick | None:
        """Ticks since this node was level with its master."""
        return None if self.level_at is None else Tick(self._facts.now - self.level_at)

    def requested(self, event: ReadRequested, out: list[Effect]) -> None:
        """Show what is committed; wait while more may have been acknowledged (R7, P4)."""
        facts = self._facts
        asks_more = event.min_id or event.is_linearizable or event.max_lag is not None
        if not asks_more:
            if not self.has_master or self._facts.visible >= facts.good_id:
                self._answer(event.request, out)
            else:
                self._waiting.add(event.request, facts.good_id, arrived=facts.now)
            return
        is_late = self._is_late(event.max_lag)
        asks_master = event.is_linearizable or is_late
        if asks_master and not self._can_ask:
            self._answer(event.request, out, is_met=False)
            return
        target = facts.good_id if self.has_master else NO_ENTRY
        self._has_targets |= self.has_master
        read = FreshRead(
            event.request,
            event.min_id,
            max(target, event.min_id),
            self._ask(out) if asks_master else None,
            end_of_wait(facts.now, event.timeout, event.max_lag if is_late else None),
            event.max_lag,
        )
        self._fresh.add(read)

    def _is_late(self, max_lag: Tick | None) -> bool:
        return max_lag is not None and (self.lag is None or self.lag > max_lag)

    def _reached(self, read: FreshRead, out: list[Effect]) -> None:
        """Answer a read that shows what it waited for; it may have waited too long for its lag."""
        if not self._is_late(read.max_lag):
            self._answer(read.request, out)
            return
        if not self._can_ask:
            self._answer(read.request, out, is_met=False)
            return
        assert read.max_lag is not None
        soon = Tick(self._facts.now + read.max_lag)
        read.deadline = soon if read.deadline is None else min(read.deadline, soon)
        read.barrier = self._ask(out)
        self._fresh.add(read)

    @property
    def _can_ask(self) -> bool:
        return self.has_master and self._facts.phase is LinkPhase.STREAMING

    def _ask(self, out: list[Effect]) -> int:
        """Ask the master what is committed; return the number of the question.

        One question is on its way at a time: what it was asked before a read arrived says
        nothing about that read, so that one joins the next.
        """
        if self._asked_at is not None:
            return self._barrier + 1
        facts = self._facts
        assert facts.link is not None
        self._barrier += 1
        self._asked_at = facts.now
        out.append(Send(facts.link, ReadBarrier(facts.epoch, self._barrier)))
        return self._barrier

    def marked(self, mark: ReadMark, out: list[Effect]) -> None:
        """The master's answer: what it had committed when it was asked, or later."""
        if mark.number != self._barrier or self._asked_at is None:
            return
        asked_at, self._asked_at = self._asked_at, None
        if mark.committed_id is None:
            self._give_up(out)
            return
        self.heard(mark.committed_id, at=asked_at)
        self._fresh.marked(mark.number, mark.committed_id)
        if self._fresh.awaits(self._barrier + 1):
            self._ask(out)

    def heard(self, committed_id: EntryId, *, at: Tick) -> None:
        """The master had committed no more than that at `at`, a tick of this node.

        What it says was true when it said it, not when it arrived: `at` was on its way there
        before it spoke.
        """
        if self._heard is None:
            self._heard = (committed_id, at)

    def advance(self, out: list[Effect]) -> None:
        """Let reads go on that may, after whatever happened."""
        visible = self._facts.visible
        if self._facts.phase is not LinkPhase.STREAMING:
            self._heard = self._asked_at = None
        if self._heard is not None and visible >= self._heard[0]:
            self.level_at = max(self.level_at or self._heard[1], self._heard[1])
            self._heard = None
        if len(self._waiting):
            reached = self._waiting.reached(visible) if self.has_master else self._waiting.all()
            for request in reached:
                self._answer(request, out)
            self._release(out)
        if self._has_targets and not self.has_master:
            # As any read: what else was acknowledged will not be known without a master (P4).
            self._has_targets = False
            self._fresh.clip(NO_ENTRY)
        if len(self._fresh):
            if self._facts.phase is not LinkPhase.STREAMING or not self.has_master:
                self._give_up(out)
            for read in self._fresh.reached(visible):
                self._reached(read, out)
            for request in self._fresh.expired(self._facts.now):
                self._answer(request, out, is_met=False)
            if self._facts.is_stopping:
                for request in self._fresh.all():
                    self._answer(request, out, is_met=False)

    def _release(self, out: list[Effect]) -> None:
        """Let reads go on that show all that was committed when they arrived, though more is here.

        News of that comes with the next batch, or when the master's disk is done with one; a
        disk that takes seconds is not waited for, but the master is asked.
        """
        if self.level_at is not None:
            for request in self._waiting.arrived_before(self.level_at):
                self._answer(request, out)
        oldest, now = self._waiting.oldest, self._facts.now
        is_due = oldest is not None and now >= max(Tick(oldest + ASK_AFTER), self._ask_again_at)
        if is_due and self._can_ask and self._heard is None and self._asked_at is None:
            self._ask_again_at = Tick(now + ASK_AFTER)
            self._ask(out)

    def _give_up(self, out: list[Effect]) -> None:
        """There is no master to ask: who waits for its word will not get it."""
        self._asked_at = None
        for request in self._fresh.unanswerable():
            self._answer(request, out, is_met=False)

    def clip(self, good_id: EntryId) -> None:
        """The log goes no further than that now: nobody waits for what is gone (R3, R13)."""
        self._waiting.clip(good_id)
        self._fresh.clip(good_id)

    def damaged(self, good_id: EntryId) -> None:
        """Less is shown than was: this node is not level with anybody any more (R13)."""
        self.clip(good_id)
        self.level_at = None

    def abandon(self, request: RequestId) -> None:
        """The client hung up."""
        self._waiting.abandon(request)
        self._fresh.abandon(request)

    def _answer(self, request: RequestId, out: list[Effect], *, is_met: bool = True) -> None:
        out.append(AnswerRead(request, self._facts.visible, self.has_master, is_met, self.lag))
