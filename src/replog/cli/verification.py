"""What `replog verify` finds in data directories: every hash checked, every copy compared.

DISK. Nothing is written and no lock is taken, so that it works on a backup, on a read-only
disk and beside a running node. Marks are read before segments: what they promise to be
durable must then be found, and what a running node adds meanwhile is none of it.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass

from replog.core.entry import GENESIS, EntryId, Head, LogId
from replog.core.errors import StorageError
from replog.core.messages import Damage
from replog.storage.chain import Survey
from replog.storage.claims import may_have_counted
from replog.storage.filesystem import File, PosixFile, PosixFilesystem
from replog.storage.layout import Layout
from replog.storage.lines import LineError, parse_header
from replog.storage.marks import DurableMark, Marks
from replog.storage.node_state import load_node_state
from replog.storage.salvage import read_what_can_be_read
from replog.storage.survey import list_segments, survey

CHUNK_BYTES = 1024 * 1024
_HEADER_BYTES_MAX = 512


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of one segment file is good: the whole of it, or up to a batch end."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class VerifiedDirectory:
    """A data directory after its check.

    Attributes:
        name: what people call it: the last part of its path.
        extents: the good bytes from the log's beginning to `head`, in order.
        damage: what does not verify, lowest first.
        remainder: bytes behind the head of a batch that was never finished; no damage.
    """

    name: str
    path: str
    log_id: LogId | None
    segments: int
    head: Head
    extents: tuple[Extent, ...] = ()
    damage: tuple[Damage, ...] = ()
    remainder: int = 0

    @property
    def entries(self) -> int:
        return self.head.last_id


@dataclass(frozen=True, slots=True)
class Difference:
    """The first byte in which two logs differ, and the entry that it is in or before."""

    segment: str
    offset: int
    id: EntryId


class ReadingFilesystem(PosixFilesystem):
    """The disk, of which nothing is opened for writing."""

    def open(self, path: str, *, writable: bool, create: bool = False) -> PosixFile:
        del writable, create
        return super().open(path, writable=False)


def verify_directory(path: str) -> VerifiedDirectory:
    """Read every byte of the log in `path` and say what holds.

    A node that runs may repair, cut or go on between two reads: what seems wrong is looked
    at once more before it is said.

    Raises:
        StorageError: there is no log to check, or it cannot be read.
        FormatError: it is of a format that this version does not know.
    """
    try:
        verdict = _verify(path)
        return _verify(path) if verdict.damage else verdict
    except OSError as error:
        raise StorageError(f"{error.filename or path} cannot be read: {error.strerror}") from error


def _hint_of_directories_below(path: str) -> str:
    below = glob.glob(os.path.join(glob.escape(path), "*", "node.json"))
    return f"; did you mean {os.path.join(path, '*')} ?" if below else ""


def _verify(path: str) -> VerifiedDirectory:
    filesystem, layout = ReadingFilesystem(), Layout(path)
    name = os.path.basename(os.path.abspath(path))
    state = load_node_state(filesystem, os.path.join(path, "node.json"))
    if not filesystem.exists(layout.segments):
        if state is None:
            hint = _hint_of_directories_below(path)
            raise StorageError(f"{path} is no data directory: it holds no {layout.segments}{hint}")
        return VerifiedDirectory(name, path, state.log_id, 0, GENESIS)
    marks = _marks_of(filesystem, layout)
    files = list_segments(filesystem, layout)
    log_id = state.log_id if state is not None and state.log_id else None
    log_id = log_id or (_log_id_in(filesystem, layout, files[0].name) if files else None)
    if log_id is None:
        return VerifiedDirectory(name, path, None, 0, GENESIS)
    mark = marks.durable if marks is not None else None
    names = {file.name for file in files}
    found = survey(filesystem, layout, log_id=log_id, mark=mark, suspects=names)
    if state is not None and state.role == "secondary" and _is_remainder(found, marks):
        damage: tuple[Damage, ...] = ()
        remainder = found.files[-1].size - _good_size(found)
    else:
        damage, remainder = _judge(filesystem, layout, found, mark)
    return VerifiedDirectory(
        name,
        path,
        log_id,
        len(files),
        found.end.head,
        tuple(Extent(segment.name, segment.stop.offset) for segment in found.segments),
        damage,
        remainder,
    )


def _is_remainder(found: Survey, marks: Marks | None) -> bool:
    """Opening rule 1 on a secondary: what is bad in the last file behind the mark counts only
    once the next hello has told it. It goes then, and is no damage."""
    if marks is None or marks.durable is None or not found.files:
        return False
    end = found.end.head
    if end.position < marks.durable.head.position or end.last_id < marks.commit_note:
        return False
    return not found.gaps or found.gaps[0].damage.segment == found.files[-1].name


def _good_size(found: Survey) -> int:
    """Return how much of the last file is good."""
    last = found.segments[-1] if found.segments else None
    return last.stop.offset if last and last.name == found.files[-1].name else 0


def _judge(
    filesystem: ReadingFilesystem, layout: Layout, found: Survey, mark: DurableMark | None
) -> tuple[tuple[Damage, ...], int]:
    """Return what is damaged, and the size of a torn end that never counted."""
    behind = _behind(filesystem, layout, found)
    damage = tuple(gap.damage for gap in found.gaps)
    durable = mark.head if mark is not None else GENESIS
    is_short = found.end_of_last.head.position < durable.position
    is_loose = found.tail is not None and not found.tail.follows
    if not (is_short or is_loose or may_have_counted(behind)):
        return damage, len(behind)
    reason = f"the log ends here, and was durable up to id {durable.last_id}"
    if found.tail is not None:
        reason = found.tail.reason
    before, where = found.end_of_last.head, (found.next_name, found.next_offset)
    return (*damage, Damage(before, None, *where, reason, EntryId(durable.last_id))), 0


def _marks_of(filesystem: ReadingFilesystem, layout: Layout) -> Marks | None:
    """Return the marks; None beside a copy of segments/ alone."""
    if not filesystem.exists(layout.marks):
        return None
    marks = Marks.open(filesystem, layout.marks)
    marks.close()
    return marks


def _log_id_in(filesystem: ReadingFilesystem, layout: Layout, name: str) -> LogId:
    """Return the log that a copy of segments/ alone says that it is of."""
    file = filesystem.open(layout.segment(name), writable=False)
    try:
        line, newline, _ = file.read_at(0, _HEADER_BYTES_MAX).partition(b"\n")
        return LogId(parse_header(line + newline).log_id)
    except LineError as error:
        raise StorageError(f"{layout.segment(name)} begins with no header: {error}") from error
    finally:
        file.close()


def _behind(filesystem: ReadingFilesystem, layout: Layout, found: Survey) -> bytes:
    if found.tail is None:
        return b""
    file = filesystem.open(layout.segment(found.tail.file.name), writable=False)
    try:
        return read_what_can_be_read(file, found.tail.offset, found.tail.file.size)
    finally:
        file.close()


def difference(one: VerifiedDirectory, other: VerifiedDirectory) -> Difference | None:
    """Return where the good bytes of two logs first differ; None where they agree.

    Both hash chains were checked, so equal heads would do. The bytes are compared all the
    same: this is the tool that people use because they do not take our word for it.
    """
    filesystem = ReadingFilesystem()
    last_id = EntryId(0)
    for mine, theirs in zip(one.extents, other.extents, strict=False):
        if mine.name != theirs.name:
            return Difference(min(mine.name, theirs.name), 0, EntryId(last_id + 1))
        size = min(mine.size, theirs.size)
        files = [
            filesystem.open(Layout(each.path).segment(mine.name), writable=False)
            for each in (one, other)
        ]
        try:
            offset = _first_difference(files, size)
            if offset is not None:
                return Difference(mine.name, offset, _id_at(files[0], offset, mine.name))
        finally:
            for file in files:
                file.close()
        # The shorter log ends in this file. In the middle of a batch of the other's it
        # ends differently, and the bytes above differed already.
    return None


def _first_difference(files: Sequence[File], size: int) -> int | None:
    for start in range(0, size, CHUNK_BYTES):
        length = min(CHUNK_BYTES, size - start)
        mine, theirs = (file.read_at(start, length) for file in files)
        if mine != theirs:
            for place, (a, b) in enumerate(zip(mine, theirs, strict=False)):
                if a != b:
                    return start + place
            return start + min(len(mine), len(theirs))
    return None


def _id_at(file: File, offset: int, name: str) -> EntryId:
    """Return the id of the entry that the byte at `offset` stands in, or is the next of."""
    first_id = int(name.partition(".")[0])
    lines = 0
    for start in range(0, offset, CHUNK_BYTES):
        chunk = file.read_at(start, min(CHUNK_BYTES, offset - start))
        lines += chunk.count(b'\n{"id":')
    return EntryId(max(first_id, first_id + lines - 1))
