"""What the two ends of a link say to each other (R1-R13), without its bytes on the wire.

PURE. `replication.wire` encodes each of them; the simulator carries them as they are.

One link, in order:

    secondary                                   master
    Hello          who I am, the highest epoch I know      (R2)
                   who reigns, in which epoch    Welcome   (R8)
                   … the epoch is stored durably …
    Report         my durable head, note, damage           (R3)
                   do we share this?             Probe     (R3, any number)
    ProbeAnswer
                   give me what extends my log   Fetch     (R8 adoption, R13)
    Batches, FetchEnd
                   cut back to here              Cut       (R3, R14)
    Report         … after the cut
                   your head is proven; go on    StreamStart
                   the log                       Batches   (R4)
    Acknowledgement  my durable head                       (R5, R6)
                   what is committed             CommitNews (R7)
    Heartbeat      both ways                     Heartbeat (R11)
    ReadBarrier    what is committed now?                  (P4, for a read that asks)
                   so much                       ReadMark
    Refusal        either may end it, saying why           (R8, R2)
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from replog.core.entry import (
    NO_ENTRY,
    NO_EPOCH,
    NO_REIGN,
    EntryId,
    Epoch,
    Head,
    LogId,
    NodeId,
    ReignId,
    Tick,
)

NO_TICK = Tick(0)
"""Before a secondary has said its time on a link."""

FORMAT = 1
"""The format of the log and of the links: another one is refused (R2)."""

FETCH_BYTES = 8 * 1024 * 1024
"""Most bytes of one answer to a `Fetch`: the asking node holds them in memory (P10)."""


class Damage(msgspec.Struct, frozen=True, gc=False):
    """A range of the log that does not verify (R13): named, never served, never cut.

    Attributes:
        before: the last good batch end below the range; the node counts up to here only.
        last_id: last id of the range where good batches follow it, else None.
        segment: file name of the segment in which it starts.
        offset: byte offset in that file at which the first bad batch starts.
        reason: what did not verify, for people.
        claimed_id: the highest id that the durable mark or a line in the range that ends as
            a trailer does speaks of: what may have been acknowledged.
    """

    before: Head
    last_id: EntryId | None
    segment: str
    offset: int
    reason: str
    claimed_id: EntryId

    @property
    def first_id(self) -> EntryId:
        return EntryId(self.before.last_id + 1)


class Hello(msgspec.Struct, frozen=True, gc=False):
    """The secondary's first word on a link. It holds no head: see `Report` (R8).

    `members` are the URLs that its last master told it, for a restore (R9).
    """

    format: int
    node_id: NodeId
    log_id: LogId | None
    epoch: Epoch
    epoch_owner: NodeId | None
    delay_s: float
    members: tuple[str, ...] = ()


class Welcome(msgspec.Struct, frozen=True, gc=False):
    """The master's answer: its epoch, stored durably before this is sent (R8).

    `members` are the URLs of all nodes, the master's first: what a restore needs (R9).
    `reign` tells this run of the node from one on a copy of its directory.
    """

    log_id: LogId
    node_id: NodeId
    epoch: Epoch
    url: str
    members: tuple[str, ...]
    reign: ReignId = NO_REIGN


class Report(msgspec.Struct, frozen=True, gc=False):
    """The secondary's durable log, told after the link's epoch is stored durably (R8).

    Attributes:
        number: how many reports it sent before on this link. One that comes again behind a
            later one says nothing any more, and no answer to it must be taken for one to that.
    """

    head: Head
    committed_id: EntryId
    damage: tuple[Damage, ...] = ()
    number: int = 0


class Probe(msgspec.Struct, frozen=True, gc=False):
    """Asks which batch ends of the secondary's log surround `id` (R3)."""

    id: EntryId


class ProbeAnswer(msgspec.Struct, frozen=True, gc=False):
    """`below.last_id <= id < above.last_id`; above is None at the end of the log."""

    id: EntryId
    below: Head
    above: Head | None


