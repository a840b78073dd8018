"""A secondary's way into a stream: welcome, epoch, report, cut, stream (R2, R3, R8).

PURE.
"""

from __future__ import annotations

from replog.core.effects import (
    CloseLink,
    CutLog,
    Effect,
    Level,
    Say,
    Send,
    StoreEpoch,
    StoreLogId,
    StoreMembers,
)
from replog.core.entry import NO_ENTRY, TICK_S, EntryId, Epoch, Head, Tick, epoch_owner, ticks
from replog.core.events import LinkId
from replog.core.facts import LinkPhase, SecondaryFacts
from replog.core.health import PeerHealth
from replog.core.messages import FORMAT, Hello, Refusal, RefusalKind, Report, Welcome

GREETING_WITHIN = ticks(10.0)
"""A link that is no master's yet and says nothing for so long is closed: who opened it is none."""

ASKING_WITHIN = ticks(60.0)
"""… or for so long after a question: a restore stores what it was given before it asks again."""

GREETING_MAX = 64
"""Links that are no master's yet; beyond, the one that is nearest to its end is closed (P10)."""

SAID_MAX = 100
"""Lines remembered in order not to say them at each dial of a master."""


class Joining:
    """The links of a secondary, of which one at most is its master's."""

    def __init__(self, facts: SecondaryFacts, health: PeerHealth) -> None:
        self._facts = facts
        self._health = health
        self._greeting: dict[LinkId, Tick] = {}
        """Until when each of them may say nothing."""
        self._is_epoch_stored = True
        self._is_cutting = False
        self._reports = 0
        """How many were sent on the master's present link."""
        self._said: set[str] = set()

    def is_open(self, link: LinkId) -> bool:
        """Whether a word of this link still counts: not so once it was closed (R2)."""
        return link == self._facts.link or link in self._greeting

    # --- links --------------------------------------------------------------------------

    def opened(self, link: LinkId, delay: Tick, out: list[Effect]) -> None:
        """Say who this node is; its head comes later (R2, R8)."""
        facts = self._facts
        if len(self._greeting) >= GREETING_MAX:
            nearest = min(self._greeting, key=self._greeting.__getitem__)
            self.close(nearest, f"{GREETING_MAX} links wait for a welcome", out)
        self._greeting[link] = Tick(facts.now + GREETING_WITHIN)
        hello = Hello(
            FORMAT,
            facts.node_id,
            facts.log_id,
            facts.epoch,
            facts.epoch_owner,
            delay * TICK_S,
            facts.members,
        )
        out.append(Send(link, hello))

    def heard(self, link: LinkId, *, is_question: bool) -> None:
        """Note a sign of life on an open link that is no master's yet."""
        assert link in self._greeting, f"link {link} is gone, or a master's"
        within = ASKING_WITHIN if is_question else GREETING_WITHIN
        self._greeting[link] = max(self._greeting[link], Tick(self._facts.now + within))

    def tick(self, out: list[Effect]) -> None:
        """Close the links that never became a master's and are silent."""
        now = self._facts.now
        for link in [link for link, until in self._greeting.items() if now >= until]:
            self.close(link, "no welcome, and no word for long", out)

    def close(self, link: LinkId, reason: str, out: list[Effect]) -> None:
        """End a link; its dialler starts again from a hello."""
        out.append(CloseLink(link, reason))
        self.closed(link, reason, out)

    def closed(self, link: LinkId, reason: str, out: list[Effect]) -> None:
        """Forget a link, and what it brought that is not being stored (R2)."""
        facts = self._facts
        self._greeting.pop(link, None)
        if link != facts.link:
            return
        facts.link = None
        self._forget_proof(LinkPhase.ALONE)
        self._health.link_lost()
        self._say(Level.WARNING, f"link to master {facts.master_url} ended: {reason}", out)

    def _say(self, level: Level, text: str, out: list[Effect]) -> None:
        """Say each thing once until a stream starts: what fails is dialled again for ever."""
        if len(self._said) >= SAID_MAX:
            self._said.clear()
        if text not in self._said:
            self._said.add(text)
            out.append(Say(level, text))

    def refused(self, refusal: Refusal, out: list[Effect]) -> None:
        """The master will not go on; it may say so at each of its dials."""
        self._say(Level.ERROR, f"the master refused this node: {refusal.detail}", out)

    # --- welcome and report -------------------------------------------------------------

    def welcomed(self, link: LinkId, welcome: Welcome, out: list[Effect]) -> None:
        """Accept a master's epoch, or refuse the master (R8)."""
        facts = self._facts
        refusal = self._refusal(welcome)
        if refusal is not None:
            self._say(Level.WARNING, f"refused master {welcome.url}: {refusal.detail}", out)
            out.append(Send(link, refusal))
            self.close(link, refusal.detail, out)
            return
        if facts.link is not None and facts.link != link:
            # R2: an earlier link is closed before the head is told.
            self.close(facts.link, "a newer link took its place", out)
        self._greeting.pop(link, None)
        if facts.link != link:
            self._reports = 0
        facts.link = link
        facts.master_url = welcome.url
        self._health.contact(facts.now)
        self._say(Level.INFO, f"master {welcome.url} reigns in epoch {welcome.epoch}", out)
        if facts.log_id is None:
            facts.log_id = welcome.log_id
            out.append(StoreLogId(welcome.log_id))
        if facts.members != welcome.members:
            facts.members = welcome.members
            out.append(StoreMembers(welcome.members))
        owner = epoch_owner(welcome.node_id, welcome.reign)
        if (facts.epoch, facts.epoch_owner) != (welcome.epoch, owner):
            facts.epoch = welcome.epoch
            facts.epoch_owner = owner
            self._is_epoch_stored = False
            out.append(StoreEpoch(welcome.epoch, owner))
        self.rejoin(out)

    def _refusal(self, welcome: Welcome) -> Refusal | None:
        facts = self._facts
        if welcome.node_id == facts.node_id:
            return Refusal(RefusalKind.SAME_NODE, "this is the master's own data directory")
        if facts.log_id is not None and welcome.log_id != facts.log_id:
            detail = f"this node holds log {facts.log_id}, not {welcome.log_id}"
            return Refusal(RefusalKind.OTHER_LOG, detail)
        is_same_epoch = welcome.epoch == facts.epoch and facts.epoch_owner is not None
        owner = epoch_owner(welcome.node_id, welcome.reign)
        if welcome.epoch < facts.epoch or (is_same_epoch and owner != facts.epoch_owner):
            detail = f"epoch {facts.epoch} of node {facts.epoch_owner} is known here"
            return Refusal(RefusalKind.STALE_EPOCH, detail, facts.epoch, facts.epoch_owner)
        return None

    def epoch_stored(self, epoch: Epoch, out: list[Effect]) -> None:
        """An epoch is durable here: the head may be told to the master that it is of."""
        if epoch == self._facts.epoch:
            self._is_epoch_stored = True
            self.maybe_report(out)

    def rejoin(self, out: list[Effect]) -> None:
        """Begin the proof of the own log anew on the present link (R3)."""
        if self._facts.link is None:
            return
        self._forget_proof(LinkPhase.JOINING)
        self.maybe_report(out)

    def _forget_proof(self, phase: LinkPhase) -> None:
        facts = self._facts
        facts.phase = phase
        facts.proven = NO_ENTRY
        facts.news = NO_ENTRY
        facts.intake.restart(facts.durable)
        facts.mending.link_lost()

    def maybe_report(self, out: list[Effect]) -> None:
        """Tell the durable head, once nothing can change it any more (R2, R8)."""
        facts = self._facts
        if facts.phase is not LinkPhase.JOINING or not self._is_epoch_stored:
            return
        if facts.intake.is_storing or self._is_cutting or facts.mending.is_storing:
            return
        assert facts.link is not None
        facts.phase = LinkPhase.PROVING
        facts.intake.restart(facts.durable)
        head = facts.good_head
        committed = EntryId(min(facts.known_committed, head.last_id))
        report = Report(head, committed, tuple(facts.mending.damage), self._reports)
        self._reports += 1
        out.append(Send(facts.link, report))

    # --- what the proof led to ----------------------------------------------------------

    def stream_started(self, link: LinkId, after: Head, out: list[Effect]) -> None:
        """The whole log is proven common with the master's (R7)."""
        facts = self._facts
        if link != facts.link:
            return
        if facts.phase in {LinkPhase.STREAMING, LinkPhase.REPAIRING}:
            # It goes by a report that is not the last one, and may wait for what is mended.
            self.close(link, "the stream began twice", out)
            return
        if facts.phase is not LinkPhase.PROVING:
            return
        if after != facts.good_head:
            self.close(link, f"a stream after {after} does not fit {facts.good_head}", out)
            return
        self._said.clear()
        facts.proven = after.last_id
        facts.intake.restart(after)
        if not facts.mending.damage:
            facts.phase = LinkPhase.STREAMING
        elif facts.mending.damage[0].last_id is None:
            # R13: nothing good follows, so the master's stream can take its place; what is
            # there goes to the quarantine, whether or not the master's log goes as far.
            self._order_cut(after, out)
        else:
            facts.phase = LinkPhase.REPAIRING
            facts.mending.begin(link, out)

    def cut(self, link: LinkId, to: Head, out: list[Effect]) -> None:
        """Give up what is not of the master's log, if none of it was committed (R3)."""
        facts = self._facts
        if link != facts.link or facts.phase is not LinkPhase.PROVING:
            return
        if to.last_id < facts.known_committed or to.last_id >= facts.durable.last_id:
            detail = (
                f"cannot cut back to {to}: entry {facts.known_committed} is known to be "
                f"committed, and the head is {facts.durable}"
            )
            out.append(Send(link, Refusal(RefusalKind.DIVERGED, detail)))
            self.close(link, detail, out)
            return
        self._order_cut(to, out)

    def _order_cut(self, to: Head, out: list[Effect]) -> None:
        self._is_cutting = True
        self._facts.phase = LinkPhase.JOINING
        out.append(CutLog(to))

    def cut_refused(self, out: list[Effect]) -> None:
        """Damage was found below the cut meanwhile: report that, it is to be mended first."""
        self._is_cutting = False
        self.maybe_report(out)

    def cut_done(self, head: Head, out: list[Effect]) -> None:
        """The log ends at `head` now: report anew (R3, R14)."""
        facts = self._facts
        self._is_cutting = False
        facts.durable = head
        # Damage at the end was a reason for the cut: what it took is shown once it is here again.
        facts.shown = EntryId(min(facts.shown, head.last_id))
        facts.intake.restart(head)
        facts.mending.forget_from(head)
        out.append(Say(Level.WARNING, f"moved what was after {head} to the quarantine"))
        self.maybe_report(out)
