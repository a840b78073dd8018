"""The judge of histories in which the last copy may go: nothing wrong is ever shown.

PURE. What is lost beyond the promises cannot be kept. What holds with every disk rotten or
lying is that a node shows, and gives to readers, nothing but whole batches that some master
made, in a chain from the beginning of a log, each byte as it was made (P5, P7).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from replog.core.effects import AnswerRead, AppendOutcome, Pending, Refused, Stored
from tests.simulator.fresh import FreshJudge
from tests.simulator.invariants import SEGMENTS, Judge
from tests.simulator.keyed import KeyJudge
from tests.simulator.promise import broken
from tests.simulator.reader import GENESIS_HASH, FoundBatch, last_batch, scan
from tests.simulator.requests import Append, Read, Receipt


class _AnyKeys(KeyJudge):
    """Knows who asked for what; a key may stand anywhere."""

    def answered(self, append: Append, outcome: Stored | Pending) -> None: ...
    def refused(self, append: Append, outcome: Refused) -> None: ...
    def expected(
        self, append: Append, outcome: Stored | Pending | Refused, ends_at: int
    ) -> None: ...


class _AnyAge(FreshJudge):
    def answered(
        self, read: Read, answer: AnswerRead, *, now: int, is_ending: bool, tick_max: int
    ) -> None: ...


@dataclass(slots=True)
class SafetyJudge(Judge):
    """Believes no node, and asks for no copy.

    Attributes:
        heads: the head of what each node shows.
    """

    heads: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = _AnyKeys(self.messages)
        self.fresh = _AnyAge()

    def batch_made(
        self, epoch: int, owner: str, payload: bytes, *, prev: bytes, after: int
    ) -> None:
        found = scan(payload, prev=prev, last_id=after)
        if len(found) != 1:
            broken("P1", f"an append wrote {len(found)} good batches")
        self._register(found[0])

    def _register(self, batch: FoundBatch) -> None:
        if batch.hash in self.batches:
            return
        self.batches[batch.hash] = batch
        for message in batch.messages:
            if message not in self.keys.attempts:
                broken("P5", f"nobody ever sent {message!r}")
            self.message_in.setdefault(message, []).append(batch)

    def check_disk(self, name: str) -> None:
        for batch in self.nodes[name].view.refresh():
            self._register(batch)

    def process_ended(self, name: str, *, lost_power: bool) -> None:
        """Learn of a batch that its master wrote whole, and did not live to tell of.

        No disk that lies need ever have it durably, where the other judge looks.
        """
        Judge.process_ended(self, name, lost_power=lost_power)
        heads: defaultdict[int, list[bytes]] = defaultdict(list, {0: [GENESIS_HASH]})
        for known in self.batches.values():
            heads[known.last_id].append(known.hash)
        for _, inode in self.nodes[name].view.disk.cached_files(SEGMENTS)[-1:]:
            batch = last_batch(bytes(inode.cached), heads)
            if batch is not None:
                self._register(batch)

    def cut(self, name: str) -> None:
        self.check_disk(name)

    def master_shows(self, name: str, shown_id: int, head: bytes, now: int) -> None:
        self._shows_genuine(name, shown_id, head)

    def secondary_shows(self, name: str, committed_id: int, head: bytes) -> None:
        self._shows_genuine(name, committed_id, head)

    def _shows_genuine(self, name: str, shown_id: int, head: bytes) -> None:
        """Unknown heads are no batch that anybody made; half batches are no prefix."""
        ends = {batch.last_id for batch in self.chain(head, 0)}
        if shown_id and shown_id not in ends:
            broken("P5", f"{name} shows {shown_id}, its log has no batch that ends there")
        self.heads[name] = head
        self.nodes[name].shown = shown_id

    def read_answered(
        self, name: str, *, committed_id: int, has_master: bool, floor: int, lines: bytes | None
    ) -> None:
        if lines is None:
            return
        messages = [each for batch in self.chain(self.heads[name], 0) for each in batch.messages]
        expected = b"".join(
            b'{"id":%d,"message":%b}\n' % pair for pair in enumerate(messages[:committed_id], 1)
        )
        if lines != expected:
            broken("P5", f"a read of {name} up to {committed_id} gives what nobody stored there")

    def append_answered(
        self, append: Append, outcome: AppendOutcome, *, nodes: int, excused: set[str]
    ) -> None:
        if append.outcome is not None:
            broken("P3", f"request {append.request} is answered twice")
        append.outcome = outcome

    def receipt_answered(
        self, receipt: Receipt, outcome: AppendOutcome, *, master: str, excused: set[str]
    ) -> None: ...
    def pending_answered(
        self, outcome: Pending, urls: dict[str, str], holders: set[str]
    ) -> None: ...
    def head_is(self, name: str, head: bytes) -> None: ...

    def ids_given(self, append: Append, first_id: int) -> None:
        append.first_id = first_id