class Fetch(msgspec.Struct, frozen=True, gc=False):
    """Asks for the batches after `after`, to the end or up to `through` (R8, R13)."""

    after: Head
    through: EntryId | None


class FetchEnd(msgspec.Struct, frozen=True, gc=False):
    """Ends the answer to a `Fetch`: after it the asked node sends nothing by itself.

    `after` is the head up to which it sent; where it holds more, ask again from there.
    `found` is False where the asked node's log has no batch that ends at the asked head.
    """

    after: Head
    found: bool


class Cut(msgspec.Struct, frozen=True, gc=False):
    """Orders the secondary back to `to`, the last batch that both hold (R3)."""

    to: Head


class StreamStart(msgspec.Struct, frozen=True, gc=False):
    """The secondary's whole log is proven common up to `after`, its head (R7)."""

    after: Head


class Batches(msgspec.Struct, frozen=True, gc=False):
    """Whole batches of one segment, as the bytes that stand in its file (R4).

    `payload` follows directly on `after` and ends at `head`; where it opens a segment it
    begins with that segment's header line. `committed_id` is commit news (R7).
    `epoch` is the link's, not the batches' own (R5, R8).
    """

    epoch: Epoch
    after: Head
    head: Head
    committed_id: EntryId
    payload: bytes


class CommitNews(msgspec.Struct, frozen=True, gc=False):
    """Every entry up to `committed_id` can never be taken back any more (R7)."""

    epoch: Epoch
    committed_id: EntryId


class Acknowledgement(msgspec.Struct, frozen=True, gc=False):
    """The secondary's durable head, cumulative (R5); counted up to `damaged_from` - 1."""

    head: Head
    damaged_from: EntryId | None = None


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """A sign of life (R11).

    Attributes:
        delay_s: the secondary's injected delay; 0 from a master.
        committed_id: what the master has committed; 0 from a secondary.
        at: the secondary's tick when it sent this. A master repeats the last one that it
            heard on the link: its word is as fresh as that, however long it was on its way.
    """

    epoch: Epoch
    delay_s: float = 0.0
    committed_id: EntryId = NO_ENTRY
    at: Tick = NO_TICK


class ReadBarrier(msgspec.Struct, frozen=True, gc=False):
    """A secondary asks what is committed now: what it shows then is as fresh as that (P4).

    `number` grows on each link, one question being on its way at a time.
    """

    epoch: Epoch
    number: int


class ReadMark(msgspec.Struct, frozen=True, gc=False):
    """The answer to `ReadBarrier`: what was committed when it came.

    None where this master cannot say so, because another one may reign (R8).
    """

    epoch: Epoch
    number: int
    committed_id: EntryId | None


class RefusalKind(StrEnum):
    """Why an end of a link will not go on with it."""

    STALE_EPOCH = "stale-epoch"
    """R8: a higher epoch is known, or the same one from another master."""
    OTHER_LOG = "other-log"
    """R3: both hold logs, with different log ids."""
    DIVERGED = "diverged"
    """R3: the logs differ in what one of them knows to be committed."""
    SAME_NODE = "same-node"
    """R2: this node_id is linked already, or is the master's own."""
    NOT_A_SECONDARY = "not-a-secondary"
    """The dialled node is a master."""
    FORMAT = "format"
    """The other end speaks a format that is not known here."""
    BAD_BYTES = "bad-bytes"
    """R5: what came does not verify. Who sent it reads it once more: it may have rotted (R13)."""


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """The last word on a link that is closed on purpose."""

    kind: RefusalKind
    detail: str
    epoch: Epoch = NO_EPOCH
    epoch_owner: NodeId | None = None


Message = (
    Hello
    | Welcome
    | Report
    | Probe
    | ProbeAnswer
    | Fetch
    | FetchEnd
    | Cut
    | StreamStart
    | Batches
    | CommitNews
    | Acknowledgement
    | Heartbeat
    | ReadBarrier
    | ReadMark
    | Refusal
)
