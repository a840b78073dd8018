"""What the core wants done: the outputs of `Master.step` and `Secondary.step`.

PURE. Effects are imperatives; the shell performs them in the order given. What depends on
durability is never in the same list as the `Persist` it depends on: it follows from the
`Persisted` event, so no code path can acknowledge before fdatasync.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from replog.core.entry import EntryId, Epoch, Head, NodeId, Tick
from replog.core.events import LinkId, RequestId
from replog.core.messages import Batches, Damage, Message

# --- disk ---------------------------------------------------------------------------------


class Persist(msgspec.Struct, frozen=True, gc=False):
    """Encode `messages` as one batch from `first_id` on, write it, fdatasync it.

    Comes back as `Written`, then `Persisted`; or as `PersistRefused`. One at a time.
    `keys` are the idempotency keys of those entries that have one (P6).
    """

    first_id: EntryId
    messages: tuple[bytes, ...]
    epoch: Epoch
    committed_id: EntryId
    keys: tuple[tuple[EntryId, str], ...] = ()


class PersistBatches(msgspec.Struct, frozen=True, gc=False):
    """Write these verified batches after the log's head, then fdatasync once (R5).

    Comes back as `Written` (after the last of them), then `Persisted`; or as
    `PersistRefused`. One at a time.
    """

    batches: tuple[Batches, ...]


class StoreEpoch(msgspec.Struct, frozen=True, gc=False):
    """Store the highest epoch and its owner durably; comes back as `EpochStored` (R8)."""

    epoch: Epoch
    owner: NodeId


class StoreLogId(msgspec.Struct, frozen=True, gc=False):
    """Take `log_id` as this directory's log, durably, before anything is stored (R3)."""

    log_id: str


class StoreMembers(msgspec.Struct, frozen=True, gc=False):
    """Note the URLs of all nodes that share this log, the master's first (R9).

    A restore asks them; and a master that has noted none knows its log to be its own only.
    """

    urls: tuple[str, ...]


class StoreLossSettled(msgspec.Struct, frozen=True, gc=False):
    """Forget, durably, that damage was found: every secondary was heard since (R8)."""


class CutLog(msgspec.Struct, frozen=True, gc=False):
    """Move everything after `to` to the quarantine; comes back as `CutDone` (R14)."""

    to: Head


class NoteCommit(msgspec.Struct, frozen=True, gc=False):
    """Write the commit note, unsynced: always before the `Show` that it allows."""

    committed_id: EntryId


class Show(msgspec.Struct, frozen=True, gc=False):
    """Readers of this node may see everything up to `committed_id` from now on."""

    committed_id: EntryId


class LookUp(msgspec.Struct, frozen=True, gc=False):
    """Say which of `heads` are batch ends of this node's log: comes back as `LookedUp`."""

    link: LinkId
    heads: tuple[Head, ...]


class VerifySent(msgspec.Struct, frozen=True, gc=False):
    """Verify again what was read from the disk for this link last (R13).

    Where it turns out damaged: `DamageFound`.
    """

    link: LinkId


class LoadKeys(msgspec.Struct, frozen=True, gc=False):
    """Read the idempotency keys of the entries from `first_id` on, in the trailers (P6).

    Up to `last_id`, all of which are durable. Comes back as `KeysLoaded` with its number.
    """

    first_id: EntryId
    last_id: EntryId
    number: int = 0


class ConfirmKeys(msgspec.Struct, frozen=True, gc=False):
    """Look in the log whether the keys of an append are stored, and with its messages (P6).

    Comes back as `KeysConfirmed` with its number.

    Attributes:
        candidates: for each message the ids whose key may be its; all of them are durable.
        number: of the window that named them.
    """

    request: RequestId
    messages: tuple[bytes, ...]
    keys: tuple[str | None, ...]
    candidates: tuple[tuple[EntryId, ...], ...]
    number: int = 0


class Repair(msgspec.Struct, frozen=True, gc=False):
    """Put `batches` in the place of the damaged range, if the chain closes (R13).

    Comes back as `DamageRepaired` or `RepairFailed`.
    """

    damage: Damage
    batches: tuple[Batches, ...]


# --- links --------------------------------------------------------------------------------


class Send(msgspec.Struct, frozen=True, gc=False):
    """Send `message` over the link; dropped without a word where the link is closed."""

    link: LinkId
    message: Message


