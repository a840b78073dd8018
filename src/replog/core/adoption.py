"""Taking batches over from a secondary: adoption (R8) and repair (R13) of a master's log.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from replog.core.effects import Effect, Level, PersistBatches, Repair, Say, Send
from replog.core.entry import NO_ENTRY, EntryId, Head, Tick
from replog.core.events import LinkId
from replog.core.messages import Batches, Damage, Fetch, FetchEnd
from replog.core.progress import LinkState, Peer


@dataclass(slots=True)
class Adoption:
    """One donor and what came from it so far.

    Attributes:
        link: over which the donor was asked: with it the answer is lost.
        damage: the range to repair; None where batches extend the log.
        after: end of what has arrived.
        wanted: the id up to which the damaged range is known to have gone.
        through: beyond it nothing is asked for; None asks for all there is.
        expected: the head that the range is known to have ended at, where the donor is not
            proven to hold that: nothing else is stored.
        arrived: batches not handed to the disk yet; one fetched window at the most while
            the log is extended, the whole damaged range while it is repaired.
        is_asking: a `Fetch` has not been answered by its `FetchEnd` yet.
        has_grown: the present window brought something.
        is_storing: the disk works on what was handed to it.
    """

    donor: Peer
    link: LinkId
    damage: Damage | None
    after: Head
    wanted: EntryId = NO_ENTRY
    through: EntryId | None = None
    expected: Head | None = None
    arrived: list[Batches] = field(default_factory=list)
    is_asking: bool = False
    has_grown: bool = False
    is_storing: bool = False

    def ask(self, out: list[Effect]) -> None:
        """Ask for the next window."""
        self.is_asking = True
        self.has_grown = False
        out.append(Send(self.link, Fetch(self.after, self.through)))

    def take(self, batches: Batches) -> bool:
        """Take in fetched batches; False where they do not follow on what came before."""
        if batches.after != self.after:
            return False
        self.after = batches.head
        self.has_grown = True
        self.arrived.append(batches)
        return True

    def end_window(self, end: FetchEnd) -> bool:
        """Note the end of a window; False where the donor does not hold what was asked."""
        self.is_asking = False
        return end.found

    @property
    def is_link_lost(self) -> bool:
        return self.donor.link != self.link

    @property
    def is_whole(self) -> bool:
        """Whether the damaged range is complete, as far as it is known to have gone."""
        if self.damage is None:
            return False
        if self.expected is not None:
            return self.after == self.expected
        return self.after.last_id >= self.wanted

    @property
    def leads_elsewhere(self) -> bool:
        """Whether what came is another end than the one that the range had."""
        if self.expected is None or self.after.last_id < self.expected.last_id:
            return False
        return self.after != self.expected

    def store(self, out: list[Effect]) -> None:
        """Hand what has arrived to the disk."""
        batches = tuple(self.arrived)
        self.arrived.clear()
        self.is_storing = True
        if self.damage is None:
            out.append(PersistBatches(batches))
        else:
            out.append(Repair(self.damage, batches))


def reach(peer: Peer) -> EntryId:
    """Return how far a secondary could serve as a donor: its last id that is proven good."""
    if peer.state is LinkState.AHEAD and peer.report is not None:
        last_id = peer.report.head.last_id
    elif peer.state is LinkState.STREAMING and peer.acknowledged is not None:
        last_id = peer.acknowledged.last_id
    else:
        return EntryId(0)
    if peer.damaged_from is not None:
        last_id = EntryId(min(last_id, peer.damaged_from - 1))
    return last_id


def choose_donor(
    peers: list[Peer], damage: Damage | None, *, own: Head, now: Tick, has_heard_all: bool
) -> Peer | None:
    """Return the secondary to take batches from; None where none has what is missing.

    Of several whose logs extend the own one: the highest position (R8). For a damaged
    range: the one that goes furthest, and far enough.

    Args:
        own: the end of the log; where it is behind the range, the range ended there.
        has_heard_all: no other secondary can hold more.
    """
    willing = [peer for peer in peers if peer.no_donor_until is None or now >= peer.no_donor_until]
    if damage is None:
        return max(extending(willing, own), key=_position, default=None)
    wanted = _wanted(damage, own)
    able = [peer for peer in willing if reach(peer) >= wanted]
    if damage.last_id is None and own.last_id < damage.first_id:
        able = [
            peer
            for peer in able
            if _knows_committed(peer, wanted) or (has_heard_all and _is_highest(peer, peers))
        ]
    return max(able, key=reach, default=None)


def begin_adoption(donor: Peer, damage: Damage | None, *, own: Head) -> Adoption:
    """Return what is to be asked of a donor that `choose_donor` chose."""
    assert donor.link is not None
    if damage is None:
        return Adoption(donor, donor.link, None, own)
    wanted = _wanted(damage, own)
    through, expected = damage.last_id, None
    if through is None and own.last_id >= damage.first_id and donor.state is LinkState.AHEAD:
        through, expected = own.last_id, own
    elif through is None and _knows_committed(donor, wanted):
        assert donor.report is not None
        through = donor.report.committed_id
    return Adoption(donor, donor.link, damage, damage.before, wanted, through, expected)


def _wanted(damage: Damage, own: Head) -> EntryId:
    """Return the last id that a damaged range is known to have had."""
    return damage.last_id or max(damage.first_id, damage.claimed_id, own.last_id)


def _knows_committed(peer: Peer, id: EntryId) -> bool:
    """Whether a secondary's entries up to `id` are the log's for certain.

    Where nothing good follows a range, no hash says what stood in it. A secondary that was
    away may hold batches there which a master lost before they were committed, and another
    one the committed ones that took their place.
    """
    return peer.report is not None and peer.report.committed_id >= id


def _is_highest(peer: Peer, peers: list[Peer]) -> bool:
    ahead = [other for other in peers if other.state is LinkState.AHEAD]
    return peer in ahead and _position(peer) == max(map(_position, ahead))


def extending(peers: list[Peer], own: Head) -> list[Peer]:
    """Return the secondaries that can give batches beyond the own log."""
    return [peer for peer in peers if peer.state is LinkState.AHEAD and reach(peer) > own.last_id]


def _position(peer: Peer) -> tuple[int, int]:
    assert peer.report is not None
    position = peer.report.head.position
    return (position.epoch, position.last_id)


def announce(adoption: Adoption) -> Say:
    """Return the line that says what is taken over, and from whom."""
    donor = adoption.donor
    if adoption.damage is not None:
        damage = adoption.damage
        return Say(
            Level.WARNING,
            f"asking {donor.url} for the damaged range from entry {damage.first_id} "
            f"({damage.segment}, byte {damage.offset})",
        )
    return Say(
        Level.WARNING,
        f"{donor.url} holds entries after {adoption.after.last_id} that this master lost: "
        f"adopting them",
    )
