"""The promises, checked after every step against what really happened on every disk.

PURE. The judge sees everything: each batch ever made, each disk's durable image, each
answer. It shares no state with the nodes and believes none of them.

What "survives" means: what a disk held durably of the committed log stays durable on that
disk for ever, unless the disk itself was taken away (wiped) or has rotted since. An answer
at `w` names no nodes, so it must hold for `w` distinct disks at that moment; from then on
the sentence before keeps it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from operator import attrgetter

from replog.core.effects import AppendOutcome, Pending, RefusalReason, Refused, Stored
from replog.core.write_concern import WriteConcern, copies_needed
from tests.simulator.disk import SimFilesystem
from tests.simulator.fresh import FreshJudge
from tests.simulator.keyed import KeyJudge
from tests.simulator.promise import broken
from tests.simulator.reader import GENESIS_HASH, DurableView, FoundBatch, scan
from tests.simulator.record import NodeRecord
from tests.simulator.requests import Append, Receipt

SEGMENTS = "/data/segments"
QUARANTINE = "/data/quarantine"

_last_id = attrgetter("last_id")


@dataclass(slots=True)
class Judge:
    """Everything that happened, and the promises over it."""

    nodes: dict[str, NodeRecord] = field(default_factory=dict)
    batches: dict[bytes, FoundBatch] = field(default_factory=dict)
    made_at: dict[tuple[int, int], bytes] = field(default_factory=dict)
    message_in: dict[bytes, list[FoundBatch]] = field(default_factory=dict)
    truth: list[FoundBatch] = field(default_factory=list)
    truth_ends: dict[int, bytes] = field(default_factory=lambda: {0: GENESIS_HASH})
    messages: list[bytes] = field(default_factory=list)
    text: bytearray = field(default_factory=bytearray)
    text_ends: list[int] = field(default_factory=lambda: [0])
    epoch_owner: dict[int, str] = field(default_factory=dict)
    equal_heads: dict[bytes, tuple[str, bytes]] = field(default_factory=dict)
    keys: KeyJudge = field(init=False)
    fresh: FreshJudge = field(default_factory=FreshJudge)

    def __post_init__(self) -> None:
        self.keys = KeyJudge(self.messages)

    def add_node(self, name: str, disk: SimFilesystem) -> None:
        self.nodes[name] = NodeRecord(name, disk, DurableView(disk, SEGMENTS))

    @property
    def committed_id(self) -> int:
        return self.truth[-1].last_id if self.truth else 0

    def is_text(self, lines: bytes | None, last_id: int) -> bool:
        """Whether `lines` are what a read of the one log gives, up to `last_id`."""
        stop = self.text_ends[last_id]
        return lines is not None and len(lines) == stop and self.text.startswith(lines)

    # --- batches ------------------------------------------------------------------------

    def batch_made(
        self, epoch: int, owner: str, payload: bytes, *, prev: bytes, after: int
    ) -> None:
        """A master wrote a batch of its own."""
        other = self.epoch_owner.setdefault(epoch, owner)
        if other != owner:
            broken("R8", f"epoch {epoch} belongs to {other}, {owner} makes batches")
        found = scan(payload, prev=prev, last_id=after)
        if len(found) != 1:
            broken("P1", f"an append wrote {len(found)} good batches")
        self._register(found[0])

    def _register(self, batch: FoundBatch) -> None:
        if batch.hash in self.batches:
            return
        self.batches[batch.hash] = batch
        for number, message in enumerate(batch.messages, batch.first_id):
            other = self.made_at.setdefault((batch.epoch, number), batch.hash)
            if other != batch.hash:
                broken("section 3", f"epoch {batch.epoch} made two batches for id {number}")
            homes = self.message_in.setdefault(message, [])
            homes.append(batch)
            # P6 has its own judge: one with a key may come again where the first was lost.
            is_alone = len(homes) == 1 or self.keys.is_retried(message)
            if not is_alone:
                broken("P1", f"{message!r} is in two batches")
            is_wanted = self.keys.may_be_stored(message)
            if not is_wanted:
                broken("P3", f"{message!r} was refused, and is stored")

    def check_disk(self, name: str) -> None:
        """Look at a disk's durable image: what was committed and durable is still there."""
        record = self.nodes[name]
        for batch in record.view.refresh():
            self._register(batch)
        if record.is_rotten:
            record.is_rotten = record.view.last_id < record.kept
        if not record.is_rotten:
            self._check_kept(record)
        if not record.view.is_readable:
            return  # It comes to disk while it is taken back: no node ever takes it for held.
        while record.kept < min(self.committed_id, record.view.last_id):
            following = self.truth[bisect_right(self.truth, record.kept, key=_last_id)]
            if record.view.ends.get(following.last_id) != following.hash:
                break
            record.kept = following.last_id

    def cut(self, name: str) -> None:
        """R14: what is taken off a log is in the quarantine, durably."""
        record = self.nodes[name]
        before = set(record.view.ends.values())
        self.check_disk(name)
        gone = before.difference(record.view.ends.values())
        kept = [bytes(file.durable) for _, file in record.disk.durable_files(QUARANTINE)]
        for each in gone if not record.is_rotten else ():
            if not any(each.hex().encode() in file for file in kept):
                broken("R14", f"{name} cut {self.batches[each]} without a copy")

    def _check_kept(self, record: NodeRecord) -> None:
        if record.view.ends.get(record.kept, GENESIS_HASH) != self.truth_ends[record.kept]:
            broken(
                "P2",
                f"{record.name} held the committed entries up to {record.kept} durably, "
                f"its disk now proves {record.view.last_id}",
            )

    def chain(self, head: bytes, down_to: int) -> list[FoundBatch]:
        """Return the batches that lead to `head`, oldest first, those after `down_to`."""
        found: list[FoundBatch] = []
        while head != GENESIS_HASH:
            batch = self.batches.get(head)
            if batch is None:
                broken("P7", f"a head {head.hex()[:12]} that nobody ever made")
            assert batch is not None
            if batch.last_id <= down_to:
                break
            found.append(batch)
            head = batch.prev
        found.reverse()
        return found

    def _not_shown_yet(self, head: bytes) -> list[FoundBatch]:
        """Return the batches that lead from the one log to `head`, oldest first."""
        found: list[FoundBatch] = []
        while head != GENESIS_HASH:
            batch = self.batches.get(head)
            if batch is None:
                broken("P7", f"a head {head.hex()[:12]} that nobody ever made")
            if self.truth_ends.get(batch.last_id) == head:
                break
            found.append(batch)
            head = batch.prev
        found.reverse()
        return found

    # --- what is shown ------------------------------------------------------------------

    def master_shows(self, name: str, shown_id: int, head: bytes, now: int) -> None:
        """The master lets readers see up to `shown_id`.

        What is durable there, up to `head`, is committed (R7) and from here on the truth;
        damage may hide a part of it for a while (R13).
        """
        record = self.nodes[name]
        own = self._not_shown_yet(head)
        met = own[0].prev if own else head  # from here down it is the truth
        met_id = self.batches[met].last_id if met != GENESIS_HASH else 0
        durable_id = own[-1].last_id if own else met_id
        at = bisect_right(self.truth, durable_id, key=_last_id)
        if met_id != (self.truth[at - 1].last_id if at else 0):
            broken("P3", f"{name} shows another entry above {met_id} than was shown before")
        for batch in own:
            if batch.first_id != self.committed_id + 1:
                broken("P1", f"{batch} comes after {self.committed_id}")
            self._commit(batch, now)
        if shown_id > durable_id or shown_id not in self.truth_ends:
            broken("P5", f"{name} shows half a batch")
        self.check_disk(name)
        if not record.is_rotten and record.view.last_id < durable_id:
            broken(
                "P2",
                f"{name} takes {durable_id} for committed, its disk holds {record.view.last_id}",
            )
        self._shows(record, shown_id)

    def _commit(self, batch: FoundBatch, now: int) -> None:
        self.truth.append(batch)
        self.truth_ends[batch.last_id] = batch.hash
        for number, message in enumerate(batch.messages, batch.first_id):
            self.messages.append(message)
            self.text += b'{"id":%d,"message":%b}\n' % (number, message)
            self.text_ends.append(len(self.text))
        self.keys.committed(batch, now=now)
        self.fresh.committed(batch.last_id, now=now)

    def secondary_shows(self, name: str, committed_id: int, head: bytes) -> None:
        record = self.nodes[name]
        if committed_id > self.committed_id:
            broken("P3", f"{name} shows {committed_id}, only {self.committed_id} is committed")
        if record.is_rotten:  # it shows what is below the damage, as far as it knows of it
            if committed_id not in self.truth_ends:
                broken("P5", f"{name} shows half a batch")
            record.shown = committed_id
            return
        above = self.chain(head, committed_id)
        below = above[0].prev if above else head
        batch = self.batches.get(below)
        if (batch.last_id if batch else 0) != committed_id:
            broken("P5", f"{name} shows {committed_id}, its log has no batch that ends there")
        if below != self.truth_ends.get(committed_id):
            broken("P3", f"{name} shows other entries up to {committed_id} than were committed")
        self._shows(record, committed_id)

    def _shows(self, record: NodeRecord, committed_id: int) -> None:
        if not record.is_rotten and committed_id < record.shown:
            broken("P3", f"{record.name} showed {record.shown} and shows {committed_id} now")
        record.shown = committed_id

    def read_answered(
        self, name: str, *, committed_id: int, has_master: bool, floor: int, lines: bytes | None
    ) -> None:
        """A read goes on: `floor` is what P4 promised when it began; `lines` what it gives."""
        record = self.nodes[name]
        if committed_id > record.shown:
            broken(
                "P3", f"{name} answers a read up to {committed_id}, but showed {record.shown} only"
            )
        if not record.is_rotten and has_master and committed_id < floor:
            broken("P4", f"{name} was counted for an answer up to {floor} and shows {committed_id}")
        if committed_id < record.shown_before:
            broken(
                "P3",
                f"{name} showed {record.shown_before} before it was killed, {committed_id} now",
            )
        if lines is not None and not self.is_text(lines, committed_id):
            broken("P5", f"a read of {name} up to {committed_id} differs")

    # --- answers ------------------------------------------------------------------------

    def append_answered(
        self, append: Append, outcome: AppendOutcome, *, nodes: int, excused: set[str]
    ) -> None:
        """Check an answer against the disks.

        `excused` are nodes whose disks changed (wiped, rotten) under a link that the
        master could not know to be gone: their acknowledgement was true.
        """
        if append.outcome is not None:
            broken("P3", f"request {append.request} is answered twice")
        append.outcome = outcome
        if isinstance(outcome, Refused):
            self._check_refused(append, outcome)
            return
        if append.required is None:
            broken("P3", f"{append.concern} of {nodes} was taken")
        assert append.required is not None
        if append.keys:
            self.keys.answered(append, outcome)
        if (outcome.first_id, outcome.last_id) != (append.first_id, append.last_id):
            broken("P1", f"{append} was told ids {outcome.first_id}..{outcome.last_id}")
        if isinstance(outcome, Stored):
            self._check_copies(append, outcome, self.holders(append) | excused)

    def _check_copies(self, asked: Append | Receipt, outcome: Stored, holders: set[str]) -> None:
        is_enough = asked.required is not None and outcome.acks >= asked.required
        if not is_enough:
            broken("P2", f"{asked} was told {outcome}")
        if len(holders) < outcome.acks:
            broken("P2", f"{asked} was told {outcome}, but only {sorted(holders)} hold it durably")

    def _check_refused(self, append: Append, outcome: Refused) -> None:
        for message in append.messages:
            is_refused = message not in self.message_in or self.keys.may_be_stored(message)
            if not is_refused:
                broken("P3", f"{message!r} is stored and was refused")
        if append.keys:
            self.keys.refused(append, outcome)
        is_bad = outcome.reason is RefusalReason.BAD_WRITE_CONCERN
        if is_bad and append.required is not None:
            broken("R10", f"{append.concern} was refused")

    def receipt_answered(
        self, receipt: Receipt, outcome: AppendOutcome, *, master: str, excused: set[str]
    ) -> None:
        """Somebody asked on how many nodes an entry is, and was told."""
        if isinstance(outcome, Refused):
            record = self.nodes[master]
            self.check_disk(master)
            is_there = 1 <= receipt.id <= record.kept and not record.is_rotten
            is_bad = receipt.required is None
            is_right = (outcome.reason is RefusalReason.UNKNOWN_ID and not is_there) or (
                outcome.reason is RefusalReason.BAD_WRITE_CONCERN and is_bad
            )
            if not is_right:
                broken("P2", f"{receipt} was told {outcome}; kept is {record.kept}")
            return
        if (outcome.first_id, outcome.last_id) != (receipt.id, receipt.id):
            broken("P2", f"{receipt}: {outcome}")
        if isinstance(outcome, Stored):
            self._check_copies(receipt, outcome, self.holders_of(receipt.id) | excused)

    def holders_of(self, entry_id: int) -> set[str]:
        """Return the nodes whose disks hold a committed entry in a gapless prefix."""
        found = bisect_left(self.truth, entry_id, key=_last_id)
        return self._holding([self.truth[found]] if found < len(self.truth) else [])

    def holders(self, append: Append) -> set[str]:
        """Return the nodes whose disks hold the append in a gapless prefix; none if unmade."""
        first_id, last_id = append.first_id, append.last_id
        if first_id is None or last_id is None:
            return set()
        return self._holding(
            [
                home
                for home in self.message_in.get(append.messages[-1], ())
                if home.first_id <= first_id and last_id <= home.last_id
            ]
        )

    def _holding(self, homes: list[FoundBatch]) -> set[str]:
        holders = set()
        for name, record in self.nodes.items():
            self.check_disk(name)
            if any(record.view.ends.get(home.last_id) == home.hash for home in homes):
                holders.add(name)
        return holders

    def pending_answered(self, outcome: Pending, urls: dict[str, str], holders: set[str]) -> None:
        """`urls` leads from the URLs in the answer to the nodes behind them."""
        for url in outcome.acks:
            if urls[url] not in holders:
                broken("P2", f"{outcome}: {url} does not hold it")

    def ids_given(self, append: Append, first_id: int) -> None:
        if append.first_id not in (None, first_id):
            broken("P1", f"{append} gets id {first_id}")
        is_behind = append.expect in (None, first_id - 1)
        if not is_behind:
            broken("P6", f"{append} gets id {first_id}")
        append.first_id = first_id

    def counts(self, name: str, last_id: int) -> None:
        """The answer just given counted `name`: P4 holds for reads there from now on."""
        self.nodes[name].floor = max(self.nodes[name].floor, last_id)

    # --- equality -----------------------------------------------------------------------

    def head_is(self, name: str, head: bytes) -> None:
        """P7: two logs with one head are equal, byte for byte and file for file."""
        record = self.nodes[name]
        if record.is_rotten:
            return
        files = record.disk.cached_files(SEGMENTS)
        last = files[-1] if files else ("", None)
        content = (last[0], bytes(last[1].cached) if last[1] is not None else b"")
        other = self.equal_heads.setdefault(head, content)
        if other != content:
            broken("P7", f"{name}: equal heads, other bytes in {last[0]}")

    # --- faults -------------------------------------------------------------------------

    def process_ended(self, name: str, *, lost_power: bool) -> None:
        record = self.nodes[name]
        shown = max(record.shown, record.shown_before)
        record.shown_before = 0 if lost_power or record.is_rotten else shown
        record.shown = 0

    def wiped(self, name: str) -> None:
        record = self.nodes[name]
        record.kept = record.floor = record.shown = record.shown_before = 0
        record.is_rotten = False

    def rotted(self, name: str) -> None:
        record = self.nodes[name]
        record.is_rotten = True
        record.floor = record.shown_before = 0


def required_copies(concern: WriteConcern | None, default: WriteConcern, nodes: int) -> int | None:
    return copies_needed(default if concern is None else concern, nodes=nodes)