class SendBatches(msgspec.Struct, frozen=True, gc=False):
    """Read verified batches after `after` and send them as one `Batches` message.

    At least one batch, as many as fit into `size_max` bytes, none beyond `through`.
    Comes back as `BatchesSent`. Where the range turns out damaged: `DamageFound`.
    """

    link: LinkId
    after: Head
    through: EntryId
    size_max: int
    epoch: Epoch
    committed_id: EntryId


class AnswerProbe(msgspec.Struct, frozen=True, gc=False):
    """Look up the batch ends around `id` and send them as a `ProbeAnswer`."""

    link: LinkId
    id: EntryId


class AnswerFetch(msgspec.Struct, frozen=True, gc=False):
    """Send durable batches after `after` as `Batches`, then `FetchEnd`.

    `through` at the most, and about `size_max` bytes (at least one batch): the asking node
    asks again for the rest, so that neither holds more than that in memory (P10).
    """

    link: LinkId
    after: Head
    through: EntryId
    size_max: int
    epoch: Epoch
    committed_id: EntryId


class CloseLink(msgspec.Struct, frozen=True, gc=False):
    """Close the connection. The dialler opens a new one with back-off (R1)."""

    link: LinkId
    reason: str


# --- clients ------------------------------------------------------------------------------


class RefusalReason(StrEnum):
    """Why an append is refused before anything is stored."""

    BAD_WRITE_CONCERN = "bad-write-concern"
    UNKNOWN_ID = "unknown-id"
    PRECONDITION_FAILED = "precondition-failed"
    KEY_REUSED = "idempotency-key-reused"
    TOO_LARGE = "too-large"
    NO_QUORUM = "no-quorum"
    DISK_FULL = "disk-full"
    SUPERSEDED = "superseded"
    LOG_FOUND_ELSEWHERE = "log-found-elsewhere"
    DAMAGED = "damaged"
    OVERLOADED = "overloaded"
    NOT_READY = "not-ready"
    STOPPING = "stopping"


class Stored(msgspec.Struct, frozen=True, gc=False):
    """Done at the write concern: `acks` of `nodes` nodes hold the entries durably.

    `is_replayed`: an earlier append with the same idempotency key stored them (P6).
    """

    first_id: EntryId
    last_id: EntryId
    acks: int
    nodes: int
    is_replayed: bool = False


class Pending(msgspec.Struct, frozen=True, gc=False):
    """Stored, not yet at the write concern: the timeout passed, or the node stops.

    Attributes:
        acks: URLs of the nodes that hold the entries durably, the master's first.
        is_unknown: the master's disk failed while they were being stored: these are their ids
            if they are.
    """

    first_id: EntryId
    last_id: EntryId
    required: int
    acks: tuple[str, ...]
    is_replayed: bool = False
    is_unknown: bool = False


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Proved not stored.

    Attributes:
        last_id: of the log, where that is the reason (PRECONDITION_FAILED).
        id: the entry that has the key, where that is the reason (KEY_REUSED).
    """

    reason: RefusalReason
    detail: str
    last_id: EntryId | None = None
    id: EntryId | None = None


AppendOutcome = Stored | Pending | Refused


class AnswerAppend(msgspec.Struct, frozen=True, gc=False):
    """Give a waiting append its outcome; each request is answered at most once."""

    request: RequestId
    outcome: AppendOutcome


class AnswerRead(msgspec.Struct, frozen=True, gc=False):
    """Let a waiting read go on: it shows everything up to `committed_id` (P4).

    Attributes:
        has_master: False where this secondary has no live link: said in a header.
        is_met: what the read asked for beyond that (min_id, the master's word, max_lag).
        lag: ticks since this node was last level with its master; 0 on a master, None where
            it was not since it started.
    """

    request: RequestId
    committed_id: EntryId
    has_master: bool
    is_met: bool = True
    lag: Tick | None = None


# --- people -------------------------------------------------------------------------------


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Say(msgspec.Struct, frozen=True, gc=False):
    """One line for an operator: a state changed, a link came or went, a node refused."""

    level: Level
    text: str


Effect = (
    Persist
    | PersistBatches
    | StoreEpoch
    | StoreLogId
    | StoreMembers
    | StoreLossSettled
    | CutLog
    | NoteCommit
    | Show
    | LookUp
    | VerifySent
    | LoadKeys
    | ConfirmKeys
    | Repair
    | Send
    | SendBatches
    | AnswerProbe
    | AnswerFetch
    | CloseLink
    | AnswerAppend
    | AnswerRead
    | Say
)
