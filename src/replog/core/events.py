"""What can happen to a node: the inputs of `Master.step` and `Secondary.step`.

PURE. Events are past: the shell says what came to pass, the core decides what follows.
"""

from __future__ import annotations

from typing import NewType

import msgspec

from replog.core.entry import NO_ENTRY, EntryId, Epoch, Head, Tick
from replog.core.messages import Damage, Message
from replog.core.write_concern import WriteConcern

LinkId = NewType("LinkId", int)
"""One connection: never used again after it closed, so late news of it is recognised (R2)."""

RequestId = NewType("RequestId", int)
"""One waiting append or read, numbered by the shell."""

SecondaryIndex = NewType("SecondaryIndex", int)
"""Place of a configured secondary in the master's configuration, from 0."""


class Ticked(msgspec.Struct, frozen=True, gc=False):
    """Time went on. `now` never goes back; ticks may be skipped."""

    now: Tick


# --- disk ---------------------------------------------------------------------------------


class Written(msgspec.Struct, frozen=True, gc=False):
    """The running `Persist`'s write returned whole; its fdatasync runs (R7)."""

    head: Head
    size: int


class Persisted(msgspec.Struct, frozen=True, gc=False):
    """Everything up to `head` is covered by a completed fdatasync."""

    head: Head


class PersistRefused(msgspec.Struct, frozen=True, gc=False):
    """The running persist failed and provably left nothing behind.

    `is_full`: for want of space. `is_too_large`: it is beyond what a batch may have, which
    nothing but another request can mend. Else it does not fit on this log, or the log is
    damaged, which `DamageFound` has said before.
    """

    reason: str
    is_full: bool = True
    is_too_large: bool = False


class PersistFailed(msgspec.Struct, frozen=True, gc=False):
    """The running persist failed and what it left is unknown: the node ends after this."""

    reason: str


class EpochStored(msgspec.Struct, frozen=True, gc=False):
    """The epoch of the last `StoreEpoch` is durable in node.json."""

    epoch: Epoch


class StoreDelayed(msgspec.Struct, frozen=True, gc=False):
    """A `StoreEpoch`, `StoreLogId` or `CutLog` found no space, and left nothing behind.

    It is tried again about once a second, and what was ordered after it waits for it.
    """

    reason: str


class CutDone(msgspec.Struct, frozen=True, gc=False):
    """The log ends at `head` now; what was beyond it is in quarantine, durably (R14)."""

    head: Head


class CutRefused(msgspec.Struct, frozen=True, gc=False):
    """Nothing was cut: what does not verify below hides where (`DamageFound` came before, R13)."""


class LookedUp(msgspec.Struct, frozen=True, gc=False):
    """Answer to `LookUp`: which of the heads are batch ends of this node's log."""

    link: LinkId
    heads: tuple[Head, ...]
    present: tuple[bool, ...]


class DamageFound(msgspec.Struct, frozen=True, gc=False):
    """A range does not verify (found at open, by a read or by the scrubber), R13."""

    damage: Damage


class DamageRepaired(msgspec.Struct, frozen=True, gc=False):
    """The range verifies again: its bytes came from another node (R13).

    Each range that is damaged all the same has been said before, as `DamageFound`: the tail
    of a log is judged only when nothing is missing before it.
    """

    damage: Damage
    head: Head


class RepairFailed(msgspec.Struct, frozen=True, gc=False):
    """The bytes that came do not close the chain on both sides (R13)."""

    damage: Damage
    reason: str


# --- links --------------------------------------------------------------------------------


class LinkOpened(msgspec.Struct, frozen=True, gc=False):
    """A connection stands. On a master `secondary` says which one was dialled."""

    link: LinkId
    secondary: SecondaryIndex | None = None


class DialFailed(msgspec.Struct, frozen=True, gc=False):
    """A secondary could not be reached: refused, no such name, no answer (R1)."""

    secondary: SecondaryIndex
    reason: str


