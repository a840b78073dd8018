"""The master's links: greeting, proof, stream and health of each secondary (R2-R6, R11).

PURE.
"""

from __future__ import annotations

from collections.abc import Iterable

from replog.core.effects import CloseLink, Effect, Level, LookUp, Say, Send, SendBatches
from replog.core.entry import GENESIS, EntryId, Epoch, Head, Tick
from replog.core.events import BatchesSent, LinkId, LookedUp, SecondaryIndex
from replog.core.facts import MasterFacts
from replog.core.health import HEARTBEAT_EVERY, Health
from replog.core.messages import (
    FORMAT,
    NO_TICK,
    Acknowledgement,
    CommitNews,
    Cut,
    Heartbeat,
    Hello,
    Probe,
    ProbeAnswer,
    Refusal,
    RefusalKind,
    Report,
    StreamStart,
    Welcome,
)
from replog.core.progress import ChainMismatchError, LinkState, Peer, new_peer
from replog.core.rejoin import CommonSearch

WELCOMED = frozenset(
    {
        LinkState.PROVING,
        LinkState.AHEAD,
        LinkState.CUTTING,
        LinkState.REPAIRING,
        LinkState.STREAMING,
    }
)


class Replicas:
    """All configured secondaries of one master."""

    def __init__(self, facts: MasterFacts, urls: Iterable[str]) -> None:
        self._facts = facts
        self.epoch = Epoch(0)
        self.peers = [new_peer(index, url, facts.now) for index, url in enumerate(urls)]
        self._by_link: dict[LinkId, Peer] = {}
        self._next_heartbeat = facts.now

    # --- opening and closing ------------------------------------------------------------

    def peer_of(self, link: LinkId) -> Peer | None:
        """Return the peer behind a present link; None for one that is gone (R2)."""
        return self._by_link.get(link)

    def opened(self, link: LinkId, index: SecondaryIndex, out: list[Effect]) -> None:
        peer = self.peers[index]
        if peer.link is not None:
            self.closed(peer.link, "replaced by a new connection", out)
        peer.link_opened(link, self._facts.now)
        self._by_link[link] = peer

    def closed(self, link: LinkId, reason: str, out: list[Effect]) -> None:
        peer = self._by_link.pop(link, None)
        if peer is None:
            return
        if peer.state in WELCOMED:
            out.append(Say(Level.WARNING, f"link to {peer.url} is down: {reason}"))
        peer.link_closed()
        if peer.health.link_lost():
            self._say_health(peer, out)

    def dial_failed(self, index: SecondaryIndex, reason: str, out: list[Effect]) -> None:
        peer = self.peers[index]
        if peer.problem != reason:
            peer.problem = reason
            out.append(Say(Level.WARNING, f"cannot reach {peer.url}: {reason}; trying on"))

    def refuse(
        self, peer: Peer, refusal: Refusal, out: list[Effect], *, verdict: LinkState
    ) -> None:
        """End a link on purpose, saying why to both sides; it will be dialled again (R1)."""
        assert peer.link is not None
        link = peer.link
        if peer.problem != refusal.detail:
            out.append(Say(Level.ERROR, f"link to {peer.url} refused: {refusal.detail}"))
        peer.problem = refusal.detail
        peer.verdict = verdict
        out += [Send(link, refusal), CloseLink(link, refusal.detail)]
        del self._by_link[link]
        peer.link_closed()
        peer.health.link_lost()

    def drop(self, peer: Peer, reason: str, out: list[Effect]) -> None:
        """Close the present link; the next one starts from a hello."""
        assert peer.link is not None
        out.append(CloseLink(peer.link, reason))
        self.closed(peer.link, reason, out)

    # --- greeting -----------------------------------------------------------------------

    def greeted(self, peer: Peer, hello: Hello, out: list[Effect]) -> bool:
        """Take in a first word; return False where the link was refused for it (R2, R3)."""
        facts = self._facts
        if hello.format != FORMAT:
            detail = f"{peer.url} writes format {hello.format}, this node format {FORMAT}"
            self.refuse(peer, Refusal(RefusalKind.FORMAT, detail), out, verdict=LinkState.REFUSED)
            return False
        same = [other.url for other in self.peers if other.node_id == hello.node_id]
        if hello.node_id == facts.node_id:
            same.append(f"this master ({facts.url})")
        if same:
            detail = f"{peer.url} is the same node as {same[0]}: each node is given once"
            self.refuse(
                peer, Refusal(RefusalKind.SAME_NODE, detail), out, verdict=LinkState.REFUSED
            )
            return False
        if hello.log_id is not None and hello.log_id != facts.log_id:
            detail = f"{peer.url} holds log {hello.log_id}, this master log {facts.log_id}"
            self.refuse(
                peer, Refusal(RefusalKind.OTHER_LOG, detail), out, verdict=LinkState.DIVERGED
            )
            return False
        peer.hello = hello
        peer.node_id = hello.node_id
        peer.delay_s = hello.delay_s
        return True

    def welcome(self, peer: Peer, out: list[Effect]) -> None:
        """Tell a greeted secondary the epoch, which is durable here (R8)."""
        facts = self._facts
        assert peer.link is not None
        assert facts.log_id is not None
        members = (facts.url, *(other.url for other in self.peers))
        peer.state = LinkState.PROVING
        self.contact(peer, out)
        who = (facts.log_id, facts.node_id, self.epoch)
        out.append(Send(peer.link, Welcome(*who, facts.url, members, facts.reign_id)))

    # --- proof --------------------------------------------------------------------------

    def reported(self, peer: Peer, report: Report, out: list[Effect]) -> None:
        """Look the secondary's head up in the own chain (R3)."""
        assert peer.link is not None
        if peer.report is not None and report.number < peer.report.number:
            return
        peer.restart_proof()
        peer.report = report
        peer.searched_at = self._facts.durable
        peer.last_known = report.head
        peer.state = LinkState.PROVING
        peer.damaged_from = report.damage[0].first_id if report.damage else None
        if report.head in (GENESIS, self._facts.durable):
            self._start_stream(peer, report.head, out)
        else:
            out.append(LookUp(peer.link, (report.head,)))

    def looked_up(self, peer: Peer, event: LookedUp, out: list[Effect]) -> None:
        """Go on with the proof of one secondary's log (R3)."""
        report = peer.report
        if peer.state is not LinkState.PROVING or report is None:
            return
        if peer.search is None:
            if event.heads != (report.head,):
                return  # Answers a question about an earlier report.
            if event.present[0]:
                self._start_stream(peer, report.head, out)
                return
            peer.search = CommonSearch(differs=report.head)
            self._probe(peer, out)
            return
        above = event.heads[1] if len(event.heads) > 1 else None
        has_above = event.present[1] if above is not None else False
        if peer.search.learn(
            below=event.heads[0], has_below=event.present[0], above=above, has_above=has_above
        ):
            self._part(peer, peer.search.shared, report, out)
        else:
            self._probe(peer, out)

    def _probe(self, peer: Peer, out: list[Effect]) -> None:
        assert peer.link is not None
        assert peer.search is not None
        probe = peer.search.next_probe(own_last_id=self._facts.durable.last_id)
        out.append(Send(peer.link, Probe(probe)))

    def probe_answered(self, peer: Peer, answer: ProbeAnswer, out: list[Effect]) -> None:
        if peer.state is not LinkState.PROVING or peer.search is None:
            return
        assert peer.link is not None
        heads = (answer.below,) if answer.above is None else (answer.below, answer.above)
        out.append(LookUp(peer.link, heads))

    def _part(self, peer: Peer, shared: Head, report: Report, out: list[Effect]) -> None:
        """The logs are common up to `shared` and differ after it: decide (R3, R8)."""
        assert peer.link is not None
        facts = self._facts
        peer.search = None
        if facts.may_adopt and facts.is_persisting:
            # A log is being adopted: where they meet is asked once more when it has been.
            peer.state = LinkState.AHEAD
            return
        if facts.may_adopt and peer.searched_at != facts.durable:
            self.reported(peer, report, out)
            return
        if facts.may_adopt and shared == facts.durable:
            peer.state = LinkState.AHEAD
            return
        if facts.damage and shared.last_id >= facts.good_id:
            # R13: what is at or behind the own damage cannot be judged; its log may mend it.
            peer.state = LinkState.AHEAD
            return
        if report.committed_id > shared.last_id:
            detail = (
                f"{peer.url} diverged: it knows entry {report.committed_id} to be committed, "
                f"but the logs are equal only up to {shared}; its head is {report.head}, "
                f"the master's {facts.durable}"
            )
            self.refuse(
                peer, Refusal(RefusalKind.DIVERGED, detail), out, verdict=LinkState.DIVERGED
            )
            return
        peer.state = LinkState.CUTTING
        out += [
            Say(
                Level.WARNING,
                f"{peer.url} holds unacknowledged entries after {shared.last_id} that are not "
                f"of this log: it moves them to its quarantine",
            ),
            Send(peer.link, Cut(shared)),
        ]

    def reconsider(self, out: list[Effect]) -> None:
        """Prove the logs that go beyond the own one once more.

        The own log grew by adoption or repair; or its first batch is being made, and what
        goes beyond it in another way can only be cut (R3, R8).
        """
        for peer in self.peers:
            if peer.state is LinkState.AHEAD and peer.report is not None:
                self.reported(peer, peer.report, out)

    def _start_stream(self, peer: Peer, after: Head, out: list[Effect]) -> None:
        assert peer.link is not None
        assert peer.report is not None
        peer.reported = True
        committed = self._facts.committed_id
        peer.start_stream(after, committed=committed, now=self._facts.now)
        # A damaged secondary repairs itself first: its disk cannot take a stream yet (R13).
        is_damaged = bool(peer.report.damage)
        peer.state = LinkState.REPAIRING if is_damaged else LinkState.STREAMING
        out += [
            Say(Level.INFO, f"{peer.url} rejoined from entry {after.last_id}"),
            Send(peer.link, StreamStart(after)),
            Send(peer.link, CommitNews(self.epoch, committed)),
        ]
        self.pump(peer, out)

    # --- stream -------------------------------------------------------------------------

    def pump_all(self, out: list[Effect]) -> None:
        for peer in self.peers:
            self.pump(peer, out)

    def pump(self, peer: Peer, out: list[Effect]) -> bool:
        """Send what was written and fits the window (R4); False where nothing is to be sent."""
        facts = self._facts
        room = peer.room
        if (
            peer.state is not LinkState.STREAMING
            or peer.is_sending
            or peer.sent.last_id >= facts.sendable_id
            or not room
        ):
            return False
        assert peer.link is not None
        peer.is_sending = True
        out.append(
            SendBatches(
                peer.link,
                peer.sent,
                facts.sendable_id,
                room,
                self.epoch,
                facts.committed_id,
            )
        )
        return True

    def frame_sent(self, event: BatchesSent, out: list[Effect]) -> None:
        peer = self._by_link.get(event.link)
        if peer is None or not peer.is_sending or event.after not in {None, peer.sent}:
            return
        if not event.size:
            peer.is_sending = False  # R13: the range is damaged; its repair pumps again.
            return
        peer.frame_sent(event.head, event.size, committed=event.committed_id)
        if not self.pump(peer, out):
            # The batch may have become durable here while its frame was read from disk.
            self._tell(peer, out)

    def acknowledged(self, peer: Peer, ack: Acknowledgement, out: list[Effect]) -> bool:
        """Count an acknowledgement after comparing its hash (R6); True where it counts."""
        if peer.state not in {LinkState.STREAMING, LinkState.REPAIRING}:
            return False
        peer.damaged_from = ack.damaged_from
        try:
            peer.acknowledge(ack.head, now=self._facts.now)
        except ChainMismatchError as mismatch:
            detail = f"{peer.url} diverged: it {mismatch}; the master's head is "
            detail += str(self._facts.written)
            self.refuse(
                peer, Refusal(RefusalKind.DIVERGED, detail), out, verdict=LinkState.DIVERGED
            )
            return False
        self.pump(peer, out)
        return True

    def tell_committed(self, out: list[Effect], *, batch_follows: bool) -> None:
        """Send commit news to who holds something that it allows to show (R7).

        Where a batch follows at once it carries the news for free.
        """
        facts = self._facts
        for peer in self.peers:
            if peer.state is not LinkState.STREAMING:
                continue
            is_level = peer.sent == facts.written and peer.in_flight < peer.window
            if batch_follows and is_level:
                continue
            self._tell(peer, out)

    def _tell(self, peer: Peer, out: list[Effect]) -> None:
        committed = self._facts.committed_id
        if peer.told_committed < min(peer.sent.last_id, committed):
            assert peer.link is not None
            peer.told_committed = committed
            out.append(Send(peer.link, CommitNews(self.epoch, committed)))

    # --- health -------------------------------------------------------------------------

    def contact(self, peer: Peer, out: list[Effect]) -> None:
        if peer.health.contact(self._facts.now):
            self._say_health(peer, out)

    def tick(self, now: Tick, out: list[Effect], *, is_supreme: bool) -> None:
        """Send heartbeats, and declare links down that showed no sign of life (R11).

        Where `is_supreme`, a secondary that shows what is committed here is level.
        """
        is_beat = now >= self._next_heartbeat
        if is_beat:
            self._next_heartbeat = Tick(now + HEARTBEAT_EVERY)
        for peer in self.peers:
            if not peer.is_kept_waiting and peer.health.tick(now):
                self._say_health(peer, out)
            if peer.is_silent(now):
                self.drop(peer, "no sign of life for 5 s", out)
            is_greeted = peer.state in WELCOMED or peer.is_kept_waiting
            if is_beat and is_greeted and peer.link is not None:
                out.append(Send(peer.link, self._heartbeat(peer, is_supreme=is_supreme)))

    def _heartbeat(self, peer: Peer, *, is_supreme: bool) -> Heartbeat:
        at = peer.heard_at if is_supreme else NO_TICK
        return Heartbeat(self.epoch, committed_id=self._facts.good_id, at=at)

    def _say_health(self, peer: Peer, out: list[Effect]) -> None:
        """Say a health that was not said last: who is refused comes and goes unsaid."""
        if peer.health.state is not peer.said_health:
            # Who hears that it is bad at a level must hear there that it is good again.
            is_first = peer.said_health is None and peer.health.state is Health.HEALTHY
            level = Level.INFO if is_first else Level.WARNING
            peer.said_health = peer.health.state
            out.append(Say(level, f"{peer.url} is {peer.health.state}"))

    # --- what is known ------------------------------------------------------------------

    def counted(self) -> list[EntryId]:
        """The durable ids that count for a write concern, the master's first (R10)."""
        counted = [peer.counted_id for peer in self.peers if peer.acknowledged is not None]
        return [self._facts.good_id, *counted]

    def holders(self, last_id: EntryId) -> tuple[str, ...]:
        """URLs of the nodes that hold `last_id` durably, the master's first."""
        own = (self._facts.url,) if self._facts.good_id >= last_id else ()
        return own + tuple(
            peer.url
            for peer in self.peers
            if peer.acknowledged is not None and peer.counted_id >= last_id
        )

    def reachable(self) -> int:
        """Nodes that take part right now, the master counted (R11)."""
        return 1 + sum(peer.takes_part for peer in self.peers)
