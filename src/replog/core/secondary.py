"""The secondary: stores what follows on its proven log, shows what is committed (R2-R13).

PURE. `step` takes one event and returns the effects in the order in which the shell must
perform them.
"""

from __future__ import annotations

from replog.core.damage import damage_line
from replog.core.effects import (
    AnswerFetch,
    AnswerProbe,
    Effect,
    Level,
    LookUp,
    NoteCommit,
    Say,
    Send,
    Show,
    VerifySent,
)
from replog.core.entry import NO_ENTRY, TICK_S, EntryId, Epoch, Head, LogId, NodeId, Tick
from replog.core.events import (
    CutDone,
    CutRefused,
    DamageFound,
    DamageRepaired,
    DelayChanged,
    EpochStored,
    Event,
    LinkClosed,
    LinkId,
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
from replog.core.facts import LinkPhase, SecondaryFacts
from replog.core.health import HEARTBEAT_EVERY, Health, PeerHealth
from replog.core.intake import Intake
from replog.core.joining import Joining
from replog.core.mending import Mending
from replog.core.messages import (
    FETCH_BYTES,
    Acknowledgement,
    Batches,
    CommitNews,
    Cut,
    Damage,
    Fetch,
    FetchEnd,
    Heartbeat,
    Message,
    Probe,
    ReadMark,
    Refusal,
    RefusalKind,
    StreamStart,
    Welcome,
)
from replog.core.reading import SecondaryReading


class Secondary:
    """The decisions of one secondary over its whole life.

    Args:
        node_id: of this data directory.
        log_id: of the log in it; None where it never followed one.
        epoch, epoch_owner: the highest epoch stored in the directory (R8).
        members: the URLs noted in the directory (R9).
        head: durable head of the log, after recovery; below any damage.
        committed_id: the highest of the commit note and the `commit` of the trailers held,
            also where that is beyond `head`: what damage hides was committed all the same.
        shown_id: the batch end up to which readers may see at the start; that at `committed_id`
            or `head`, if nothing else is said.
        damage: what recovery found and could not mend (R13), in order of ids.
        delay: injected latency of each batch (R12).
        now: the tick at which the node starts.
    """

    def __init__(
        self,
        *,
        node_id: NodeId,
        log_id: LogId | None,
        epoch: Epoch,
        epoch_owner: NodeId | None,
        members: tuple[str, ...] = (),
        head: Head,
        committed_id: EntryId,
        shown_id: EntryId | None = None,
        damage: tuple[Damage, ...] = (),
        delay: Tick,
        now: Tick,
    ) -> None:
        self.facts = SecondaryFacts(
            node_id=node_id,
            log_id=log_id,
            epoch=epoch,
            epoch_owner=epoch_owner,
            members=members,
            durable=head,
            known_committed=committed_id,
            mending=Mending(list(damage)),
            intake=Intake(expected=head),
            now=now,
            shown=EntryId(min(committed_id, head.last_id)) if shown_id is None else shown_id,
        )
        self.health = PeerHealth(silent_since=now)
        self.delay = delay
        self._joining = Joining(self.facts, self.health)
        self.reading = SecondaryReading(self.facts, self.health)
        self.is_disk_full = False
        self._next_heartbeat = now

    def start(self) -> list[Effect]:
        """Return what a secondary does before its first event: show what its note says."""
        out: list[Effect] = [Show(self.visible)]
        out += [Say(Level.ERROR, damage_line(damage)) for damage in self.facts.mending.damage]
        return out

    # --- what others ask ----------------------------------------------------------------

    @property
    def has_master(self) -> bool:
        """Whether a master is linked and gave a sign of life lately (P4, R11)."""
        return self.reading.has_master

    @property
    def visible(self) -> EntryId:
        """The last id that readers may see."""
        return self.facts.visible

    # --- events -------------------------------------------------------------------------

    def step(self, event: Event) -> list[Effect]:
        """Take one event in; return what is to be done for it, in order."""
        out: list[Effect] = []
        match event:
            case Received():
                self._received(event.link, event.message, out)
            case Persisted():
                self._persisted(event.head, out)
            case Ticked():
                self._ticked(event.now, out)
            case ReadRequested():
                self.reading.requested(event, out)
            case RequestAbandoned():
                self.reading.abandon(event.request)
            case Written():
                pass  # Nothing leaves before it is durable.
            case _:
                self._link_or_disk(event, out)
        self._advance(out)
        self.facts.intake.store(self.facts.now, out)
        return out

    def _link_or_disk(self, event: Event, out: list[Effect]) -> None:
        """The events that come seldom."""
        facts = self.facts
        match event:
            case LinkOpened():
                self._joining.opened(event.link, self.delay, out)
            case LinkClosed():
                self._joining.closed(event.link, event.reason, out)
            case ReceivedBad():
                self._received_bad(event, out)
            case StoreDelayed():
                self.is_disk_full = True  # the shell said so
            case EpochStored():
                self.is_disk_full = False
                self._joining.epoch_stored(event.epoch, out)
            case PersistRefused():
                is_same_stream = facts.phase is LinkPhase.STREAMING
                facts.intake.refused(facts.now, is_same_stream=is_same_stream)
                if event.is_full and not self.is_disk_full:
                    self.is_disk_full = True
                    out.append(Say(Level.ERROR, f"the disk is full: {event.reason}; trying on"))
                self._joining.maybe_report(out)
            case LookedUp():
                self._looked_up(event, out)
            case CutDone():
                self.is_disk_full = False
                self.reading.clip(event.head.last_id)
                self._joining.cut_done(event.head, out)
            case CutRefused():
                self._joining.cut_refused(out)
            case DamageFound():
                if facts.mending.found(event.damage, out):
                    # R13: what is damaged is not shown, and nobody waits for it.
                    self.reading.damaged(facts.good_id)
                    self._joining.rejoin(out)
            case DamageRepaired():
                self._damage_repaired(event, out)
            case RepairFailed():
                facts.mending.failed(facts.now, event.reason, out)
                self._joining.maybe_report(out)
            case DelayChanged():
                self.delay = event.delay
                facts.intake.shorten(now=facts.now, delay=event.delay)
                if facts.link is not None:
                    # The master's window must admit what is on its way for that long (R4).
                    out.append(Send(facts.link, self._heartbeat()))
            case StopRequested() | PersistFailed():
                facts.is_stopping = True  # who reads hears of it when all is taken in
            case _:
                raise AssertionError(f"no event for a secondary: {event}")

    def _is_of_now(self, link: LinkId, epoch: Epoch) -> bool:
        """Whether what came over `link` in `epoch` is its master's, and of this reign (R2)."""
        return link == self.facts.link and epoch == self.facts.epoch

    def _note_news(self, link: LinkId, news: CommitNews | Heartbeat) -> bool:
        """Note what the master calls committed; False where another says it."""
        if not self._is_of_now(link, news.epoch):
            return False
        self.facts.news = max(self.facts.news, news.committed_id)
        return True

    def _received_bad(self, event: ReceivedBad, out: list[Effect]) -> None:
        """Who sent it learns why the link ends: its own copy may have rotted (R5)."""
        if self._joining.is_open(event.link):
            out.append(Send(event.link, Refusal(RefusalKind.BAD_BYTES, event.reason)))
            self._joining.close(event.link, event.reason, out)

    def _received(self, link: LinkId, message: Message, out: list[Effect]) -> None:
        facts = self.facts
        if not self._joining.is_open(link):
            return  # A late word of a link that is gone (R2).
        if link == facts.link:
            self.health.contact(facts.now)
        else:
            self._joining.heard(link, is_question=isinstance(message, Probe | Fetch))
        match message:
            case Batches():
                self._batches(link, message, out)
            case CommitNews():
                self._note_news(link, message)
            case Heartbeat():
                is_news = facts.phase is LinkPhase.STREAMING and self._note_news(link, message)
                if is_news and message.at:
                    self.reading.heard(message.committed_id, at=message.at)
            case ReadMark():
                if self._is_of_now(link, message.epoch):
                    self.reading.marked(message, out)
            case Welcome():
                self._joining.welcomed(link, message, out)
            case Probe():
                out.append(AnswerProbe(link, message.id))
            case StreamStart():
                self._joining.stream_started(link, message.after, out)
            case Cut():
                self._joining.cut(link, message.to, out)
            case Fetch():
                self._fetch(link, message, out)
            case FetchEnd():
                if link == facts.link:
                    facts.mending.end_window(link, message, facts.now, out)
            case Refusal():
                if message.kind is RefusalKind.BAD_BYTES:
                    out.append(VerifySent(link))
                self._joining.refused(message, out)
            case _:
                self._joining.close(link, f"unexpected {type(message).__name__}", out)

    # --- batches ------------------------------------------------------------------------

    def _batches(self, link: LinkId, batches: Batches, out: list[Effect]) -> None:
        """Take batches in, acknowledge what is held already, refuse the rest (R5)."""
        facts = self.facts
        close = self._joining.close
        if link != facts.link:
            close(link, "batches before a welcome", out)
        elif batches.epoch != facts.epoch:
            close(link, f"batches of epoch {batches.epoch} in epoch {facts.epoch}", out)
        elif facts.phase is LinkPhase.REPAIRING:
            if not facts.mending.take(batches):
                close(link, f"batches after {batches.after} were not asked for", out)
        elif facts.phase is LinkPhase.STREAMING:
            facts.news = max(facts.news, batches.committed_id)
            if batches.after == facts.intake.expected:
                facts.intake.take(batches, now=facts.now, delay=self.delay)
            else:
                out.append(LookUp(link, (batches.head,)))
        # Otherwise they are of a stream that this node has ended with a new report.

    def _looked_up(self, event: LookedUp, out: list[Effect]) -> None:
        """Batches came that do not follow: are they held already? (R5)"""
        facts = self.facts
        if event.link != facts.link or facts.phase is not LinkPhase.STREAMING:
            return
        if event.present[0] and event.heads[0].last_id <= facts.durable.last_id:
            out.append(self._acknowledgement(event.link))
        else:
            reason = f"batches ending at {event.heads[0]} do not follow on {facts.durable}"
            self._joining.close(event.link, reason, out)

    def _persisted(self, head: Head, out: list[Effect]) -> None:
        """Everything up to `head` is on disk: acknowledge it cumulatively (R5)."""
        facts = self.facts
        # R3: what a master called committed, and is held here, is never cut back again.
        news = max((batches.committed_id for batches in facts.intake.storing), default=NO_ENTRY)
        facts.known_committed = max(facts.known_committed, EntryId(min(news, head.last_id)))
        facts.intake.stored()
        facts.durable = head
        if self.is_disk_full:
            self.is_disk_full = False
            out.append(Say(Level.WARNING, "the disk takes batches again"))
        if facts.phase is LinkPhase.STREAMING:
            # What was taken in on this link follows, by hash, on what was proven common.
            assert facts.link is not None
            facts.proven = head.last_id
            out.append(self._acknowledgement(facts.link))
        self._joining.maybe_report(out)

    def _acknowledgement(self, link: LinkId) -> Send:
        facts = self.facts
        return Send(link, Acknowledgement(facts.durable, facts.mending.damaged_from))

    def _fetch(self, link: LinkId, fetch: Fetch, out: list[Effect]) -> None:
        """Give durable batches to a master that lost them, or to a restore (R8, R9, R13)."""
        good = self.facts.good_id
        through = good if fetch.through is None else EntryId(min(fetch.through, good))
        epoch = self.facts.epoch
        out.append(AnswerFetch(link, fetch.after, through, FETCH_BYTES, epoch, self.visible))

    def _damage_repaired(self, event: DamageRepaired, out: list[Effect]) -> None:
        facts = self.facts
        facts.mending.repaired(event.damage)
        if event.head.last_id > facts.durable.last_id:
            facts.durable = event.head
        out.append(Say(Level.WARNING, f"repaired from entry {event.damage.first_id} on"))
        self._joining.rejoin(out)
        out.append(Show(self.visible))

    # --- what is shown ------------------------------------------------------------------

    def _advance(self, out: list[Effect]) -> None:
        """Show the lowest of the news, what is durable and what is proven common (R7)."""
        facts = self.facts
        shown = EntryId(min(facts.news, facts.durable.last_id, facts.proven))
        if shown > facts.shown:
            facts.shown = shown
            facts.known_committed = max(facts.known_committed, shown)
            out += [NoteCommit(shown), Show(self.visible)]
        self.reading.advance(out)

    # --- time ---------------------------------------------------------------------------

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(self.facts.epoch, self.delay * TICK_S, at=self.facts.now)

    def _ticked(self, now: Tick, out: list[Effect]) -> None:
        facts = self.facts
        facts.now = now
        facts.intake.release(now)
        self._joining.tick(out)
        is_silent = self.health.tick(now) and self.health.state is Health.UNHEALTHY
        if is_silent and facts.link is not None:
            # R11 declares the link down, whatever TCP says of it.
            self._joining.close(facts.link, "no sign of life from the master for 5 s", out)
        if facts.link is None:
            return
        if facts.phase is LinkPhase.REPAIRING:
            facts.mending.tick(facts.link, now, out)
        if now >= self._next_heartbeat:
            self._next_heartbeat = Tick(now + HEARTBEAT_EVERY)
            out.append(Send(facts.link, self._heartbeat()))