class LinkClosed(msgspec.Struct, frozen=True, gc=False):
    """The connection is gone, whoever ended it."""

    link: LinkId
    reason: str


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message came over a link. The payload of `Batches` has been verified to lead
    from its `after` to its `head`; what does not verify arrives as `ReceivedBad`."""

    link: LinkId
    message: Message


class ReceivedBad(msgspec.Struct, frozen=True, gc=False):
    """Bytes came over a link that are no message, or batches that do not verify (R5)."""

    link: LinkId
    reason: str


class BatchesSent(msgspec.Struct, frozen=True, gc=False):
    """Answer to `SendBatches`: a frame of `size` bytes ending at `head` is on its way.

    Of size 0 where nothing could be read: `DamageFound` says why. `committed_id` is the
    commit news that it carries. `after` is what was asked: an answer to a question of
    before a new report is recognised by it.
    """

    link: LinkId
    head: Head
    size: int
    committed_id: EntryId
    after: Head | None = None


# --- clients ------------------------------------------------------------------------------


class AppendRequested(msgspec.Struct, frozen=True, gc=False):
    """A client wants `messages` (JSON strings, encoded) stored as one run of entries.

    Attributes:
        concern: how many nodes must hold them before the answer; None is the default.
        timeout: ticks until the client is told "pending"; None waits without limit.
        keys: the idempotency key of each message (P6), None for one that has none; empty
            where no message has one. One key at the first and at the last message of several
            is the key of them all together.
        expect: store only if this is the log's last id at that moment; None for any.
    """

    request: RequestId
    messages: tuple[bytes, ...]
    concern: WriteConcern | None = None
    timeout: Tick | None = None
    keys: tuple[str | None, ...] = ()
    expect: EntryId | None = None


class AppendsRequested(msgspec.Struct, frozen=True, gc=False):
    """Appends that arrived together, in this order: one batch, where nothing else ends it."""

    appends: tuple[AppendRequested, ...]


class KeysLoaded(msgspec.Struct, frozen=True, gc=False):
    """Answer to `LoadKeys`: the ids in its range that have a key, ascending, with that.

    `keys` is None where damage hides some of them, which `DamageFound` has said before, or
    where they could not be read, for which `problem` is the reason.
    """

    keys: tuple[tuple[EntryId, str], ...] | None
    number: int = 0
    problem: str = ""


class KeysConfirmed(msgspec.Struct, frozen=True, gc=False):
    """Answer to `ConfirmKeys`.

    Attributes:
        found: for each message the id under which its key is stored; 0 where it is not, or
            the message has no key. None where damage hides it, which was said before, or
            where it could not be read, for which `problem` is the reason.
        is_same: the entries from the first found one on are the messages, one for one, and
            end where the last found key stands.
    """

    request: RequestId
    found: tuple[EntryId, ...] | None
    is_same: bool
    number: int = 0
    problem: str = ""


class AcksAwaited(msgspec.Struct, frozen=True, gc=False):
    """A client wants to know when `concern` is met for an entry that is stored (P2).

    Answered as an append of that entry would be: `Stored`, or `Pending` after `timeout`.
    """

    request: RequestId
    id: EntryId
    concern: WriteConcern | None = None
    timeout: Tick | None = None


class ReadRequested(msgspec.Struct, frozen=True, gc=False):
    """A client wants to read what is committed (R7).

    Attributes:
        min_id: wait until this node shows it (read your own writes).
        is_linearizable: ask the master what is committed now, and wait until that is shown.
        max_lag: how many ticks ago this node may have been level with its master last; where
            that is longer ago, the master is asked, for that long at the most.
        timeout: ticks after which a wait for the three above is given up as not met.
    """

    request: RequestId
    min_id: EntryId = NO_ENTRY
    is_linearizable: bool = False
    max_lag: Tick | None = None
    timeout: Tick | None = None


class RequestAbandoned(msgspec.Struct, frozen=True, gc=False):
    """The client of a waiting append or read hung up; what it stored stays stored."""

    request: RequestId


class DelayChanged(msgspec.Struct, frozen=True, gc=False):
    """The operator set this secondary's injected delay (R12)."""

    delay: Tick


class StopRequested(msgspec.Struct, frozen=True, gc=False):
    """The node is to end: waiting appends are answered "pending", waiting reads as they are."""


Event = (
    Ticked
    | Written
    | Persisted
    | PersistRefused
    | PersistFailed
    | EpochStored
    | StoreDelayed
    | CutDone
    | CutRefused
    | LookedUp
    | DamageFound
    | DamageRepaired
    | RepairFailed
    | LinkOpened
    | DialFailed
    | LinkClosed
    | Received
    | ReceivedBad
    | BatchesSent
    | AppendRequested
    | AppendsRequested
    | KeysLoaded
    | KeysConfirmed
    | AcksAwaited
    | ReadRequested
    | RequestAbandoned
    | DelayChanged
    | StopRequested
)
