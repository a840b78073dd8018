"""From a master's start to its first append: greet, open an epoch, take over what is missing.

PURE.
"""

from __future__ import annotations

from replog.core.admission import DISK_FULL_PAUSE, foreign_detail, superseded_detail
from replog.core.adoption import (
    Adoption,
    announce,
    begin_adoption,
    choose_donor,
    extending,
    reach,
)
from replog.core.damage import damage_line, with_found
from replog.core.effects import (
    Effect,
    Level,
    Say,
    StoreEpoch,
    StoreLogId,
    StoreLossSettled,
    StoreMembers,
    VerifySent,
)
from replog.core.entry import Epoch, LogId, Tick, ticks
from replog.core.events import DamageRepaired
from replog.core.facts import MasterFacts
from replog.core.messages import (
    Batches,
    Damage,
    FetchEnd,
    Hello,
    Refusal,
    RefusalKind,
    Report,
)
from replog.core.progress import LinkState, Peer
from replog.core.reign import GATHER_MAX, Phase, Reign
from replog.core.replicas import WELCOMED, Replicas

DONOR_PAUSE = ticks(5.0)
"""How long a secondary that could not give what is missing is not asked again."""


class Leadership:
    """What a master must have settled with its secondaries before it makes batches."""

    def __init__(
        self, facts: MasterFacts, reign: Reign, replicas: Replicas, *, fresh_log_id: LogId
    ) -> None:
        self.reign = reign
        self._facts = facts
        self._replicas = replicas
        self._fresh_log_id = fresh_log_id
        self._adoption: Adoption | None = None
        self._adopt_until = facts.now
        self._take_again_at = facts.now
        self._last_problem = ""

    # --- reign --------------------------------------------------------------------------

    def greeted(self, peer: Peer, hello: Hello, out: list[Effect]) -> None:
        """Take in the first word of a secondary (R2, R8, R9)."""
        reign = self.reign
        was_superseded = reign.superseded
        is_foreign = hello.log_id is not None and hello.log_id != self._facts.log_id
        has_made = self._facts.has_first_batch
        reign.hear(peer.index, hello, is_foreign=is_foreign, has_made=has_made)
        if is_foreign and not reign.foreign:
            reign.foreign = f"{peer.url} holds a log already ({hello.log_id})"
            if reign.lost_its_log:
                out.append(Say(Level.ERROR, f"read-only: {foreign_detail(self.reign)}"))
        self._say_superseded(out, was=was_superseded)
        if self._replicas.greeted(peer, hello, out):
            if reign.superseded:
                refusal = Refusal(RefusalKind.STALE_EPOCH, reign.superseded)
                self._replicas.refuse(peer, refusal, out, verdict=LinkState.REFUSED)
            elif reign.phase in {Phase.ADOPTING, Phase.SERVING} and not reign.must_reopen:
                self._replicas.welcome(peer, out)
        self._maybe_reopen(out)
        self.maybe_open(out)

    def refused(self, peer: Peer, refusal: Refusal, out: list[Effect]) -> None:
        """The secondary will not go on with this master (R8), or with what it was sent (R5)."""
        if refusal.kind is RefusalKind.BAD_BYTES:
            assert peer.link is not None
            text = f"{peer.url} refused what it was sent: {refusal.detail}; verifying it again"
            out += [Say(Level.ERROR, text), VerifySent(peer.link)]
            self._replicas.drop(peer, refusal.detail, out)
            self.link_ended(out)
            return
        if refusal.kind is RefusalKind.STALE_EPOCH:
            was_superseded = self.reign.superseded
            has_made = self._facts.has_first_batch
            self.reign.contest(refusal.epoch, refusal.epoch_owner, has_made=has_made)
            self._say_superseded(out, was=was_superseded)
        is_diverged = refusal.kind in {RefusalKind.DIVERGED, RefusalKind.OTHER_LOG}
        verdict = LinkState.DIVERGED if is_diverged else LinkState.REFUSED
        self._replicas.refuse(peer, refusal, out, verdict=verdict)
        self.link_ended(out)
        self._maybe_reopen(out)

    def _say_superseded(self, out: list[Effect], *, was: str) -> None:
        if self.reign.superseded and not was:
            out.append(Say(Level.ERROR, f"read-only: {superseded_detail(self.reign)}"))

    def maybe_open(self, out: list[Effect]) -> None:
        """Open the epoch once enough was heard (R8, R9)."""
        reign = self.reign
        if not reign.may_open(self._facts.now):
            return
        reign.phase = Phase.OPENING
        if self._facts.log_id is None:
            self._facts.log_id = self._fresh_log_id
            out.append(StoreLogId(self._fresh_log_id))
        self._claim(out)

    def _claim(self, out: list[Effect]) -> None:
        reign = self.reign
        reign.claimed = reign.next_epoch()
        out.append(StoreEpoch(reign.claimed, reign.own))

    def _maybe_reopen(self, out: list[Effect]) -> None:
        """Open an epoch above one that was heard only now; who followed says hello anew (R8)."""
        reign = self.reign
        if not reign.must_reopen:
            return
        reign.must_reopen = False
        reign.has_reopened = True
        reign.phase = Phase.OPENING
        heard = f"epoch {reign.heard_epoch} was opened by another run of a master"
        out.append(Say(Level.WARNING, f"{heard}: opening one above it"))
        for peer in self._replicas.peers:
            if peer.state in WELCOMED:
                self._replicas.drop(peer, "a new epoch is opened", out)
        self._claim(out)
        self.link_ended(out)

    def epoch_opened(self, epoch: Epoch, out: list[Effect]) -> None:
        """The epoch is durable: tell it to who has greeted (R8)."""
        if epoch != self.reign.claimed:
            return  # A later one is being stored.
        self.reign.epoch = epoch
        self.reign.owner = self.reign.own
        self.reign.phase = Phase.ADOPTING
        self._replicas.epoch = epoch
        self._adopt_until = Tick(self._facts.now + GATHER_MAX)
        out.append(Say(Level.INFO, f"epoch {epoch} opened"))
        for peer in self._replicas.peers:
            if peer.state is LinkState.GREETING and peer.hello is not None:
                self._replicas.welcome(peer, out)
        self.maybe_serve(out)

    # --- adoption and repair ------------------------------------------------------------

    def proof_moved(self, peer: Peer, out: list[Effect]) -> None:
        """A secondary's log was proven, or found to differ: is there something to take?"""
        if peer.state in {LinkState.STREAMING, LinkState.REPAIRING}:
            self._note_shared(out)
        elif peer.state is LinkState.AHEAD and self.reign.phase is Phase.SERVING:
            self.reign.phase = Phase.ADOPTING
            self._adopt_until = Tick(self._facts.now + GATHER_MAX)
        self.maybe_serve(out)

    def _note_shared(self, out: list[Effect]) -> None:
        members = (self._facts.url, *(peer.url for peer in self._replicas.peers))
        if self.reign.members != members:
            self.reign.members = members
            out.append(StoreMembers(members))

    def maybe_serve(self, out: list[Effect]) -> None:
        """Take over what is missing, then let batches be made (R8, R13)."""
        if self.reign.phase not in {Phase.ADOPTING, Phase.SERVING}:
            return
        if self._facts.damage:
            self._take(self._facts.damage[0], out)
            return
        if self.reign.phase is Phase.SERVING or self._is_waiting_for_proof():
            return
        if self._take(None, out):
            return
        if self._facts.now < self._adopt_until and self._is_more_elsewhere():
            return
        self.reign.phase = Phase.SERVING
        if self.reign.must_hear_all:
            self.reign.must_hear_all = False
            out.append(StoreLossSettled())
        out.append(Say(Level.INFO, f"serving from entry {self._facts.durable.last_id} on"))

    def _is_waiting_for_proof(self) -> bool:
        is_late = self._facts.now >= self._adopt_until
        for peer in self._replicas.peers:
            if peer.state in {LinkState.PROVING, LinkState.CUTTING} and not is_late:
                return True
        # Damage at open: a refused connection is no answer here (R8).
        return self.reign.must_hear_all and not self._have_all_spoken()

    def _have_all_spoken(self) -> bool:
        return all(peer.has_spoken for peer in self._replicas.peers)

    def _take(self, damage: Damage | None, out: list[Effect]) -> bool:
        """Ask a donor for what is missing; True while that goes on."""
        facts = self._facts
        if self._adoption is not None or facts.now < self._take_again_at:
            return True
        donor = choose_donor(
            self._replicas.peers,
            damage,
            own=facts.durable,
            now=facts.now,
            has_heard_all=not self.reign.must_hear_all or self._have_all_spoken(),
        )
        if donor is None:
            return False
        self._adoption = begin_adoption(donor, damage, own=facts.durable)
        out.append(announce(self._adoption))
        self._adoption.ask(out)
        return True

    def donated(self, peer: Peer, batches: Batches, out: list[Effect]) -> None:
        """Batches came from the donor."""
        adoption = self._adoption
        if adoption is None or adoption.donor is not peer or not adoption.is_asking:
            return
        if batches.epoch > self.reign.epoch or not adoption.take(batches):
            self._give_up(adoption)
            self._replicas.drop(peer, f"batches do not follow on {adoption.after}", out)

    def donation_ended(self, peer: Peer, end: FetchEnd, out: list[Effect]) -> None:
        """The donor has sent one window."""
        adoption = self._adoption
        if adoption is None or adoption.donor is not peer or not adoption.is_asking:
            return
        if not adoption.end_window(end):
            self._give_up(adoption)
            self._replicas.drop(peer, f"it no longer holds {adoption.after}", out)
        elif adoption.leads_elsewhere:
            self.repair_failed(f"{peer.url} holds {adoption.after} in its place", out)
        elif adoption.is_whole or (adoption.damage is None and adoption.arrived):
            if adoption.damage is None:
                self._facts.is_persisting = True
            adoption.store(out)
        elif adoption.has_grown:
            adoption.ask(out)
        else:
            # The donor has nothing more: what it reported has been taken over, or it cannot
            # give it now, and is not asked again at once.
            if reach(peer) > adoption.after.last_id:
                self._give_up(adoption)
            self._finish(out)

    def adopted(self, out: list[Effect]) -> bool:
        """A persist came back: True where it was one of adopted batches."""
        adoption = self._adoption
        if adoption is None or not adoption.is_storing or adoption.damage is not None:
            return False
        adoption.is_storing = False
        if adoption.is_link_lost:
            self._finish(out)
        else:
            adoption.ask(out)
        return True

    def adoption_refused(self, out: list[Effect]) -> None:
        """The disk was full: what was adopted so far stays, the rest is asked for later."""
        adoption = self._adoption
        if adoption is not None and adoption.is_storing and adoption.damage is None:
            self._take_again_at = Tick(self._facts.now + DISK_FULL_PAUSE)
            self._finish(out)

    def _give_up(self, adoption: Adoption) -> None:
        """Leave a donor alone for a while that could not give what it was asked for."""
        self._adoption = None
        adoption.donor.no_donor_until = Tick(self._facts.now + DONOR_PAUSE)

    def _is_more_elsewhere(self) -> bool:
        return bool(extending(self._replicas.peers, self._facts.durable))

    def _finish(self, out: list[Effect]) -> None:
        self._adoption = None
        self._replicas.reconsider(out)
        self.maybe_serve(out)

    def link_ended(self, out: list[Effect]) -> None:
        """A link ended: was it the donor's?"""
        adoption = self._adoption
        if adoption is not None and adoption.is_link_lost and not adoption.is_storing:
            self._finish(out)

    # --- damage -------------------------------------------------------------------------

    def damage_found(self, damage: Damage, out: list[Effect]) -> None:
        """A read or the scrubber found a range that does not verify any more (R13)."""
        ranges = with_found(self._facts.damage, damage)
        if ranges is None:
            return
        self._facts.damage = ranges
        out.append(Say(Level.ERROR, damage_line(damage)))
        self.maybe_serve(out)

    def damage_repaired(self, event: DamageRepaired, out: list[Effect]) -> None:
        """The range verifies again; the log may go further now (R13)."""
        facts = self._facts
        facts.damage = [other for other in facts.damage if other.before != event.damage.before]
        if event.head.last_id > facts.durable.last_id:
            facts.written = facts.durable = event.head
        out.append(Say(Level.WARNING, f"repaired from entry {event.damage.first_id}: {event.head}"))
        for peer in self._replicas.peers:
            peer.is_sending = False
        self._finish(out)
        self._replicas.pump_all(out)

    def repair_failed(self, reason: str, out: list[Effect]) -> None:
        """What the donor sent does not close the chain: ask another one, or later (R13)."""
        if self._last_problem != reason:
            self._last_problem = reason
            out.append(Say(Level.ERROR, f"repair failed: {reason}; trying on"))
        assert self._adoption is not None, "a repair that the disk works on has its donor"
        self._give_up(self._adoption)
        self.maybe_serve(out)

    def reported(self, peer: Peer, report: Report, out: list[Effect]) -> None:
        """A secondary told its durable log (R3)."""
        self._replicas.reported(peer, report, out)
        self.proof_moved(peer, out)
