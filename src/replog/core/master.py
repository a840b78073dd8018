"""The master: gives ids, waits for acknowledgements, answers clients (R1-R13).

PURE. `step` takes one event and returns the effects in the order in which the shell must
perform them.
"""

from __future__ import annotations

from replog.core.admission import Admission, superseded_detail
from replog.core.appends import Appends, encoded_size
from replog.core.damage import damage_line
from replog.core.effects import (
    AnswerAppend,
    AnswerFetch,
    AnswerRead,
    Effect,
    Level,
    NoteCommit,
    Pending,
    Persist,
    RefusalReason,
    Refused,
    Say,
    Show,
    Stored,
)
from replog.core.entry import NO_REIGN, EntryId, Epoch, Head, LogId, NodeId, ReignId, Tick
from replog.core.events import (
    AppendRequested,
    BatchesSent,
    DamageFound,
    DamageRepaired,
    DialFailed,
    EpochStored,
    Event,
    LinkClosed,
    LinkOpened,
    LookedUp,
    Persisted,
    PersistFailed,
    PersistRefused,
    ReadRequested,
    Received,
    ReceivedBad,
    RepairFailed,
    RequestAbandoned,
    StopRequested,
    Ticked,
    Written,
)
from replog.core.facts import MasterFacts
from replog.core.leadership import Leadership
from replog.core.messages import (
    FETCH_BYTES,
    Acknowledgement,
    Batches,
    Damage,
    Fetch,
    FetchEnd,
    Heartbeat,
    Hello,
    Message,
    ProbeAnswer,
    Refusal,
    Report,
)
from replog.core.progress import Peer
from replog.core.reign import Phase, Reign
from replog.core.replicas import Replicas
from replog.core.waiters import QueuedAppend, WaitingAppend
from replog.core.write_concern import WriteConcern, acknowledged_id, copies_needed


