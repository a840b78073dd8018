"""What stands in a data directory: the good part of the log, its gaps, and what is behind.

DISK. A survey decides nothing and changes nothing; `recovery` applies the Opening rules to it.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from replog.core.entry import EntryId, Head, LogId
from replog.core.messages import Damage
from replog.storage.filesystem import File, Filesystem
from replog.storage.layout import Layout, first_id_of, segment_name
from replog.storage.place import BEGINNING, Bad, Place
from replog.storage.scan import FileScan, Found, GoodRun, glance, scan
from replog.storage.segment import Segment


@dataclass(frozen=True, slots=True)
class Gap:
    """A damaged range, and where good bytes go on behind it.

    Attributes:
        stop: the run behind it; None where nothing good follows.
    """

    damage: Damage
    stop: GoodRun | None


@dataclass(frozen=True, slots=True)
class Tail:
    """Bytes of the last file behind its last good batch, or an empty last file.

    Attributes:
        follows: they stand where the last good run ends; nothing is missing between.
    """

    file: Found
    offset: int
    reason: str
    follows: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found.

    Attributes:
        runs: all good runs, in order.
        segments: the good part of the log from its beginning, up to the first gap.
        end: where that part ends.
        gaps: the ranges between good runs, in order of their ids.
        end_of_last: the end of the last good run; the same as `end` without gaps.
        tail: what is behind it in the last file, if anything is.
        next_name, next_offset: where the batch behind `end_of_last` should stand.
    """

    files: tuple[Found, ...]
    runs: tuple[GoodRun, ...]
    segments: tuple[Segment, ...]
    end: Place
    gaps: tuple[Gap, ...]
    end_of_last: Place
    tail: Tail | None
    next_name: str
    next_offset: int


def survey(
    filesystem: Filesystem,
    layout: Layout,
    *,
    log_id: LogId,
    suspects: AbstractSet[str] = frozenset(),
) -> Survey:
    """Read both ends of each segment, and every byte of the last one and of `suspects`.

    Files whose ends do not meet those of their neighbours are read whole as well.
    """
    files = list_segments(filesystem, layout)
    chain = _Chain()
    for found in files:
        file = filesystem.open(layout.segment(found.name), writable=False)
        try:
            run = None
            if found.stop_id is not None and found.name not in suspects:
                run = glance(file, found, chain.end, log_id=log_id)
            if run is not None:
                chain.take(found, FileScan((run,), ()))
            else:
                chain.take(found, scan(file, found, chain.end, log_id=log_id))
        finally:
            file.close()
    return chain.result(tuple(files))


def list_segments(filesystem: Filesystem, layout: Layout) -> list[Found]:
    """Return the segment files in order of their ids; other names are none of ours."""
    names = [name for name in filesystem.list(layout.segments) if first_id_of(name) is not None]
    ids = [first_id_of(name) or EntryId(0) for name in names]
    files = []
    for name, first_id, stop_id in zip(names, ids, [*ids[1:], None], strict=False):
        file = filesystem.open(layout.segment(name), writable=False)
        try:
            files.append(Found(name, first_id, stop_id, file.size()))
        finally:
            file.close()
    return files


@dataclass(frozen=True, slots=True)
class SegmentSurvey:
    """What is wrong in one segment: what is good at its beginning, and what is damaged."""

    good: Segment | None
    damage: tuple[Damage, ...]


def survey_segment(file: File, segment: Segment, *, log_id: LogId) -> SegmentSurvey:
    """Read a whole segment of which both ends are known, to say exactly what is damaged."""
    end = segment.stop.head
    stop_id = EntryId(end.last_id + 1)
    size = min(file.size(), segment.stop.offset)
    found = Found(segment.name, segment.first_id, stop_id, size)
    chain = _Chain(segment.start)
    chain.take(found, scan(file, found, segment.start, log_id=log_id))
    result = chain.result((found,))
    damage = [gap.damage for gap in result.gaps]
    good = result.segments[0] if result.segments else None
    if chain.end.head != end:
        if chain.end.head.last_id >= end.last_id:
            return SegmentSurvey(None, (missing(segment, "it is another segment"),))
        reason = result.tail.reason if result.tail else "the segment ends before its last batch"
        name, offset = result.next_name, result.next_offset
        damage.append(_damage(chain.end.head, end.last_id, name, offset, reason))
    return SegmentSurvey(good, tuple(damage))


