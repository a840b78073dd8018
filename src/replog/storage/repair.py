"""Putting bytes from another node in the place of a damaged range (R13).

DISK. For the writer thread. Every file is made whole beside the old one, verified and
synced, and takes its name in one step: a crash leaves each file as it was or as it is to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replog.core.entry import GENESIS, EntryId, Head, LogId
from replog.core.errors import StorageError
from replog.core.messages import Damage
from replog.storage.chain import Gap, Survey
from replog.storage.claims import claimed_id
from replog.storage.contents import Contents
from replog.storage.filesystem import File
from replog.storage.layout import repair_name, segment_name
from replog.storage.lines import HEADER_BEGINNING
from replog.storage.marks import Marks
from replog.storage.place import BEGINNING, STRETCH_BYTES, Place
from replog.storage.quarantine import FileRange, quarantine_all
from replog.storage.run import scan_run
from replog.storage.scan import Found, GoodRun
from replog.storage.span import BadBatch
from replog.storage.survey import survey
from replog.storage.syncing import sync_file, sync_names

_NEXT_HEADER = b"\n" + HEADER_BEGINNING


@dataclass(frozen=True, slots=True)
class _Part:
    """The bytes of a repair that go into one file."""

    name: str
    payload: bytes
    start: Place
    stop: Place
    seals: bool


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What a repair does to the files.

    Attributes:
        replaced: the bytes that go to the quarantine first.
        removed: files that are in the way of the new ones.
        made: each new file: what stays of the old one before and behind its part.
    """

    replaced: tuple[FileRange, ...]
    removed: tuple[str, ...]
    made: tuple[tuple[_Part, FileRange, FileRange], ...]


def plan_repair(
    contents: Contents, marks: Marks, damage: Damage, payload: bytes, suspects: frozenset[str]
) -> RepairPlan:
    """Check that `payload` closes the chain, and say what has to be done.

    Raises:
        BadBatch: it does not verify, or does not close the chain; nothing was changed.
        StorageError: the range is not damaged (any more).
    """
    log_id = contents.log_id
    assert log_id is not None
    found = survey(
        contents.filesystem,
        contents.layout,
        log_id=log_id,
        mark=marks.durable,
        suspects=suspects,
    )
    gap = next((gap for gap in found.gaps if gap.damage.before == damage.before), None)
    start = _start(found, damage, gap)
    parts = _split(payload, start, damage.segment, log_id)
    stop = gap.stop if gap is not None else None
    end = parts[-1].stop
    if stop is not None:
        if end.head.hash != stop.start.head.hash:
            raise BadBatch(0, f"it ends at {end.head}, which is not where good batches go on")
    elif not _passes_mark(parts, damage.before, marks):
        raise BadBatch(0, "it does not hold the batch of the durable mark")
    kept = [run.file.name for run in found.runs if run.stop.head.position <= start.head.position]
    return _plan(contents, found.files, parts, stop, last_kept=kept[-1] if kept else "")


def _start(found: Survey, damage: Damage, gap: Gap | None) -> Place:
    """Return the place of the batch before the range; its offset is where the range begins."""
    ends = [run.stop for run in found.runs if run.stop.head == damage.before]
    if damage.before == GENESIS:
        ends.append(BEGINNING)
    goes_on = found.end_of_last.head != damage.before and damage.last_id is not None
    if not ends or (gap is None and goes_on):
        raise StorageError(f"the log is not damaged behind {damage.before}; nothing to repair")
    return Place(damage.offset, ends[-1].head, ends[-1].time)


def _split(payload: bytes, start: Place, name: str, log_id: LogId) -> list[_Part]:
    """Cut verified bytes where segments end; each part is for one file."""
    parts: list[_Part] = []
    at = 0
    while at < len(payload):
        # A header line stands nowhere but where a segment begins: one segment at a time is
        # copied, not all that is left.
        next_at = payload.find(_NEXT_HEADER, at) + 1 or len(payload)
        scan = scan_run(
            payload[at:next_at],
            after=start.head,
            log_id=log_id,
            last_time=start.time,
            starts_segment=start.offset == 0,
        )
        run = scan.run
        if not run.batches or (scan.bad is not None and not run.seals):
            reason = scan.bad.reason if scan.bad is not None else "there is none"
            raise BadBatch(at + run.stop, reason)
        if next_at < len(payload) and not run.seals:
            raise BadBatch(next_at, "a header line stands in the middle of a segment")
        stop = Place(start.offset + run.stop, run.head, run.last_time)
        parts.append(_Part(name, payload[at : at + run.stop], start, stop, run.seals))
        at += run.stop
        start = Place(0, run.head, run.last_time)
        name = segment_name(EntryId(run.head.last_id + 1))
    if not parts:
        raise BadBatch(0, "there is none")
    return parts