class Master:
    """The decisions of one master over its whole life.

    Args:
        node_id: of this data directory.
        reign_id: of this run; no two runs, on whatever copies of a directory, share one.
        log_id: of the log in it; None where the directory is empty.
        fresh_log_id: what a new log would be called (R9).
        epoch, epoch_owner: the highest epoch stored in the directory.
        head: durable head of the log, after recovery; below any damage.
        damage: what recovery found and could not mend (R13), in order of ids.
        is_loss_unsettled: whether damage was found at an earlier start, and not every
            secondary was heard since (R8).
        is_shared: whether a secondary was ever proven to share the log: members are noted.
        url: under which clients and secondaries reach this node.
        secondaries: URLs of the configured secondaries.
        default_concern: for appends that give none.
        requires_quorum: whether appends are refused while a majority is out of reach (R11).
        take_over: end another master's reign (R8).
        accept_loss: begin although damage was found and not every secondary spoke (R8).
        now: the tick at which the node starts.
    """

    def __init__(
        self,
        *,
        node_id: NodeId,
        reign_id: ReignId = NO_REIGN,
        log_id: LogId | None,
        fresh_log_id: LogId,
        epoch: Epoch,
        epoch_owner: NodeId | None,
        head: Head,
        damage: tuple[Damage, ...] = (),
        is_loss_unsettled: bool = False,
        is_shared: bool,
        url: str,
        secondaries: tuple[str, ...],
        default_concern: WriteConcern = "all",
        requires_quorum: bool = False,
        take_over: bool = False,
        accept_loss: bool = False,
        now: Tick,
    ) -> None:
        self.facts = MasterFacts(
            node_id=node_id,
            reign_id=reign_id,
            log_id=log_id,
            url=url,
            written=head,
            durable=head,
            now=now,
            damage=list(damage),
        )
        self.reign = Reign(
            node_id=node_id,
            reign_id=reign_id,
            epoch=epoch,
            owner=epoch_owner,
            started=now,
            secondaries=len(secondaries),
            is_fresh=log_id is None,
            take_over=take_over,
            must_hear_all=(bool(damage) or is_loss_unsettled) and not accept_loss,
            is_shared=is_shared,
        )
        self.replicas = Replicas(self.facts, secondaries)
        self.leadership = Leadership(
            self.facts, self.reign, self.replicas, fresh_log_id=fresh_log_id
        )
        self.appends = Appends()
        self.admission = Admission(
            self.facts, self.reign, self.replicas, requires_quorum=requires_quorum
        )
        self._default_concern = default_concern

    def start(self) -> list[Effect]:
        """Return what a master does before its first event."""
        out: list[Effect] = []
        self._show(out)
        if self.reign.superseded:
            out.append(Say(Level.ERROR, f"read-only: {superseded_detail(self.reign)}"))
        out += [Say(Level.ERROR, damage_line(damage)) for damage in self.facts.damage]
        self.leadership.maybe_open(out)
        return out

    # --- events -------------------------------------------------------------------------

    def step(self, event: Event) -> list[Effect]:
        """Take one event in; return what is to be done for it, in order."""
        out: list[Effect] = []
        match event:
            case AppendRequested():
                self._append(event, out)
            case Written():
                self._written(event)
                self.replicas.pump_all(out)
            case Persisted():
                self._persisted(event.head, out)
            case BatchesSent():
                self.replicas.frame_sent(event, out)
            case Received():
                peer = self.replicas.peer_of(event.link)
                if peer is not None:
                    self.replicas.contact(peer, out)
                    self._received(peer, event.message, out)
            case Ticked():
                self._ticked(event.now, out)
            case ReadRequested():
                out.append(AnswerRead(event.request, self.facts.good_id, has_master=True))
            case RequestAbandoned():
                self.appends.abandon(event.request)
            case StopRequested():
                self._stop(out)
            case PersistRefused():
                self._persist_refused(event.reason, out)
            case PersistFailed():
                self._persist_failed(out)
            case _:
                self._link_or_disk(event, out)
        if self.appends.queue:
            self._persist_next(out)
        return out

    def _link_or_disk(self, event: Event, out: list[Effect]) -> None:
        """The events that come seldom."""
        match event:
            case LinkOpened():
                assert event.secondary is not None
                self.replicas.opened(event.link, event.secondary, out)
                self.leadership.link_ended(out)
            case LinkClosed():
                self.replicas.closed(event.link, event.reason, out)
                self.leadership.link_ended(out)
            case DialFailed():
                self.reign.unreachable(event.secondary)
                self.replicas.dial_failed(event.secondary, event.reason, out)
                self.leadership.maybe_open(out)
            case ReceivedBad():
                peer = self.replicas.peer_of(event.link)
                if peer is not None:
                    self.replicas.drop(peer, event.reason, out)
                    self.leadership.link_ended(out)
            case LookedUp():
                peer = self.replicas.peer_of(event.link)
                if peer is not None:
                    self.replicas.looked_up(peer, event, out)
                    self.leadership.proof_moved(peer, out)
                    self._answer_met(out)
            case EpochStored():
                self.leadership.epoch_opened(event.epoch, out)
            case DamageFound():
                self.leadership.damage_found(event.damage, out)
            case DamageRepaired():
                self.leadership.damage_repaired(event, out)
                self._show(out)
                self._answer_met(out)
            case RepairFailed():
                self.leadership.repair_failed(event.reason, out)
            case _:
                raise AssertionError(f"no event for a master: {event}")

    def _received(self, peer: Peer, message: Message, out: list[Effect]) -> None:
        match message:
            case Acknowledgement():
                if self.replicas.acknowledged(peer, message, out):
                    self._answer_met(out)
            case Heartbeat():
                peer.delay_s = message.delay_s
            case Hello():
                self.leadership.greeted(peer, message, out)
            case Report():
                self.leadership.reported(peer, message, out)
                self._answer_met(out)
            case ProbeAnswer():
                self.replicas.probe_answered(peer, message, out)
            case Fetch():
                self._fetch(peer, message, out)
            case Batches():
                self.leadership.donated(peer, message, out)
            case FetchEnd():
                self.leadership.donation_ended(peer, message, out)
            case Refusal():
                self.leadership.refused(peer, message, out)
            case _:
                self.replicas.drop(peer, f"unexpected {type(message).__name__}", out)

    def _fetch(self, peer: Peer, fetch: Fetch, out: list[Effect]) -> None:
        """A damaged secondary asks for what it lost (R13)."""
        if peer.link is None or peer.acknowledged is None:
            return
        good = self.facts.good_id
        through = good if fetch.through is None else EntryId(min(fetch.through, good))
        out.append(
            AnswerFetch(peer.link, fetch.after, through, FETCH_BYTES, self.replicas.epoch, good)
        )

    # --- appends ------------------------------------------------------------------------

    def _append(self, event: AppendRequested, out: list[Effect]) -> None:
        """Queue an append, or refuse it before anything is stored (R10, R11)."""
        concern = self._default_concern if event.concern is None else event.concern
        copies = copies_needed(concern, nodes=self.admission.nodes)
        refused = self.admission.blocked()
        if copies is None:
            nodes = self.admission.nodes
            detail = f"w is {concern}, but there are {nodes} nodes: give 1 to {nodes}"
            refused = Refused(RefusalReason.BAD_WRITE_CONCERN, detail)
        if refused is not None or copies is None:
            assert refused is not None
            out.append(AnswerAppend(event.request, refused))
            return
        deadline = None if event.timeout is None else Tick(self.facts.now + event.timeout)
        size = encoded_size(event.messages)
        self.appends.queue.append(
            QueuedAppend(event.request, event.messages, size, copies, deadline)
        )

    def _persist_next(self, out: list[Effect]) -> None:
        """Make a batch of what is queued: group commit, one batch at a time (R7)."""
        facts = self.facts
        refused = self.admission.blocked()
        if refused is not None:
            queue = self.appends.take_queue()
            out += [AnswerAppend(queued.request, refused) for queued in queue]
            return
        if facts.is_persisting or self.reign.phase is not Phase.SERVING:
            return
        facts.is_persisting = True
        if not facts.has_first_batch:
            facts.has_first_batch = True
            self.replicas.reconsider(out)
        first_id = EntryId(facts.durable.last_id + 1)
        messages = self.appends.form_batch(first_id)
        out.append(Persist(first_id, messages, self.reign.epoch, facts.committed_id))

    def _written(self, event: Written) -> None:
        self.facts.written = event.head

    def _persisted(self, head: Head, out: list[Effect]) -> None:
        """The batch is durable here, and so committed (R7): show it, tell it, answer."""
        facts = self.facts
        facts.is_persisting = False
        facts.written = facts.durable = head
        self.admission.disk_took_a_batch()
        self._show(out)
        if self.leadership.adopted(out):
            self.replicas.tell_committed(out, batch_follows=False)
            return
        self.appends.batch_durable()
        self._answer_met(out)
        self._answer_late(out)
        batch_follows = bool(self.appends.queue) and self.admission.blocked() is None
        self.replicas.tell_committed(out, batch_follows=batch_follows)
        if self.admission.is_stopping:
            self._answer_all_pending(out)

    def _show(self, out: list[Effect]) -> None:
        """Note what is committed, then show it: a kill must not take back what was seen.

        What damage hides was committed all the same: the note stays where it is.
        """
        if not self.facts.damage:
            out.append(NoteCommit(self.facts.good_id))
        out.append(Show(self.facts.good_id))

    def _persist_refused(self, reason: str, out: list[Effect]) -> None:
        """The disk was full and nothing was left behind: proved not stored."""
        facts = self.facts
        facts.is_persisting = False
        refused = self.admission.disk_was_full(reason)
        running = self.appends.take_running()
        out += [AnswerAppend(waiting.request, refused) for waiting in running]
        self.replicas.tell_committed(out, batch_follows=False)
        self.leadership.adoption_refused(out)

    def _persist_failed(self, out: list[Effect]) -> None:
        """What the disk holds is unknown: say so to every client; the node ends."""
        for waiting in self.appends.take_running():
            self._answer_pending(waiting, out)
        self._stop(out)

    # --- answers ------------------------------------------------------------------------

    def _answer_met(self, out: list[Effect]) -> None:
        """Answer every append whose write concern is met now (R10)."""
        if not len(self.appends.waiters):
            return
        counted = self.replicas.counted()
        good = counted[0]  # P2: the master is always among those that hold an entry.
        for waiting in self.appends.waiters.done(
            lambda copies: EntryId(min(good, acknowledged_id(counted, copies=copies)))
        ):
            acks = sum(last_id >= waiting.last_id for last_id in counted)
            stored = Stored(waiting.first_id, waiting.last_id, acks, self.admission.nodes)
            out.append(AnswerAppend(waiting.request, stored))

    def _answer_late(self, out: list[Effect]) -> None:
        durable = self.facts.durable.last_id
        for waiting in self.appends.expired(self.facts.now, durable=durable):
            self._answer_pending(waiting, out)

    def _answer_pending(self, waiting: WaitingAppend, out: list[Effect]) -> None:
        holders = self.replicas.holders(waiting.last_id)
        pending = Pending(waiting.first_id, waiting.last_id, waiting.copies, holders)
        out.append(AnswerAppend(waiting.request, pending))

    def _answer_all_pending(self, out: list[Effect]) -> None:
        for waiting in self.appends.waiters.all():
            self._answer_pending(waiting, out)

    # --- time and end -------------------------------------------------------------------

    def _ticked(self, now: Tick, out: list[Effect]) -> None:
        self.facts.now = now
        self.replicas.tick(now, out)
        self.leadership.link_ended(out)
        self.leadership.maybe_open(out)
        self.leadership.maybe_serve(out)
        self._answer_late(out)

    def _stop(self, out: list[Effect]) -> None:
        """Answer who waits: stored, not yet at the write concern, or not stored at all."""
        self.admission.is_stopping = True
        self._persist_next(out)
        self._answer_all_pending(out)
