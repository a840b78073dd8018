"""Writing at the end of the log: whole, cut back, or not at all; and making it durable.

DISK. For one thread at a time.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from replog.core.entry import EntryId
from replog.core.errors import DiskFullError, SyncFailedError
from replog.storage.contents import Contents
from replog.storage.filesystem import File
from replog.storage.index import End
from replog.storage.place import Place
from replog.storage.segment import Segment
from replog.storage.syncing import NO_SPACE, refused_by_disk, sync_failure


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes for one file: whole batches that follow on what was written before.

    Attributes:
        opens: they are the first of a new file.
        stop: where they end, in the file.
        seals: the last batch ends the segment.
        ends: some of the batch ends in them, for the index.
    """

    payload: bytes
    opens: bool
    stop: Place
    seals: bool
    ends: tuple[End, ...] = ()


@dataclass(slots=True)
class _Target:
    """A file that is being written to, and what it had before this write."""

    file: File
    segment: Segment
    size_before: int
    is_new: bool


class Writer:
    """The end of the log as a file: it appends, and knows what is durable.

    After a failed sync, or a failed write that could not be taken back, what stands on the
    disk is unknown: `failure` says why, and every later call raises (Failing, section 3).

    It goes by what it wrote itself, not by what `Contents` shows: there a reader may take
    damaged segments away at any moment.

    Attributes:
        end: where the log ends, as it was written.
        durable: up to where a completed fdatasync covers it.
        opens_segment: the next batch is the first of a new file.
    """

    def __init__(self, contents: Contents, end: Place) -> None:
        self._contents = contents
        self._target: _Target | None = None
        self._is_name_synced = True
        self.end = end
        self.durable = end
        segments = contents.segments
        self._last = segments[-1] if segments else None
        self.durable_first_id = EntryId(0) if self._last is None else self._last.first_id
        self.opens_segment = self._last is None or self._last.is_sealed
        self.failure: str | None = None

    def write(self, pieces: Sequence[Piece]) -> None:
        """Write all of `pieces`, or nothing: what was written before a failure is cut back.

        A batch that seals its segment is durable before the next file is made †, and so is
        the name of its file: that a file exists proves that the one before it is whole.

        Raises:
            DiskFullError: nothing of `pieces` is in the log, and that is durable.
            SyncFailedError: unknown what is; the node must end.
        """
        self.check()
        targets: list[_Target] = []
        end = self.end
        try:
            for piece in pieces:
                target = self._target_of(piece, targets, end)
                target.file.write_at(piece.stop.offset - len(piece.payload), piece.payload)
                end = piece.stop
        except OSError as error:
            self._take_back(targets, error)
        for target, piece in zip(targets, pieces, strict=True):
            self._contents.extend(
                target.segment, stop=piece.stop, ends=piece.ends, is_sealed=piece.seals
            )
            if target.is_new:
                self._is_name_synced = False
        self._last = targets[-1].segment
        self.opens_segment = pieces[-1].seals
        self._keep(targets[-1])
        for target in targets[:-1]:
            target.file.close()
        self.end = end

    def sync(self) -> bool:
        """Make everything written durable; say whether a file was new among it.

        Raises:
            SyncFailedError: what was written is unknown; the node must end.
        """
        self.check()
        if self.durable == self.end:
            return False
        assert self._target is not None, self.end
        self._sync_file(self._target.file)
        is_new = not self._is_name_synced
        if is_new:
            self._sync_names()
            self._is_name_synced = True
        self.durable = self.end
        self.durable_first_id = self._target.segment.first_id
        return is_new

    def check(self) -> None:
        """Refuse everything after a failure.

        Raises:
            SyncFailedError: there was one.
        """
        if self.failure is not None:
            raise SyncFailedError(self.failure)

    def fail(self, what: str, error: OSError) -> NoReturn:
        """Remember that the state of the disk is unknown from now on."""
        self.failure = sync_failure(what, error)
        raise SyncFailedError(self.failure) from error

    @contextmanager
    def failing(self, what: str) -> Iterator[None]:
        """Translate what the disk refuses; after a failed sync refuse everything."""
        try:
            yield
        except SyncFailedError as error:
            self.failure = str(error)
            raise
        except OSError as error:
            raise refused_by_disk(error, what) from error

    @contextmanager
    def passing_over_full_disk(self, what: str) -> Iterator[None]:
        """End everything, unless a mark only found no space (where disks copy on write).

        A mark that stays low costs nothing but work at the next start, and the next one
        noted repairs it; a node that ends because its disk is full would cost the reads.
        """
        try:
            yield
        except OSError as error:
            if error.errno not in NO_SPACE:
                self.fail(what, error)

    def close(self) -> None:
        """Give the file back, unsynced."""
        if self._target is not None:
            self._target.file.close()
            self._target = None

    def _keep(self, target: _Target) -> None:
        if self._target is not None and self._target.file is not target.file:
            self._target.file.close()
        self._target = target

    def _target_of(self, piece: Piece, targets: list[_Target], end: Place) -> _Target:
        """Return the file of `piece`, opened or made."""
        if piece.opens:
            before = targets[-1] if targets else self._target
            if before is not None and (targets or self.durable != self.end):
                self._sync_file(before.file)
                if not self._is_name_synced or (targets and before.is_new):
                    self._sync_names()
            segment = Segment(Place(0, end.head, end.time), Place(0, end.head, end.time))
            file = self._make(self._contents.layout.segment(segment.name))
            target = _Target(file, segment, 0, is_new=True)
        elif self._target is not None:
            assert not targets, piece.stop
            target = _Target(self._target.file, self._target.segment, end.offset, is_new=False)
        else:
            assert self._last is not None, piece.stop
            path = self._contents.layout.segment(self._last.name)
            file = self._contents.filesystem.open(path, writable=True)
            target = _Target(file, self._last, end.offset, is_new=False)
        targets.append(target)
        return target

    def _make(self, path: str) -> File:
        """Return a new file. Raises SyncFailedError where its name may be on the disk."""
        try:
            return self._contents.filesystem.open(path, writable=True, create=True)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.fail(f"making {path}", error)

    def _take_back(self, targets: list[_Target], error: OSError) -> NoReturn:
        """Remove what a failed write left, durably, and refuse; or give up.

        Raises:
            DiskFullError: the log is as it was before the write.
            SyncFailedError: it could not be proved.
        """
        contents = self._contents
        try:
            for target in reversed(targets):
                if target.is_new:
                    target.file.close()
                    contents.filesystem.remove(contents.layout.segment(target.segment.name))
                    contents.filesystem.sync_directory(contents.layout.segments)
                else:
                    target.file.truncate(target.size_before)
                    target.file.sync()
                    self._keep(target)
        except OSError as second:
            self.fail(f"a write ({error}), and then taking it back,", second)
        raise DiskFullError(
            f"the disk refused a write ({error}); nothing of it was stored. Free some space: "
            "the log goes on by itself"
        ) from error

    def _sync_file(self, file: File) -> None:
        try:
            file.sync()
        except OSError as error:
            self.fail("fdatasync", error)

    def _sync_names(self) -> None:
        try:
            self._contents.filesystem.sync_directory(self._contents.layout.segments)
        except OSError as error:
            self.fail("fsync of the directory of segments", error)