def _passes_mark(parts: Sequence[_Part], before: Head, marks: Marks) -> bool:
    """Say whether a repair without good batches behind it goes through the durable mark."""
    mark = marks.durable
    end = parts[-1].stop.head
    if mark is None or mark.head.position <= before.position:
        return True
    if end.last_id < mark.head.last_id:
        return True  # some of the range: the rest of it stays damaged
    for part in parts:
        scan = scan_run(
            part.payload,
            after=part.start.head,
            log_id=None,
            last_time=part.start.time,
        )
        if any(batch.hash == mark.head.hash for batch in scan.run.batches):
            return True
    return False


def _plan(
    contents: Contents,
    files: tuple[Found, ...],
    parts: list[_Part],
    stop: GoodRun | None,
    *,
    last_kept: str,
) -> RepairPlan:
    by_name = {found.name: found for found in files}
    first, last = parts[0], parts[-1]
    stop_name, stop_offset = (None, 0) if stop is None else (stop.file.name, stop.start.offset)
    if stop is not None and (last.seals if stop_offset else last.name == stop_name):
        raise BadBatch(0, "its segments do not end where those of this log do")
    if stop_offset and last.name != stop_name:
        raise BadBatch(0, "its segments do not begin where those of this log do")
    replaced: list[FileRange] = []
    for found in files:
        if stop_name is not None and found.name > stop_name:
            continue
        if found.name <= last_kept and found.name != first.name:
            continue
        begin = first.start.offset if found.name == first.name else 0
        end = stop_offset if found.name == stop_name else found.size
        if begin < end:
            replaced.append(FileRange(found.name, begin, end))
    new_names = {part.name for part in parts}
    last_id = last.stop.head.last_id
    removed = tuple(
        found.name
        for found in files
        if found.name > last_kept
        and found.name not in new_names
        and found.name != stop_name
        and (found.first_id <= last_id if stop_name is None else found.name < stop_name)
    )
    made = []
    for part in parts:
        before = FileRange(part.name, 0, part.start.offset)
        behind = FileRange(part.name, 0, 0)
        if part is last and part.name == stop_name:
            behind = FileRange(part.name, stop_offset, by_name[part.name].size)
        elif part is last and stop is None and part.name in by_name:
            behind = _rest(contents, by_name[part.name], part)
        made.append((part, before, behind))
    return RepairPlan(tuple(replaced), removed, tuple(made))


def _rest(contents: Contents, found: Found, part: _Part) -> FileRange:
    """Return what stays behind the end of the repair: bytes that speak of later entries.

    Good bytes stand at the same offsets on all nodes, so what is behind them here may be
    more of the log, to be repaired from yet another node.
    """
    nothing = FileRange(part.name, 0, 0)
    if part.seals or found.size <= part.stop.offset:
        return nothing
    file = contents.filesystem.open(contents.layout.segment(found.name), writable=False)
    try:
        rest = file.read_at(part.stop.offset, found.size - part.stop.offset)
    except OSError:
        return nothing
    finally:
        file.close()
    last_id = part.stop.head.last_id
    if claimed_id(rest, after=last_id, known=last_id) == last_id:
        return nothing
    return FileRange(part.name, part.stop.offset, found.size)


def carry_out(contents: Contents, plan: RepairPlan) -> None:
    """Do what the plan says; afterwards the log is to be surveyed again.

    Raises:
        OSError: the disk refused; each file is as it was or as it is to be.
        SyncFailedError: likewise, but what is on the disk is unknown; the node must end.
    """
    filesystem, layout = contents.filesystem, contents.layout
    try:
        for part, before, behind in plan.made:
            _make(contents, part, before, behind)
        quarantine_all(filesystem, layout, plan.replaced, reason="damaged")
    except OSError:
        for part, _, _ in plan.made:
            _discard(contents, part)
        raise
    for name in plan.removed:  # first: beside the new files they would contradict them
        filesystem.remove(layout.segment(name))
    if plan.removed:
        sync_names(filesystem, layout.segments)
    for part, _, _ in plan.made:
        filesystem.rename(layout.segment(repair_name(part.name)), layout.segment(part.name))
    sync_names(filesystem, layout.segments)


def _discard(contents: Contents, part: _Part) -> None:
    path = contents.layout.segment(repair_name(part.name))
    if contents.filesystem.exists(path):
        contents.filesystem.remove(path)


def _make(contents: Contents, part: _Part, before: FileRange, behind: FileRange) -> None:
    path = contents.layout.segment(repair_name(part.name))
    _discard(contents, part)
    target = contents.filesystem.open(path, writable=True, create=True)
    try:
        _copy(contents, before, target, 0)
        target.write_at(part.start.offset, part.payload)
        _copy(contents, behind, target, part.stop.offset)
        sync_file(target)
    finally:
        target.close()


def _copy(contents: Contents, keep: FileRange, target: File, offset: int) -> None:
    if keep.start >= keep.stop:
        return
    path = contents.layout.segment(keep.name)
    source = contents.filesystem.open(path, writable=False)
    try:
        for at in range(keep.start, keep.stop, STRETCH_BYTES):
            data = source.read_at(at, min(STRETCH_BYTES, keep.stop - at))
            target.write_at(offset + at - keep.start, data)
    finally:
        source.close()
