"""Copying bytes away before they are cut or replaced: nothing of a log is ever deleted.

DISK.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from replog.core.entry import Head
from replog.storage.filesystem import Filesystem
from replog.storage.layout import Layout, quarantine_name
from replog.storage.salvage import read_what_can_be_read
from replog.storage.syncing import make_names, sync_file, sync_names

_COPY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileRange:
    """Bytes `[start, stop)` of the segment's file `name`."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class QuarantinedBytes:
    """`size` bytes of `segment` from `offset` on, which stand in the file `path` now."""

    segment: str
    offset: int
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class CutReport:
    """What was taken out of the log, for an operator.

    Attributes:
        head: what the log ended with afterwards.
        reason: why, for people.
        quarantined: the files that hold it; none where there were no bytes.
    """

    head: Head
    reason: str
    quarantined: tuple[QuarantinedBytes, ...]


def quarantine_all(
    filesystem: Filesystem, layout: Layout, ranges: Iterable[FileRange], *, reason: str
) -> tuple[QuarantinedBytes, ...]:
    """Copy each of `ranges` as `quarantine` does, or none.

    Raises:
        OSError: the disk refused; no copy was left behind, so it can be tried again.
        SyncFailedError: the node must end.
    """
    moved: list[QuarantinedBytes] = []
    try:
        for part in ranges:
            moved += quarantine(
                filesystem, layout, part.name, offset=part.start, stop=part.stop, reason=reason
            )
    except OSError:
        for copy in moved:
            filesystem.remove(copy.path)
        raise
    return tuple(moved)


def quarantine(
    filesystem: Filesystem, layout: Layout, segment: str, *, offset: int, stop: int, reason: str
) -> tuple[QuarantinedBytes, ...]:
    """Copy bytes of a segment into a new file of quarantine/, durably (R14).

    `reason` is a word or two with hyphens for the file's name. Nothing is done for an
    empty range.

    Raises:
        OSError: nothing was copied that counts; the segment is as it was.
        SyncFailedError: likewise, but the node must end.
    """
    if offset >= stop:
        return ()
    if not filesystem.exists(layout.quarantine):
        make_names(filesystem, layout.quarantine)
    path = _free_path(filesystem, layout, segment, offset=offset, reason=reason)
    source = filesystem.open(layout.segment(segment), writable=False)
    try:
        target = filesystem.open(path, writable=True, create=True)
        try:
            size = 0
            while size < stop - offset:
                data = read_what_can_be_read(
                    source, offset + size, min(stop, offset + size + _COPY_BYTES)
                )
                if not data:
                    break
                target.write_at(size, data)
                size += len(data)
            sync_file(target)
        except OSError:
            filesystem.remove(path)
            raise
        finally:
            target.close()
    finally:
        source.close()
    sync_names(filesystem, layout.quarantine)
    return (QuarantinedBytes(segment, offset, size, path),)


def _free_path(
    filesystem: Filesystem, layout: Layout, segment: str, *, offset: int, reason: str
) -> str:
    number = 1
    while True:
        name = quarantine_name(segment, offset=offset, reason=reason, number=number)
        path = layout.quarantined(name)
        if not filesystem.exists(path):
            return path
        number += 1
