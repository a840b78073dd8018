"""Logs for the tests of storage: what was written, and what stands on the disk.

SHELL. The disk is that of the simulator: in memory, with a page cache that can be lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId
from replog.core.errors import DamagedLogError
from replog.core.messages import Batches
from replog.storage.batch import encode_message
from replog.storage.filesystem import Filesystem
from replog.storage.log import Log
from replog.storage.span import BatchSpan, spans
from tests.simulator.disk import SimFilesystem

LOG_ID = LogId("log-1")
DIRECTORY = "data"
SEGMENTS = "data/segments"
QUARANTINE = "data/quarantine"
TIME_MS = 1_795_687_200_000
NOTHING = EntryId(0)

Files = Mapping[str, bytes]
"""What stands on a disk: path -> content."""


def open_log(
    filesystem: Filesystem,
    *,
    is_master: bool = True,
    segment_bytes_max: int = 1100,
    directory: str = DIRECTORY,
) -> Log:
    return Log.open(
        filesystem,
        directory,
        is_master=is_master,
        log_id=LOG_ID,
        segment_bytes_max=segment_bytes_max,
    )


def append(log: Log, *texts: str, epoch: int = 1, time_ms: int = TIME_MS) -> Head:
    batch = log.append(
        [encode_message(text) for text in texts],
        epoch=Epoch(epoch),
        committed_id=NOTHING,
        time_ms=time_ms,
    )
    assert log.head == batch.head
    return batch.head


def append_durably(log: Log, *texts: str, epoch: int = 1) -> Head:
    head = append(log, *texts, epoch=epoch)
    assert log.sync() == head
    return head


def read(log: Log, first: int = 1, last: int | None = None) -> bytes:
    """Read entry lines through a reader; to the log's head if `last` is not given."""
    reader = log.reader(EntryId(first), log.head.last_id if last is None else EntryId(last))
    chunks = []
    try:
        while (chunk := reader.next_chunk()) is not None:
            assert chunk.endswith(b"\n"), chunk[-40:]
            chunks.append(chunk)
    finally:
        reader.close()
    return b"".join(chunks)


def read_what_is_good(log: Log) -> bytes:
    """Read up to the head, again and again while the reading itself finds damage."""
    while True:
        try:
            return read(log)
        except DamagedLogError:
            assert log.damage


def stream(source: Log, after: Head = GENESIS, *, size_max: int = 700) -> list[Batches]:
    """Return everything behind `after` as the messages that a link would carry."""
    batches: list[Batches] = []
    while True:
        found = source.read_batches(after, through=source.head.last_id, size_max=size_max)
        if found is None:
            return batches
        head, payload = found
        batches.append(Batches(Epoch(1), after, head, NOTHING, payload))
        after = head


def files_of(filesystem: SimFilesystem, directory: str = SEGMENTS) -> dict[str, bytes]:
    """Return what a program sees in a directory."""
    files = filesystem.cached_files(directory)
    return {f"{directory}/{name}": bytes(inode.cached) for name, inode in files}


def everything(filesystem: SimFilesystem) -> dict[str, bytes]:
    """Return all files of the data directory."""
    return files_of(filesystem, DIRECTORY) | files_of(filesystem) | files_of(filesystem, QUARANTINE)


def disk_with(files: Files, seed: int = 0) -> SimFilesystem:
    """Return a disk on which `files` stand durably, and nothing else."""
    disk = SimFilesystem(Random(seed))
    for directory in (SEGMENTS, QUARANTINE):
        disk.make_directory(directory)
    for path, content in files.items():
        file = disk.open(path, writable=True, create=True)
        file.write_at(0, content)
        file.sync()
        file.close()
    for directory in (DIRECTORY, SEGMENTS, QUARANTINE):
        disk.sync_directory(directory)
    return disk


@dataclass(frozen=True, slots=True)
class Placed:
    """A batch of the original log, and where it stands."""

    path: str
    span: BatchSpan
    before: Head

    @property
    def segment(self) -> str:
        return self.path.rpartition("/")[2]


class Original:
    """A log as it was written, to compare with what is left of it."""

    def __init__(self, files: Files) -> None:
        """Take the files of a log that is known to be good."""
        self.files = dict(files)
        self.batches: list[Placed] = []
        before = GENESIS
        for path in sorted(path for path in files if path.startswith(SEGMENTS)):
            for span in spans(files[path]):
                self.batches.append(Placed(path, span, before))
                before = span.head
        self.heads = [GENESIS, *(batch.span.head for batch in self.batches)]
        self.head = self.heads[-1]

    @property
    def segments(self) -> list[str]:
        return sorted({batch.path for batch in self.batches})

    def lines(self, upto: EntryId) -> bytes:
        """Return the entry lines 1 to `upto`."""
        parts = [
            self.files[batch.path][batch.span.entries_start : batch.span.entries_stop]
            for batch in self.batches
            if batch.span.last_id <= upto
        ]
        return b"".join(parts)

    def content(self, batch: Placed) -> bytes:
        """Return the bytes of a batch, a header line included."""
        return self.files[batch.path][batch.span.start : batch.span.stop]

    def batch_at(self, path: str, offset: int) -> Placed:
        """Return the batch in which a byte stands."""
        return next(
            batch
            for batch in self.batches
            if batch.path == path and batch.span.start <= offset < batch.span.stop
        )

    def payload(self, after: Head, upto: EntryId | None) -> bytes:
        """Return the bytes of the batches behind `after`, header lines included."""
        found = [
            self.content(batch)
            for batch in self.batches
            if batch.before.position >= after.position
            and (upto is None or batch.span.last_id <= upto)
        ]
        return b"".join(found)


def changed(files: Files, path: str, content: bytes | None) -> dict[str, bytes]:
    """Return `files` with another content of one, or without it."""
    result = dict(files)
    if content is None:
        del result[path]
    else:
        result[path] = content
    return result


def texts(*counts: int) -> Sequence[tuple[str, ...]]:
    """Return messages for batches of so many entries each."""
    made = []
    number = 0
    for count in counts:
        made.append(tuple(f"entry {number + n} of the log" for n in range(1, count + 1)))
        number += count
    return made
