"""Who waits for other nodes, and when it is answered (R10).

PURE.
"""

from __future__ import annotations

from replog.core.admission import Admission
from replog.core.appends import Appends
from replog.core.effects import AnswerAppend, Effect, Pending, Stored
from replog.core.entry import EntryId
from replog.core.facts import MasterFacts
from replog.core.replicas import Replicas
from replog.core.waiters import WaitingAppend
from replog.core.write_concern import acknowledged_id


class Answers:
    """The appends of one master that are durable here, and who asks about such ones."""

    def __init__(
        self, facts: MasterFacts, replicas: Replicas, admission: Admission, appends: Appends
    ) -> None:
        self._facts = facts
        self._replicas = replicas
        self._admission = admission
        self._appends = appends

    def wait(self, waiting: WaitingAppend, out: list[Effect]) -> None:
        """Let who asks about stored entries wait for its own write concern."""
        self._appends.waiters.add(waiting)
        self.met(out)
        if self._admission.is_stopping:
            self.all_pending(out)
        else:
            self.late(out)

    def met(self, out: list[Effect]) -> None:
        """Answer every append whose write concern is met now (R10)."""
        if not len(self._appends.waiters):
            return
        counted = self._replicas.counted()
        good = counted[0]  # P2: the master is always among those that hold an entry.
        for waiting in self._appends.waiters.done(
            lambda copies: EntryId(min(good, acknowledged_id(counted, copies=copies)))
        ):
            acks = sum(last_id >= waiting.last_id for last_id in counted)
            stored = Stored(
                waiting.first_id, waiting.last_id, acks, self._admission.nodes, waiting.is_replayed
            )
            out.append(AnswerAppend(waiting.request, stored))

    def late(self, out: list[Effect]) -> None:
        """Answer who gave a timeout that has passed."""
        durable = self._facts.durable.last_id
        for waiting in self._appends.expired(self._facts.now, durable=durable):
            self.pending(waiting, out)

    def pending(self, waiting: WaitingAppend, out: list[Effect]) -> None:
        """Answer one: it is stored, or may be where it is not durable here."""
        holders = self._replicas.holders(waiting.last_id)
        outcome = Pending(
            waiting.first_id,
            waiting.last_id,
            waiting.copies,
            holders,
            waiting.is_replayed,
            is_unknown=waiting.last_id > self._facts.durable.last_id,
        )
        out.append(AnswerAppend(waiting.request, outcome))

    def all_pending(self, out: list[Effect]) -> None:
        """Answer who waits for other nodes: it is stored, and will get there."""
        for waiting in self._appends.waiters.all():
            self.pending(waiting, out)
