"""Logs in memory: batches that are told apart by their hash, and a disk that holds them.

PURE.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from replog.core import effects as do
from replog.core import events as ev
from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId, NodeId
from replog.core.messages import Batches, Damage
from replog.storage.keys import compare

HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Batch:
    after: Head
    head: Head
    messages: tuple[bytes, ...]
    keys: tuple[tuple[EntryId, str], ...] = ()


BATCHES: dict[bytes, Batch] = {}
"""Every batch ever made, by its hash: a payload is the hashes of its batches."""


def make_batch(
    after: Head, epoch: int, *messages: str, keys: tuple[tuple[EntryId, str], ...] = ()
) -> Batch:
    """Return the batch that holds `messages` behind `after`, and remember it."""
    encoded = tuple(message.encode() for message in messages)
    digest = hashlib.sha256(after.hash + repr((epoch, encoded, keys)).encode()).digest()
    head = Head(Epoch(epoch), EntryId(after.last_id + len(encoded)), digest)
    return BATCHES.setdefault(digest, Batch(after, head, encoded, keys))


def chain(after: Head, epoch: int, *messages: str) -> list[Batch]:
    """Return one batch a message, one behind the other."""
    made: list[Batch] = []
    for message in messages:
        made.append(make_batch(after, epoch, message))
        after = made[-1].head
    return made


def frame(
    batches: Iterable[Batch], *, epoch: Epoch = Epoch(1), committed: EntryId = EntryId(0)
) -> Batches:
    """Return `batches` as they travel."""
    run = list(batches)
    payload = b"".join(batch.head.hash for batch in run)
    return Batches(epoch, run[0].after, run[-1].head, committed, payload)


def unframe(batches: Batches) -> list[Batch]:
    payload = batches.payload
    return [BATCHES[payload[at : at + HASH_BYTES]] for at in range(0, len(payload), HASH_BYTES)]


@dataclass(slots=True)
class Disk:
    """What one data directory holds; `durable` of the batches survive a crash."""

    node_id: NodeId
    log: list[Batch] = field(default_factory=list)
    durable: int = 0
    epoch: Epoch = Epoch(0)
    owner: NodeId | None = None
    log_id: LogId | None = None
    members: tuple[str, ...] = ()
    note: EntryId = EntryId(0)
    is_loss_unsettled: bool = False
    is_full: bool = False
    damage: list[Damage] = field(default_factory=list)

    @property
    def head(self) -> Head:
        return self.log[-1].head if self.log else GENESIS

    @property
    def durable_head(self) -> Head:
        return self.log[self.durable - 1].head if self.durable else GENESIS

    @property
    def good_head(self) -> Head:
        """What recovery finds: the durable head, below any damage."""
        return self.damage[0].before if self.damage else self.durable_head

    def ends(self) -> list[Head]:
        """Batch ends of the good part: damaged batches are not readable."""
        good = [GENESIS]
        for batch in self.log:
            if any(self._is_in(batch, damage) for damage in self.damage):
                break
            good.append(batch.head)
        return good

    @staticmethod
    def _is_in(batch: Batch, damage: Damage) -> bool:
        after_start = batch.head.last_id > damage.before.last_id
        return after_start and (damage.last_id is None or batch.head.last_id <= damage.last_id)

    def between(self, after: Head, through: EntryId) -> list[Batch]:
        ends = self.ends()
        if after not in ends:
            return []
        start = ends.index(after)
        return [b for b in self.log[start : len(ends) - 1] if b.head.last_id <= through]

    def messages(self) -> list[bytes]:
        return [message for batch in self.log[: self.durable] for message in batch.messages]

    def found_damage(self) -> list[ev.Event]:
        return [ev.DamageFound(damage) for damage in self.damage]

    def look_for_keys(self, job: do.LoadKeys | do.ConfirmKeys) -> list[ev.Event]:
        """What a node's reading threads answer; damage that hides the keys is told first."""
        if isinstance(job, do.LoadKeys):
            keys = self.keys_between(job.first_id, job.last_id)
            told = [] if keys is not None else self.found_damage()
            return [*told, ev.KeysLoaded(keys, job.number)]
        found, is_same = self.confirm_keys(job) or (None, False)
        told = [] if found is not None else self.found_damage()
        return [*told, ev.KeysConfirmed(job.request, found, is_same, job.number)]

    def keys_between(
        self, first_id: EntryId, last_id: EntryId
    ) -> tuple[tuple[EntryId, str], ...] | None:
        """The keys of a range; None where damage hides some."""
        if self.damage and self.damage[0].before.last_id < last_id:
            return None
        keys = [pair for batch in self.log for pair in batch.keys]
        return tuple(pair for pair in keys if first_id <= pair[0] <= last_id)

    def confirm_keys(self, effect: do.ConfirmKeys) -> tuple[tuple[EntryId, ...], bool] | None:
        """What a log answers to `ConfirmKeys`; None where damage hides it."""
        if self.damage:
            return None

        def keys_of_batch(entry_id: EntryId) -> dict[EntryId, str]:
            return dict(next(b.keys for b in self.log if b.head.last_id >= entry_id))

        def is_stored(first_id: EntryId) -> bool:
            stored = self.messages()[first_id - 1 :]
            return tuple(stored[: len(effect.messages)]) == effect.messages

        return compare(effect.keys, effect.candidates, keys_of_batch, is_stored)

    def write(self, job: do.Persist | do.PersistBatches) -> None:
        assert not self.damage, "a damaged log takes no batches"
        if isinstance(job, do.Persist):
            texts = [message.decode() for message in job.messages]
            assert job.first_id == self.head.last_id + 1, "an id left out or used twice"
            self.log.append(make_batch(self.head, job.epoch, *texts, keys=job.keys))
            return
        for batch in (batch for batches in job.batches for batch in unframe(batches)):
            assert batch.after == self.head, f"{batch} does not follow on {self.head}"
            self.log.append(batch)

    def repair(self, damage: Damage, batches: list[Batch]) -> bool:
        """Put `batches` in the place of the range; False where the chain does not close."""
        kept = [b for b in self.log if b.head.last_id <= damage.before.last_id]
        above = [b for b in self.log if damage.last_id and b.head.last_id > damage.last_id]
        head = damage.before
        for batch in batches + above:
            if batch.after != head:
                return False
            head = batch.head
        self.log = kept + batches + above
        self.durable = len(self.log)
        self.damage.remove(damage)
        return True

    def rot(self, first: int, last: int | None) -> Damage:
        """Let the batches of the entries `first` to `last` rot; nobody knows it yet."""
        before = next(end for end in self.ends() if end.last_id == first - 1)
        end = None if last is None else EntryId(last)
        claimed = self.head.last_id if end is None else end
        bad = Damage(before, end, "1.ndjson", 99, "bad hash", claimed)
        self.damage.append(bad)
        return bad
