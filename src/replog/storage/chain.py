"""Linking good runs into the log: where they meet, where something is missing between.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass

from replog.core.entry import EntryId, Head
from replog.core.messages import Damage
from replog.storage.layout import segment_name
from replog.storage.marks import DurableMark
from replog.storage.place import BEGINNING, Bad, Place
from replog.storage.scan import FileScan, Found, GoodRun
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


def damaged(before: Head, last_id: EntryId, name: str, offset: int, reason: str) -> Damage:
    """Return a damaged range behind which good batches follow."""
    return Damage(before, last_id, name, offset, reason, claimed_id=last_id)


class Chain:
    """Collects the runs of one file after the other, and links them in the end."""

    def __init__(self, beginning: Place = BEGINNING) -> None:
        self._beginning = beginning
        self._files: list[Found] = []
        self._runs: list[GoodRun] = []
        self._bad: dict[tuple[str, int], Bad] = {}
        self._linked: list[GoodRun] = []
        self._gaps: list[Gap] = []

    @property
    def last_end(self) -> Place:
        """The end of the run taken last: what the next file should follow on."""
        return self._runs[-1].stop if self._runs else self._beginning

    def take(self, found: Found, scan: FileScan) -> None:
        """Take the runs of the next file."""
        self._files.append(found)
        self._bad.update({(found.name, bad.offset): bad for bad in scan.bad})
        self._runs.extend(scan.runs)

    def link(self, mark: DurableMark | None) -> Survey:
        """Say what the runs make of the log; `mark` tells which are certainly of it."""
        certain = self._certain_from(mark)
        for at, run in enumerate(self._runs):
            self._link(run, is_certain=at >= certain)
        segments: list[Segment] = []
        end = self._beginning
        first_behind = self._gaps[0].stop if self._gaps else None
        for run in self._linked:
            if run is first_behind:
                break
            segments.append(run.segment or Segment(run.start, run.stop, is_sealed=run.seals))
            end = run.stop
        name, offset = self._where_it_ends(None)
        return Survey(
            files=tuple(self._files),
            runs=tuple(self._linked),
            segments=tuple(segments),
            end=end,
            gaps=tuple(self._gaps),
            end_of_last=self._end,
            tail=self._tail(),
            next_name=name,
            next_offset=offset,
        )

    @property
    def _end(self) -> Place:
        return self._linked[-1].stop if self._linked else self._beginning

    def _certain_from(self, mark: DurableMark | None) -> int:
        """Return from which run on they are proven by the mark: a hash covers all before it.

        Without a mark in any of them it is the last ones that are believed.
        """
        at = len(self._runs) - 1
        for number, run in enumerate(self._runs):
            if mark is not None and _may_hold(run, mark):
                at = number
        while at > 0 and _meet(self._runs[at - 1], self._runs[at]):
            at -= 1
        return at

    def _link(self, run: GoodRun, *, is_certain: bool) -> None:
        if self._linked and _meet(self._linked[-1], run):
            self._linked.append(run)
            return
        if not self._linked and _follows(self._beginning, run) and run.start.offset == 0:
            self._linked.append(run)
            return
        if run.start.head.last_id <= self._end.head.last_id:
            # Two runs that claim the same ids, or that do not follow on one another. The
            # one that leads to the mark is the log's; the other file is another one's.
            if not is_certain or not self._linked:
                return
            name = self._linked[-1].file.name
            while self._linked and self._linked[-1].file.name == name:
                self._linked.pop()
            self._gaps = [gap for gap in self._gaps if gap.stop in self._linked]
            if run.file.name == name or run.start.head.last_id <= self._end.head.last_id:
                return
        self._gaps.append(self._gap_before(run))
        self._linked.append(run)

    def _gap_before(self, run: GoodRun) -> Gap:
        name, offset = self._where_it_ends(run.file)
        bad = self._bad.get((name, offset))
        if bad is not None:
            reason = bad.reason
        elif offset == 0:
            reason = "the segment is missing, or is not the one that should stand here"
        else:
            reason = "the segment ends before its last batch"
        return Gap(damaged(self._end.head, run.start.head.last_id, name, offset, reason), run)

    def _where_it_ends(self, next_file: Found | None) -> tuple[str, int]:
        """Return the file and offset at which the bytes behind the last run should stand."""
        if not self._linked:
            return segment_name(EntryId(self._beginning.head.last_id + 1)), 0
        last = self._linked[-1]
        if last.file == next_file or last.stop.offset < last.file.size or not last.seals:
            return last.file.name, last.stop.offset
        return segment_name(EntryId(self._end.head.last_id + 1)), 0

    def _tail(self) -> Tail | None:
        if not self._files:
            return None
        last, linked = self._files[-1], self._linked
        has_run = bool(linked) and linked[-1].file == last
        offset = self._end.offset if has_run else 0
        if has_run and offset == last.size:
            return None
        bad = self._bad.get((last.name, offset))
        follows = has_run or (
            last.first_id == self._end.head.last_id + 1
            and (not linked or linked[-1].stop.offset == linked[-1].file.size)
        )
        reason = "it is not the segment that follows" if last.size else "the file is empty"
        return Tail(last, offset, reason if bad is None else bad.reason, follows)


def _follows(before: Place, run: GoodRun) -> bool:
    start = run.start.head
    return start.last_id == before.head.last_id and start.hash == before.head.hash


def _meet(run: GoodRun, later: GoodRun) -> bool:
    """Say whether nothing is between two runs: in one file there are bad bytes, always."""
    is_next = later.start.offset == 0 and run.stop.offset == run.file.size
    return is_next and _follows(run.stop, later)


def _may_hold(run: GoodRun, mark: DurableMark) -> bool:
    return (
        run.file.first_id == mark.segment_first_id
        and run.start.head.last_id <= mark.head.last_id <= run.stop.head.last_id
    )
