"""The master: gives ids, waits for acknowledgements, answers clients (R1-R13).

PURE. `step` takes one event and returns the effects in the order in which the shell must
perform them.
"""

from __future__ import annotations

from replog.core.admission import Admission, superseded_detail
from replog.core.appending import Appending
from replog.core.damage import damage_line
from replog.core.effects import (
    AnswerFetch,
    Effect,
    Level,
    NoteCommit,
    RefusalReason,
    Refused,
    Say,
    Send,
    Show,
)
from replog.core.entry import NO_REIGN, EntryId, Epoch, Head, LogId, NodeId, ReignId, Tick
from replog.core.events import (
    AcksAwaited,
    AppendRequested,
    AppendsRequested,
    BatchesSent,
    DamageFound,
    DamageRepaired,
    DialFailed,
    EpochStored,
    Event,
    KeysConfirmed,
    KeysLoaded,
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
    StoreDelayed,
    Ticked,
    Written,
)
from replog.core.facts import MasterFacts
from replog.core.keys import KEY_WINDOW_ENTRIES, KeyWindow
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
    ReadBarrier,
    ReadMark,
    Refusal,
    RefusalKind,
    Report,
)
from replog.core.progress import Peer
from replog.core.reading import MasterReading
from replog.core.reign import Reign
from replog.core.replicas import Replicas
from replog.core.write_concern import WriteConcern


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
        members: the URLs noted in the directory: of the last start at which a secondary was
            proven to share the log; empty if none ever was.
        url: under which clients and secondaries reach this node.
        secondaries: URLs of the configured secondaries.
        default_concern: for appends that give none.
        requires_quorum: whether appends are refused while a majority is out of reach (R11).
        take_over: end another master's reign (R8).
        accept_loss: begin although damage was found and not every secondary spoke (R8).
        key_window: entries behind the last one whose idempotency keys are known (P6).
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
        members: tuple[str, ...],
        url: str,
        secondaries: tuple[str, ...],
        default_concern: WriteConcern = "all",
        requires_quorum: bool = False,
        take_over: bool = False,
        accept_loss: bool = False,
        key_window: int = KEY_WINDOW_ENTRIES,
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
            epoch=max(epoch, head.epoch),  # a disk may have lost the word and kept the batches
            owner=epoch_owner,
            started=now,
            secondaries=len(secondaries),
            is_fresh=log_id is None,
            take_over=take_over,
            must_hear_all=(bool(damage) or is_loss_unsettled) and not accept_loss,
            members=members,
        )
        self.replicas = Replicas(self.facts, secondaries)
        self.leadership = Leadership(
            self.facts, self.reign, self.replicas, fresh_log_id=fresh_log_id
        )
        self.admission = Admission(
            self.facts, self.reign, self.replicas, requires_quorum=requires_quorum
        )
        self.reading = MasterReading(self.facts, self.reign, self.admission)
        self.appending = Appending(
            self.facts,
            self.reign,
            self.replicas,
            self.admission,
            default_concern=default_concern,
            window=KeyWindow(key_window),
        )

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
                self.appending.requested(event, out)
            case AppendsRequested():
                for append in event.appends:
                    self.appending.requested(append, out)
            case Written():
                self.facts.written = event.head
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
                self.reading.requested(event, out)
            case RequestAbandoned():
                self.appending.abandon(event.request, out)
                self.reading.abandon(event.request)
            case StopRequested():
                self._stop(out)
            case PersistRefused():
                self._persist_refused(event, out)
            case PersistFailed():
                self._persist_failed(out)
            case _:
                self._link_or_disk(event, out)
        self.appending.persist_next(out)
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
                    refusal = Refusal(RefusalKind.BAD_BYTES, event.reason)
                    out.append(Send(event.link, refusal))
                    self.replicas.drop(peer, event.reason, out)
                    self.leadership.link_ended(out)
            case LookedUp():
                peer = self.replicas.peer_of(event.link)
                if peer is not None:
                    self.replicas.looked_up(peer, event, out)
                    self.leadership.proof_moved(peer, out)
                    self.appending.answers.met(out)
            case StoreDelayed():
                # Nothing can be appended before: who waits for that is told why.
                self.admission.disk_was_full(event.reason, what="this master's epoch")
            case EpochStored():
                self.admission.disk_took_it()
                self.leadership.epoch_opened(event.epoch, out)
            case DamageFound():
                self.leadership.damage_found(event.damage, out)
            case DamageRepaired():
                self.leadership.damage_repaired(event, out)
                self._show(out)
                self.appending.answers.met(out)
            case KeysLoaded():
                self.appending.keys_loaded(event, out)
            case KeysConfirmed():
                self.appending.keys_confirmed(event, out)
            case AcksAwaited():
                self.appending.acks_awaited(event, out)
            case RepairFailed():
                self.leadership.repair_failed(event.reason, out)
            case _:
                raise AssertionError(f"no event for a master: {event}")

    def _received(self, peer: Peer, message: Message, out: list[Effect]) -> None:
        match message:
            case Acknowledgement():
                if self.replicas.acknowledged(peer, message, out):
                    self.appending.answers.met(out)
            case Heartbeat():
                peer.delay_s, peer.heard_at = message.delay_s, message.at
            case Hello():
                self.leadership.greeted(peer, message, out)
            case Report():
                self.leadership.reported(peer, message, out)
                self.appending.answers.met(out)
            case ProbeAnswer():
                self.replicas.probe_answered(peer, message, out)
            case Fetch():
                self._fetch(peer, message, out)
            case Batches():
                self.leadership.donated(peer, message, out)
            case FetchEnd():
                self.leadership.donation_ended(peer, message, out)
            case ReadBarrier():
                self._mark(peer, message, out)
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

    def _mark(self, peer: Peer, barrier: ReadBarrier, out: list[Effect]) -> None:
        """A secondary asks what is committed now, for a read that came to it (P4)."""
        if peer.link is not None and barrier.epoch == self.replicas.epoch:
            committed = self.facts.good_id if self.reading.is_supreme else None
            out.append(Send(peer.link, ReadMark(barrier.epoch, barrier.number, committed)))

    # --- appends ------------------------------------------------------------------------

    def _persisted(self, head: Head, out: list[Effect]) -> None:
        """The batch is durable here, and so committed (R7): show it, tell it, answer."""
        facts = self.facts
        facts.is_persisting = False
        facts.written = facts.durable = head
        self.admission.disk_took_it()
        self._show(out)
        if self.leadership.adopted(out):
            self.appending.adopted(out)
            self.replicas.tell_committed(out, batch_follows=False)
            return
        self.appending.persisted(out)
        self.replicas.tell_committed(out, batch_follows=self.appending.will_persist)
        if self.admission.is_stopping:
            self.appending.answers.all_pending(out)

    def _show(self, out: list[Effect]) -> None:
        """Note what is committed, then show it: a kill must not take back what was seen.

        What damage hides was committed all the same: the note stays where it is.
        """
        if not self.facts.damage:
            out.append(NoteCommit(self.facts.good_id))
        out.append(Show(self.facts.good_id))
        self.reading.advance(out)

    def _persist_refused(self, event: PersistRefused, out: list[Effect]) -> None:
        """Nothing was left behind: proved not stored."""
        self.facts.is_persisting = False
        if event.is_full:
            refused = self.admission.disk_was_full(event.reason)
        else:
            reason = RefusalReason.TOO_LARGE if event.is_too_large else RefusalReason.DAMAGED
            refused = Refused(reason, event.reason)
        self.appending.refused(refused, out)
        self.replicas.tell_committed(out, batch_follows=False)
        self.leadership.adoption_refused(out)

    def _persist_failed(self, out: list[Effect]) -> None:
        """What the disk holds is unknown: say so to every client; the node ends."""
        self.appending.failed(out)
        self._stop(out)

    # --- time and end -------------------------------------------------------------------

    def _ticked(self, now: Tick, out: list[Effect]) -> None:
        self.facts.now = now
        self.replicas.tick(now, out, is_supreme=self.reading.is_supreme)
        self.leadership.link_ended(out)
        self.leadership.maybe_open(out)
        self.leadership.maybe_serve(out)
        self.admission.say_change(out)
        self.appending.answers.late(out)
        self.reading.expire(out)

    def _stop(self, out: list[Effect]) -> None:
        """Answer who waits: stored, not yet at the write concern, or not stored at all."""
        self.admission.is_stopping = True
        self.appending.stop(out)
        self.reading.stop(out)
