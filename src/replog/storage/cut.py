"""Taking the end of the log off, into the quarantine (R14).

DISK. For the writer thread. A crash at any moment leaves a log that opens without damage and
ends at a batch between the two heads: the marks are lowered before anything is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replog.core.entry import EntryId, Head
from replog.storage.contents import Contents
from replog.storage.marks import NO_MARK, DurableMark, Marks
from replog.storage.place import BEGINNING, Place
from replog.storage.quarantine import QuarantinedBytes, quarantine
from replog.storage.scan import Found, read_last_trailer
from replog.storage.segment import Segment
from replog.storage.survey import list_segments
from replog.storage.syncing import sync_file, sync_names


@dataclass(frozen=True, slots=True)
class CutPlan:
    """What a cut leaves and takes.

    Attributes:
        kept: the segments that stay, the last of them perhaps shortened.
        end: where the log ends afterwards.
        shortened: the file that is truncated at `end.offset`; None where whole files go.
        removed: the files that go, in order of their ids.
    """

    kept: tuple[Segment, ...]
    end: Place
    shortened: Found | None
    removed: tuple[Found, ...]

    @property
    def mark(self) -> DurableMark:
        if not self.kept:
            return NO_MARK
        return DurableMark(self.end.head, self.kept[-1].first_id, self.end.offset)


def plan_cut(contents: Contents, to: Head, at_end: tuple[Segment, int] | None) -> CutPlan:
    """Say what a cut back to `to` has to do.

    Args:
        at_end: the segment and offset at which `to` ends (`lookup.end_of`); None where
            nothing of the log is good, and all of it goes.
    """
    files = list_segments(contents.filesystem, contents.layout)
    if at_end is None:
        return CutPlan((), BEGINNING, None, tuple(files))
    segment, offset = at_end
    behind = tuple(found for found in files if found.first_id > segment.first_id)
    own = next((found for found in files if found.name == segment.name), None)
    at = contents.segments.index(segment)
    if offset == 0:
        kept = contents.segments[:at]
        removed = behind if own is None else (own, *behind)
        return CutPlan(kept, _end_of(kept, segment), None, removed)
    file = contents.open(segment)
    try:
        trailer = read_last_trailer(file, offset)
    finally:
        file.close()
    assert trailer is not None, (segment.name, offset)
    end = Place(offset, to, trailer.time)
    shortened = Segment(segment.start, end)
    return CutPlan((*contents.segments[:at], shortened), end, own, behind)


def _end_of(kept: Sequence[Segment], next_segment: Segment) -> Place:
    return kept[-1].stop if kept else next_segment.start


def copy_away(contents: Contents, plan: CutPlan) -> tuple[QuarantinedBytes, ...]:
    """Copy what a cut takes into the quarantine, durably; nothing is removed yet."""
    moved: list[QuarantinedBytes] = []
    parts = [(found, 0) for found in plan.removed]
    if plan.shortened is not None:
        parts.insert(0, (plan.shortened, plan.end.offset))
    for found, offset in parts:
        moved += quarantine(
            contents.filesystem,
            contents.layout,
            found.name,
            offset=offset,
            stop=found.size,
            reason="not-in-the-masters-log",
        )
    return tuple(moved)


def lower_marks(marks: Marks, plan: CutPlan) -> None:
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


def remove(contents: Contents, plan: CutPlan) -> None:
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
        # The name may be as new as the bytes: what is left is durable only with it.
        sync_names(filesystem, layout.segments)
