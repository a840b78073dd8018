"""The log of one node: append, sync, read, cut and repair, as section 3 of the design says.

DISK. One thread at a time calls what changes the log; any thread may read. `note_commit` alone
may come from another one meanwhile (decision 0031).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Self

from replog.core.entry import NO_ENTRY, EntryId, Epoch, Head, LogId
from replog.core.errors import DamagedLogError, StorageError
from replog.core.messages import Batches, Damage
from replog.storage import cut as cutting
from replog.storage import lookup, proof, times
from replog.storage import repair as repairing
from replog.storage.batch import EncodedBatch, encode_batch
from replog.storage.contents import Contents, damage_text
from replog.storage.filesystem import Filesystem
from replog.storage.keys import StoredKeys
from replog.storage.layout import Layout
from replog.storage.lines import NO_KEYS, header_line
from replog.storage.marks import DurableMark, Marks
from replog.storage.place import Place
from replog.storage.quarantine import CutReport
from replog.storage.reader import EntryReader
from replog.storage.received import pieces_of
from replog.storage.recent import RecentBatches
from replog.storage.recovery import expect_no_log, open_marks, recover, remove_repair_leftovers
from replog.storage.scrub import Scrubber
from replog.storage.span import BadBatch
from replog.storage.syncing import refused_by_disk
from replog.storage.writer import Piece, Writer

SEGMENT_BYTES_MAX = 16 * 1024 * 1024
"""A segment is sealed by the batch that would bring it beyond this: a last segment of that
size verifies in about 0.1 s at start, and a sealed one is read in that time at first use."""

_LINE_BYTES = 27
_TRAILER_BYTES = 280
"""What stands around messages, about: where a segment is sealed need not be exact."""


class Log:
    """A log that is open: see docs/architecture.md for its rules.

    Attributes:
        cuts: what was moved to the quarantine at open, for the operator.
        notices: what else was found at open that an operator should know.
        keys: the idempotency keys that stand in the log.
    """

    def __init__(
        self, contents: Contents, marks: Marks, *, is_master: bool, segment_bytes_max: int
    ) -> None:
        self._contents = contents
        self._marks = marks
        self._is_master = is_master
        self._segment_bytes_max = segment_bytes_max
        self._recent = RecentBatches()
        self._scrubber = Scrubber(contents)
        self.keys = StoredKeys(contents)
        self._writer = Writer(contents, Place(0, contents.head, b""))
        self._told_committed = NO_ENTRY
        self.cuts: tuple[CutReport, ...] = ()
        self.notices: tuple[str, ...] = ()

    @classmethod
    def open(
        cls,
        filesystem: Filesystem,
        directory: str,
        *,
        is_master: bool,
        log_id: LogId | None,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
    ) -> Self:
        """Open the log of a data directory by the Opening rules; make it if there is none.

        Args:
            log_id: the log that this directory holds, as node.json says; None for none yet.

        Raises:
            StorageError: the directory cannot be read or written, or belongs to another
                log, or node.json is not the one that was written beside it.
            FormatError: a newer version wrote it.
        """
        layout = Layout(directory)
        try:
            filesystem.make_directory(layout.segments)
            remove_repair_leftovers(filesystem, layout)
            marks, notices = open_marks(filesystem, layout, holds_log=log_id is not None)
            log = cls(
                Contents(filesystem, layout, log_id),
                marks,
                is_master=is_master,
                segment_bytes_max=segment_bytes_max,
            )
            log.notices = notices
            if log_id is None:
                expect_no_log(filesystem, layout, marks)
            else:
                log._recover(frozenset())
        except OSError as error:
            raise refused_by_disk(error, f"the log in {directory} cannot be opened") from error
        return log

    # --- what is there --------------------------------------------------------------------

    @property
    def log_id(self) -> LogId | None:
        return self._contents.log_id

    @property
    def head(self) -> Head:
        """The end of what is written and good; with damage, the batch before it."""
        return self._contents.head

    @property
    def durable(self) -> Head:
        """The end of what is good and covered by a completed fdatasync."""
        durable = self._writer.durable.head
        if not self._contents.damage:
            return durable
        return min(durable, self._contents.head, key=lambda head: head.position)

    @property
    def commit_note(self) -> EntryId:
        return self._marks.commit_note

    @property
    def known_committed(self) -> EntryId:
        """What is never to be cut (R3), by the note and by the last trailer found at open.

        It may be above `durable`: damage hides entries, and not that they were committed.
        """
        return max(self.commit_note, self._told_committed)

    @property
    def damage(self) -> tuple[Damage, ...]:
        """The ranges that do not verify, as far as they are known; any read may add one."""
        return self._contents.damage

    # --- writing --------------------------------------------------------------------------

    def set_log_id(self, log_id: LogId) -> None:
        """Give an empty log its id; node.json says it already, durably."""
        assert self._contents.log_id in (None, log_id), (self._contents.log_id, log_id)
        self._contents.log_id = log_id

    def append(
        self,
        messages: Sequence[bytes],
        *,
        epoch: Epoch,
        committed_id: EntryId,
        time_ms: int,
        keys: Mapping[EntryId, str] = NO_KEYS,
    ) -> EncodedBatch:
        """Make one batch of `messages` and write it behind the head in one write, unsynced.

        Its time is `time_ms`, or that of the batch before if the clock went back.

        Raises:
            LimitError: it is too long; nothing was written.
            DiskFullError: it is not in the log, and that is durable: go on without it.
            DamagedLogError: the log is damaged and takes nothing until it is repaired (R13).
            SyncFailedError: unknown what is on the disk; the node must end.
        """
        self._refuse_damage()
        writer, log_id = self._writer, self._contents.log_id
        assert log_id is not None, "the log has no id yet"
        end = writer.end
        first_id = EntryId(end.head.last_id + 1)
        opens = writer.opens_segment
        size = 0 if opens else end.offset
        about = sum(map(len, messages)) + len(messages) * _LINE_BYTES + _TRAILER_BYTES
        seal = bool(messages) and size + about >= self._segment_bytes_max
        batch = encode_batch(
            after=end.head,
            messages=messages,
            epoch=epoch,
            committed_id=committed_id,
            time_ms=max(time_ms, times.parsed(end.time)),
            keys=keys,
            seal=seal,
            header=header_line(log_id, first_id, end.head.hash) if opens else b"",
        )
        stop = Place(size + len(batch.payload), batch.head, batch.time)
        writer.write((Piece(batch.payload, opens, stop, seal),))
        self._recent.add(end.head, batch.head, batch.payload, seals=seal)
        return batch

    def append_batches(self, batches: Sequence[Batches]) -> Head:
        """Write received batches behind the head as they are, all or nothing, unsynced.

        Their bytes have been verified to lead from each one's `after` to its `head`.

        Raises:
            BadBatch: they do not follow on this log; nothing was written.
            DiskFullError, DamagedLogError, SyncFailedError: as `append`.
        """
        self._refuse_damage()
        end = self._writer.end
        pieces = pieces_of(batches, end, opens=self._writer.opens_segment)
        self._writer.write(pieces)
        befores = (end, *(piece.stop for piece in pieces))
        # Only a master sends on what it wrote; a secondary would keep 4 MiB for a rare fetch.
        for piece, after in zip(pieces, befores, strict=False) if self._is_master else ():
            self._recent.add(after.head, piece.stop.head, piece.payload, seals=piece.seals)
        return self._writer.end.head

    def sync(self) -> Head:
        """Make everything written durable, in one fdatasync; return where that ends.

        Damage that a read finds meanwhile lowers `durable`, and not what this returns. The
        name of a new file is made durable too, and then, as at each seal, the mark.

        Raises:
            SyncFailedError: unknown what is on the disk; the node must end. Never retried.
        """
        before = self._writer.durable
        is_new_file = self._writer.sync()
        if is_new_file or (self._writer.durable != before and self._writer.opens_segment):
            self.note_durable()
        return self._writer.durable.head

    def note_commit(self, committed_id: EntryId) -> None:
        """Note what is committed, unsynced: before anything is shown because of it (R7).

        What is known already is never lowered: damage makes a node show less, not know less.

        Raises:
            SyncFailedError: the disk refused; the node must end.
        """
        self._writer.check()
        if committed_id <= self._marks.commit_note:
            return
        with self._writer.passing_over_full_disk("writing the commit note"):
            self._marks.note_commit(committed_id)

    def note_durable(self) -> None:
        """Note the durable mark and sync it, if the log moved since the last one.

        Raises:
            SyncFailedError: the disk refused; the node must end.
        """
        writer, marks = self._writer, self._marks
        writer.check()
        mark = DurableMark(writer.durable.head, writer.durable_first_id, writer.durable.offset)
        noted = marks.durable
        # Damage never lowers what was known to be durable, nor makes up what was lost.
        if self.damage if noted is None else mark.head.position <= noted.head.position:
            return
        with self._writer.passing_over_full_disk("noting the durable mark"):
            marks.note_durable(mark)

    def cut(self, to: Head) -> CutReport:
        """Move everything behind `to`, a batch end of the log, to the quarantine (R14).

        What stays is durable afterwards; damage behind `to` goes with the rest.

        Raises:
            DamagedLogError: there is damage below `to`; nothing was cut.
            StorageError: `to` is no batch end, or the quarantine refused; nothing was cut.
            SyncFailedError: the disk refused in the middle; the node must end.
        """
        self._writer.check()
        if to == self.head and not self.damage:
            self.sync()
            return CutReport(to, "nothing is behind it", ())
        was, contents = self.head, self._contents
        with self._writer.failing(f"nothing was cut behind {to}"):
            plan = cutting.plan_cut(contents, to)
            moved = cutting.copy_away(contents, plan)
        self._recent.clear()
        cutting.carry_out(contents, self._marks, self._writer, plan)
        self._start_writer(plan.end)
        self._told_committed = min(self._told_committed, to.last_id)
        return CutReport(to, f"the log was cut back from {was} to {to}", moved)

    def repair(self, damage: Damage, payload: bytes) -> Head:
        """Put `payload`, from another node, in the place of a damaged range (R13).

        Where nothing good follows the range, a part of it is taken too; the rest stays damaged.
        What is replaced goes to the quarantine; what verifies again stays. Returns the new head.

        Raises:
            BadBatch: it does not verify, or the chain does not close; nothing was changed.
            StorageError: the range is not damaged, or the disk refused; as `BadBatch`.
            SyncFailedError: unknown what is on the disk; the node must end.
        """
        self.note_durable()
        suspects = frozenset((damage.segment, *(known.segment for known in self.damage)))
        contents = self._contents
        with self._writer.failing(f"the log was not repaired behind {damage.before}"):
            try:
                plan = repairing.plan_repair(contents, self._marks, damage, payload, suspects)
            except BadBatch:
                self._recover(suspects)  # perhaps more is damaged than was known: see `damage`
                raise
            except StorageError:
                if damage not in self.damage:
                    raise
            else:
                repairing.carry_out(contents, plan)
        with self._writer.failing("the repaired log could not be read again"):
            self._recover(suspects)
        return self.head

    def verify_again(self, ids: Collection[EntryId]) -> None:
        """Verify the segments of `ids` once more: see `damage`. For a background thread."""
        self._scrubber.verify(ids)

    def scrub_next(self) -> Damage | None:
        """Verify one more segment, round and round; return its damage. For a background thread."""
        return self._scrubber.next()

    def close(self) -> None:
        """Note the durable mark, so that the next start has nothing to make durable."""
        if self._writer.failure is None and self._contents.log_id is not None:
            self.note_durable()
        self._writer.close()
        self._marks.close()
        self._contents.open_files.close()

    # --- reading --------------------------------------------------------------------------

    def contains(self, head: Head) -> bool:
        """Say whether `head` is a batch end of this log. Raises: DamagedLogError."""
        return proof.contains(self._contents, head)

    def around(self, id: EntryId) -> tuple[Head, Head | None]:
        """Return the batch ends around `id`: see `proof.around`. Raises: DamagedLogError."""
        return proof.around(self._contents, id)

    def time_of(self, id: EntryId) -> bytes:
        """Return the time of the batch that holds `id`. Raises: DamagedLogError."""
        return times.time_of(self._contents, id)

    def first_since(self, time_ms: int) -> EntryId:
        """Return the first id of a batch made then or later: see `times.first_since`."""
        return times.first_since(self._contents, time_ms)

    def read_batches(
        self, after: Head, *, through: EntryId, size_max: int
    ) -> tuple[Head, bytes] | None:
        """Return verified batches behind `after`: see `lookup.read_batches`.

        Raises: DamagedLogError; `damage` names what does not verify from now on.
        """
        recent = self.recent_batches(after, through=through, size_max=size_max)
        if recent is not None:
            return recent
        return lookup.read_batches(self._contents, after, through=through, size_max=size_max)

    def recent_batches(
        self, after: Head, *, through: EntryId, size_max: int
    ) -> tuple[Head, bytes] | None:
        """As `read_batches`, of what stands in memory only: no system call, for any thread.

        None says nothing: ask `read_batches`.
        """
        return self._recent.read(after, through=through, size_max=size_max)

    def reader(self, first: EntryId, last: EntryId) -> EntryReader:
        """Return a reader of the entries `first` to `last`, all of them committed."""
        return EntryReader(self._contents, first=first, last=last)

    # --- inside ---------------------------------------------------------------------------

    def _recover(self, suspects: frozenset[str]) -> None:
        contents, known = self._contents, self._contents.damage
        assert contents.log_id is not None
        recovered = recover(
            contents.filesystem,
            contents.layout,
            self._marks,
            log_id=contents.log_id,
            is_master=self._is_master,
            suspects=suspects,
        )
        self.cuts = (*self.cuts, *recovered.cuts)
        damage = tuple(gap.damage for gap in recovered.gaps)
        self._recent.clear()
        self._told_committed = recovered.told_committed
        if not contents.replace(recovered.segments, recovered.end.head, damage, known=known):
            self._recover(suspects.union(found.segment for found in contents.damage))
        else:
            self._start_writer(recovered.end)

    def _start_writer(self, end: Place) -> None:
        self._writer.close()
        self._writer = Writer(self._contents, end)

    def _refuse_damage(self) -> None:
        self._writer.check()
        if self.damage:
            raise DamagedLogError(damage_text(self.damage[0]))
