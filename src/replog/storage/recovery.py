"""The three rules of Opening: what is cut, what is damage, what is written again.

DISK. After them the log counts up to `Recovered.end`, and every byte below it is durable.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from replog.core.entry import GENESIS, NO_ENTRY, EntryId, LogId
from replog.core.errors import StorageError
from replog.core.messages import Damage
from replog.storage.chain import Gap, Survey, Tail
from replog.storage.claims import claimed_id, may_have_counted
from replog.storage.filesystem import File, Filesystem
from replog.storage.layout import Layout, is_repair_name
from replog.storage.lines import LineError, Trailer
from replog.storage.marks import MARKS_BYTES, NO_MARK, DurableMark, Marks
from replog.storage.place import STRETCH_BYTES, Place
from replog.storage.quarantine import CutReport, quarantine
from replog.storage.salvage import read_what_can_be_read
from replog.storage.scan import read_last_trailer
from replog.storage.segment import Segment
from replog.storage.survey import list_segments, survey
from replog.storage.syncing import replace_file, sync_file, sync_names


@dataclass(frozen=True, slots=True)
class Recovered:
    """The log as it may be served and extended.

    Attributes:
        segments: the good part, from the beginning to `end`.
        gaps: what is damaged, in order of ids; none means that `end` is the log's end.
        cuts: what was moved to the quarantine on the way.
        told_committed: what the last good trailer says to be committed, damage or not.
    """

    segments: tuple[Segment, ...]
    end: Place
    gaps: tuple[Gap, ...]
    cuts: tuple[CutReport, ...]
    told_committed: EntryId


def open_marks(
    filesystem: Filesystem, layout: Layout, *, holds_log: bool
) -> tuple[Marks, tuple[str, ...]]:
    """Open the marks, or make those of a new directory; say if they should have been there.

    Marks are made before the first segment, and before node.json names a log (`holds_log`).
    Where they are missing beside one they come back unreadable, not as those of an empty
    log: that would let the log's end be cut as if it had never been durable.
    """
    if not filesystem.exists(layout.marks):
        if not holds_log and not list_segments(filesystem, layout):
            return Marks.create(filesystem, layout.marks), ()
        replace_file(filesystem, layout.marks, bytes(MARKS_BYTES))
    marks = Marks.open(filesystem, layout.marks)
    marks.write_again()
    if marks.durable is not None:
        return marks, ()
    reason = (
        f"{layout.marks} was lost or cannot be read: how far the log was durable is not known, "
        "so whatever does not verify counts as damage, except a torn end without a trailer"
    )
    return marks, (reason,)


def expect_no_log(filesystem: Filesystem, layout: Layout, marks: Marks) -> None:
    """See that there is no log where node.json names none: it is written before a log is.

    Raises:
        StorageError: there is one.
    """
    mark = marks.durable
    if list_segments(filesystem, layout) or (mark is not None and mark.head != GENESIS):
        raise StorageError(
            f"node.json in {layout.directory} names no log, but there is one beside it: put "
            "the node.json back that belongs to it, or move segments/ and marks away to begin "
            "anew"
        )


def remove_repair_leftovers(filesystem: Filesystem, layout: Layout) -> None:
    """Remove what a repair made that a crash kept from taking its place."""
    for name in filesystem.list(layout.segments):
        if is_repair_name(name):
            filesystem.remove(layout.segment(name))


def recover(
    filesystem: Filesystem,
    layout: Layout,
    marks: Marks,
    *,
    log_id: LogId,
    is_master: bool,
    suspects: AbstractSet[str] = frozenset(),
) -> Recovered:
    """Bring a data directory into a state that the log can go on from.

    May be interrupted by a crash anywhere and begun again. A bad batch that starts below
    what is known to have been durable, or that looks complete on a master, is damage.

    Raises:
        OSError, SyncFailedError: the disk refused; nothing may be served.
        FormatError: a batch says that this version must not read it.
    """
    # Rule 3 for names: a repair or a cut may have died between its rename or removal and
    # the directory's sync, and the names seen here may be the page cache's alone. Those of
    # the data directory were synced when this one was made, whether it was there or not.
    sync_names(filesystem, layout.segments)
    found = survey(filesystem, layout, log_id=log_id, mark=marks.durable, suspects=suspects)
    bad_end = _remainder(found, marks) if not is_master else None
    if bad_end is not None:
        found = replace(found, gaps=(), end_of_last=found.end, tail=bad_end)
    tail = _read_tail(filesystem, layout, found.tail)
    gaps = (*found.gaps, *_open_end(filesystem, layout, found, marks, tail))
    cuts: tuple[CutReport, ...] = ()
    if not gaps and found.tail is not None:
        if bad_end is not None or (found.tail.follows and not may_have_counted(tail)):
            cuts = (_cut(filesystem, layout, found.tail, found.end, is_master=is_master),)
        else:
            gaps = (_gap(found, marks, tail, found.tail.reason),)
    segments, end = found.segments, found.end
    if gaps and gaps[0].damage.before != end.head:
        end = segments[-1].start if len(segments) == 1 else segments[-2].stop
        segments = segments[:-1]
    _write_again(filesystem, layout, marks, segments)
    _note(marks, segments, end, is_damaged=bool(gaps))
    return Recovered(segments, end, gaps, cuts, _told_committed(filesystem, layout, found))


def _told_committed(filesystem: Filesystem, layout: Layout, found: Survey) -> EntryId:
    """Return what the last good batch was made knowing to be committed (R3).

    It is the highest there is: no master makes a batch that knows less than one before it.
    """
    run = next((run for run in found.runs if run.stop == found.end_of_last), None)
    trailer = run and _trailer_at(filesystem, layout, run.file.name, run.stop.offset)
    return trailer.committed_id if trailer else NO_ENTRY


def _trailer_at(filesystem: Filesystem, layout: Layout, name: str, stop: int) -> Trailer | None:
    """Return the trailer that ends there; None where it cannot be read (any more)."""
    file = filesystem.open(layout.segment(name), writable=False)
    try:
        return read_last_trailer(file, stop)
    except (LineError, OSError):
        return None
    finally:
        file.close()


def _remainder(found: Survey, marks: Marks) -> Tail | None:
    """Rule 1 on a secondary: everything behind the mark from the first bad batch on.

    It counts only once the next hello has told it, so it may go, whatever good batches
    stand in it. On a master, and where the marks are lost, a bad batch that looks complete
    may have been acknowledged and rotted †; there only a torn end goes.
    """
    if marks.durable is None or not found.files:
        return None
    known, end = durable_id(found, marks), found.end.head
    if end.last_id < known or end.position < marks.durable.head.position:
        return None
    last = found.files[-1]
    if found.gaps:
        damage = found.gaps[0].damage
        if damage.segment != last.name:
            return None
        return Tail(last, damage.offset, damage.reason, follows=True)
    return found.tail if found.tail is not None and found.tail.follows else None


def _read_tail(filesystem: Filesystem, layout: Layout, tail: Tail | None) -> bytes:
    if tail is None:
        return b""
    file = filesystem.open(layout.segment(tail.file.name), writable=False)
    try:
        return read_what_can_be_read(file, tail.offset, tail.file.size)
    finally:
        file.close()


def _open_end(
    filesystem: Filesystem, layout: Layout, found: Survey, marks: Marks, tail: bytes
) -> tuple[Gap, ...]:
    """Rule 2: return the damage that has no end, if the log stops before it should."""
    known, end, mark = durable_id(found, marks), found.end_of_last.head, marks.durable
    if end.last_id < known or (mark is not None and end.position < mark.head.position):
        if found.tail is not None and found.tail.follows and found.tail.file.size:
            return (_gap(found, marks, tail, found.tail.reason),)
        reason = f"the log ends here, and was durable up to id {known}"
        return (_gap(found, marks, tail, reason),)
    if found.gaps:
        if found.tail is None or found.tail.follows:
            return ()  # what is behind the last good run is decided when the gaps are closed
        return (_gap(found, marks, tail, "the segment is not the one that follows"),)
    if found.segments and not _holds_mark(filesystem, layout, found.segments[-1], marks):
        last = found.segments[-1]
        reason = "the segment does not hold the batch of the durable mark"
        before, claimed = last.start.head, max(known, end.last_id)
        return (Gap(Damage(before, None, last.name, 0, reason, claimed), None),)
    return ()


def durable_id(found: Survey, marks: Marks) -> EntryId:
    """Return the id up to which the log is known to have been durable.

    The mark says so; so does the commit note, which is never above what was durable when
    it was written; and so does the last file, which was made after the batch that sealed
    the one before it was durable.
    """
    known = EntryId(0) if marks.durable is None else marks.durable.head.last_id
    last = found.files[-1].first_id - 1 if found.files else 0
    return EntryId(max(known, marks.commit_note, last))


def _gap(found: Survey, marks: Marks, tail: bytes, reason: str) -> Gap:
    before = found.end_of_last.head
    claimed = claimed_id(tail, after=before.last_id, known=durable_id(found, marks))
    return Gap(Damage(before, None, found.next_name, found.next_offset, reason, claimed), None)


def _cut(
    filesystem: Filesystem, layout: Layout, tail: Tail, end: Place, *, is_master: bool
) -> CutReport:
    """Copy the tail away durably, then take it off the file, or the file off the log."""
    name = tail.file.name
    moved = quarantine(
        filesystem,
        layout,
        name,
        offset=tail.offset,
        stop=tail.file.size,
        reason="torn-tail" if is_master else "unacknowledged-remainder",
    )
    if tail.offset == 0:
        filesystem.remove(layout.segment(name))
        sync_names(filesystem, layout.segments)
    else:
        file = filesystem.open(layout.segment(name), writable=True)
        try:
            file.truncate(tail.offset)
            sync_file(file)
        finally:
            file.close()
    size = tail.file.size - tail.offset
    reason = f"{size} bytes of {name} from byte {tail.offset} on are no whole batch: {tail.reason}"
    return CutReport(end.head, reason, moved)


def _holds_mark(filesystem: Filesystem, layout: Layout, last: Segment, marks: Marks) -> bool:
    """Say whether the batch that the mark names is where it says; older ones are believed."""
    mark = marks.durable
    if mark is None or mark.head.last_id < last.start.head.last_id:
        return True
    if mark.head in (last.start.head, last.stop.head):
        return True
    if mark.segment_first_id != last.first_id or mark.end_offset > last.stop.offset:
        return False
    trailer = _trailer_at(filesystem, layout, last.name, mark.end_offset)
    return trailer is not None and trailer.hash == mark.head.hash.hex().encode()


def _write_again(
    filesystem: Filesystem, layout: Layout, marks: Marks, segments: tuple[Segment, ...]
) -> None:
    """Rule 3: make good bytes behind the mark durable, by writing them once more.

    That they can be read proves nothing: it is the page cache that answers, and a failed
    fdatasync before this start may have left its pages clean and unwritten. Likewise the
    file's length: a cut may be known to the page cache alone, and what it took come back.
    """
    if not segments:
        return
    last = segments[-1]
    mark = marks.durable or NO_MARK
    offset = mark.end_offset if mark.segment_first_id == last.first_id else 0
    if mark.head == last.stop.head:
        offset = last.stop.offset
    path = layout.segment(last.name)
    file = filesystem.open(path, writable=True)
    try:
        file.truncate(filesystem.size(path))
        _write_over_itself(file, offset, last.stop.offset)
        sync_file(file)
    finally:
        file.close()


def _write_over_itself(file: File, offset: int, stop: int) -> None:
    while offset < stop:
        data = file.read_at(offset, min(STRETCH_BYTES, stop - offset))
        file.write_at(offset, data)
        offset += len(data)


def _note(marks: Marks, segments: tuple[Segment, ...], end: Place, *, is_damaged: bool) -> None:
    """Note how far the log is durable; never lower than it was known to be (damage)."""
    mark = mark_at(segments, end)
    if marks.durable is None:
        if not is_damaged:
            marks.note_durable(mark)
            marks.note_durable(mark)  # neither line could be read: both can now
    elif mark.head != marks.durable.head and not (
        is_damaged and mark.head.position < marks.durable.head.position
    ):
        marks.note_durable(mark)


def mark_at(segments: tuple[Segment, ...], end: Place) -> DurableMark:
    """Return the durable mark that says: everything up to `end` is durable."""
    if not segments:
        return NO_MARK
    return DurableMark(end.head, segments[-1].first_id, end.offset)