def missing(segment: Segment, reason: str) -> Damage:
    """Return the damage of a segment of which nothing is left."""
    last_id = segment.stop.head.last_id
    return _damage(segment.start.head, last_id, segment.name, 0, reason)


def _damage(before: Head, last_id: EntryId, name: str, offset: int, reason: str) -> Damage:
    return Damage(before, last_id, name, offset, reason, claimed_id=last_id)


class _Chain:
    """Links the runs of one file after the other, and notes what lies between them."""

    def __init__(self, beginning: Place = BEGINNING) -> None:
        self.beginning = beginning
        self.linked: list[GoodRun] = []
        self.bad: dict[tuple[str, int], Bad] = {}
        self.gaps: list[Gap] = []

    @property
    def end(self) -> Place:
        return self.linked[-1].stop if self.linked else self.beginning

    def take(self, found: Found, scan: FileScan) -> None:
        """Take the runs of the next file."""
        self.bad.update({(found.name, bad.offset): bad for bad in scan.bad})
        for run in scan.runs:
            self._take(run)

    def _take(self, run: GoodRun) -> None:
        if self._meets(run):
            self.linked.append(run)
            return
        if run.start.head.last_id <= self.end.head.last_id:
            # Two runs that claim the same ids, or that do not follow on one another: which
            # of the two is the log's is not to be told from here, so neither file is
            # believed from its beginning on.
            name = self.linked[-1].file.name if self.linked else run.file.name
            while self.linked and self.linked[-1].file.name == name:
                self.linked.pop()
            self.gaps = [gap for gap in self.gaps if gap.stop in self.linked]
            if run.file.name == name or run.start.head.last_id <= self.end.head.last_id:
                return
        self.gaps.append(self._gap_before(run))
        self.linked.append(run)

    def _meets(self, run: GoodRun) -> bool:
        before = self.end.head
        if run.start.head.last_id != before.last_id or run.start.head.hash != before.hash:
            return False
        if not self.linked:
            return run.start.offset == 0
        last = self.linked[-1]
        if last.file.name == run.file.name:
            return run.start.offset == last.stop.offset
        return run.start.offset == 0 and last.stop.offset == last.file.size

    def _gap_before(self, run: GoodRun) -> Gap:
        name, offset = self.where_it_ends(run.file)
        bad = self.bad.get((name, offset))
        if bad is not None:
            reason = bad.reason
        elif offset == 0:
            reason = "the segment is missing, or is not the one that should stand here"
        else:
            reason = "the segment ends before its last batch"
        damage = _damage(self.end.head, run.start.head.last_id, name, offset, reason)
        return Gap(damage, run)

    def where_it_ends(self, next_file: Found | None) -> tuple[str, int]:
        """Return the file and offset at which the bytes behind the last run should stand."""
        if not self.linked:
            return segment_name(EntryId(self.beginning.head.last_id + 1)), 0
        last = self.linked[-1]
        if last.file == next_file or last.stop.offset < last.file.size or not last.seals:
            return last.file.name, last.stop.offset
        return segment_name(EntryId(self.end.head.last_id + 1)), 0

    def result(self, files: tuple[Found, ...]) -> Survey:
        segments: list[Segment] = []
        end = self.beginning
        first_behind = self.gaps[0].stop if self.gaps else None
        for run in self.linked:
            if run is first_behind:
                break
            segments.append(run.segment or Segment(run.start, run.stop, is_sealed=run.seals))
            end = run.stop
        name, offset = self.where_it_ends(None)
        return Survey(
            files,
            tuple(self.linked),
            tuple(segments),
            end,
            tuple(self.gaps),
            self.end,
            self._tail(files),
            name,
            offset,
        )

    def _tail(self, files: tuple[Found, ...]) -> Tail | None:
        if not files:
            return None
        last = files[-1]
        has_run = bool(self.linked) and self.linked[-1].file.name == last.name
        offset = self.end.offset if has_run else 0
        if has_run and offset == last.size:
            return None
        bad = self.bad.get((last.name, offset))
        follows = has_run or (
            last.first_id == self.end.head.last_id + 1
            and (not self.linked or self.linked[-1].stop.offset == self.linked[-1].file.size)
        )
        reason = bad.reason if bad is not None else "the file is empty"
        if bad is None and last.size:
            reason = "it does not belong here"
        return Tail(last, offset, reason, follows)
