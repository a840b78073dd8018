"""Taking the end of the log off, into the quarantine (R14).

DISK. For the writer thread. A crash at any moment leaves a log that opens without damage and
ends at a batch between the two heads: the marks are lowered before anything is removed.
"""

from __future__ import annotations

from dataclasses import dataclass

from replog.core.entry import GENESIS, EntryId, Head
from replog.core.errors import DamagedLogError, StorageError, SyncFailedError
from replog.core.messages import Damage
from replog.storage.contents import Contents, damage_text
from replog.storage.lookup import end_of
from replog.storage.marks import NO_MARK, DurableMark, Marks
from replog.storage.place import BEGINNING, Place
from replog.storage.quarantine import FileRange, QuarantinedBytes, quarantine_all
from replog.storage.scan import Found, read_last_trailer
from replog.storage.segment import Segment
from replog.storage.survey import list_segments
from replog.storage.syncing import sync_file, sync_names
from replog.storage.writer import Writer


@dataclass(frozen=True, slots=True)
class CutPlan:
    """What a cut leaves and takes.

    Attributes:
        kept: the segments that stay, the last of them perhaps shortened.
        end: where the log ends afterwards.
        shortened: the file that is truncated at `end.offset`; None where whole files go.
        removed: the files that go, in order of their ids.
        known: what was damaged when this was planned.
    """

    kept: tuple[Segment, ...]
    end: Place
    shortened: Found | None
    removed: tuple[Found, ...]
    known: tuple[Damage, ...]

    @property
    def mark(self) -> DurableMark:
        if not self.kept:
            return NO_MARK
        return DurableMark(self.end.head, self.kept[-1].first_id, self.end.offset)


def plan_cut(contents: Contents, to: Head) -> CutPlan:
    """Say what a cut back to `to` has to do.

    Raises:
        DamagedLogError: the bytes that would tell do not verify, or there is damage below `to`.
        StorageError: `to` is no batch end of the log.
        OSError: they cannot be read.
    """
    files = list_segments(contents.filesystem, contents.layout)
    known = contents.damage
    if to == GENESIS:
        return CutPlan((), BEGINNING, None, tuple(files), known)
    found = end_of(contents, to)
    if found is None:
        if contents.damage and contents.head.position < to.position:
            raise DamagedLogError(damage_text(contents.damage[0]))
        raise StorageError(f"the log does not hold the batch end {to}; nothing was cut")
    segment, offset = found
    at = contents.segments.index(segment)
    if offset == 0 and at > 0:
        segment, at = contents.segments[at - 1], at - 1
        offset = segment.stop.offset
    if offset == segment.stop.offset:
        kept, end = segment, segment.stop
    else:
        end = Place(offset, to, _time_at(contents, segment, offset))
        kept = Segment(segment.start, end)
    own = next((file for file in files if file.name == segment.name), None)
    behind = tuple(file for file in files if file.name > segment.name)
    is_longer = own is not None and own.size > end.offset
    return CutPlan((*contents.segments[:at], kept), end, own if is_longer else None, behind, known)


def _time_at(contents: Contents, segment: Segment, offset: int) -> bytes:
    file = contents.open(segment)
    try:
        trailer = read_last_trailer(file, offset)
    finally:
        file.close()
    assert trailer is not None, (segment.name, offset)
    return trailer.time


def copy_away(contents: Contents, plan: CutPlan) -> tuple[QuarantinedBytes, ...]:
    """Copy what a cut takes into the quarantine, durably; nothing is removed yet.

    Raises: OSError, SyncFailedError; as `quarantine_all`.
    """
    parts = [FileRange(found.name, 0, found.size) for found in plan.removed]
    if plan.shortened is not None:
        parts.insert(0, FileRange(plan.shortened.name, plan.end.offset, plan.shortened.size))
    return quarantine_all(
        contents.filesystem, contents.layout, parts, reason="not-in-the-masters-log"
    )


def carry_out(contents: Contents, marks: Marks, writer: Writer, plan: CutPlan) -> None:
    """Take off what `copy_away` copied. `writer` is of no use afterwards.

    Raises:
        DamagedLogError: a reader found damage since it was planned; nothing was cut.
        SyncFailedError: the disk refused in the middle; the node must end.
    """
    # Readers first: who reads from here on does not take a cut for damage.
    if not contents.replace(plan.kept, plan.end.head, (), known=plan.known):
        raise DamagedLogError(damage_text(contents.damage[0]))
    try:
        _lower_marks(marks, plan)
        writer.close()
        _remove(contents, plan)
    except SyncFailedError as error:
        writer.failure = str(error)
        raise
    except OSError as error:
        writer.fail(f"cutting the log back to {plan.end.head}", error)


def _lower_marks(marks: Marks, plan: CutPlan) -> None:
    """Take back what the marks say about bytes that are about to go, durably.

    Both lines of each mark are written: an older, higher one that came to light again
    would turn the cut into damage.
    """
    to = plan.end.head
    lowers_note = marks.commit_note > to.last_id
    if lowers_note:
        marks.note_commit(EntryId(to.last_id))
        marks.note_commit(EntryId(to.last_id))
    if lowers_note or marks.durable is None or marks.durable.head != to:
        marks.note_durable(plan.mark)
        marks.note_durable(plan.mark)


def _remove(contents: Contents, plan: CutPlan) -> None:
    """Remove files from the end backwards, each durably, then truncate the last one."""
    filesystem, layout = contents.filesystem, contents.layout
    for found in reversed(plan.removed):
        filesystem.remove(layout.segment(found.name))
        sync_names(filesystem, layout.segments)
    if plan.shortened is not None:
        file = filesystem.open(layout.segment(plan.shortened.name), writable=True)
        try:
            file.truncate(plan.end.offset)
            sync_file(file)
        finally:
            file.close()
    # What is left may be as new as what went: it is durable only with its name.
    sync_names(filesystem, layout.segments)
