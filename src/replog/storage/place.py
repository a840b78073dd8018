"""Walking verified stretches of a segment file, a bounded number of bytes at a time.

DISK.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from replog.core.entry import GENESIS, Head, LogId
from replog.storage.filesystem import File
from replog.storage.lines import BATCH_BYTES_MAX
from replog.storage.run import BadPlace, scan_run
from replog.storage.span import BatchSpan

STRETCH_BYTES = 1024 * 1024
"""Read and verified in one go: large enough that calls cost nothing, small enough for P10."""

_WHOLE_BATCH_BYTES = BATCH_BYTES_MAX + 1
"""So many bytes hold a whole batch, or show that it is longer than one may be."""


@dataclass(frozen=True, slots=True)
class Place:
    """A batch end in a file: all that is needed to verify what follows it.

    Attributes:
        offset: where the next batch begins.
        time: the time of the batch before, b"" before the first.
    """

    offset: int
    head: Head
    time: bytes


BEGINNING = Place(0, GENESIS, b"")


@dataclass(frozen=True, slots=True)
class Bad:
    """Where bytes stop being good, and why.

    Attributes:
        is_unfinished: nothing is wrong but that the file ends before a trailer does.
    """

    offset: int
    reason: str
    is_unfinished: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """Good batches that were read in one go, and the bad one behind them, if one is.

    Attributes:
        batches: what is in it; their offsets count from `start.offset`.
        seals: the last batch ends the segment.
    """

    start: Place
    stop: Place
    batches: tuple[BatchSpan, ...]
    seals: bool
    bad: Bad | None


def read_stretch(
    file: File, start: Place, *, stop_offset: int, log_id: LogId | None, size: int = STRETCH_BYTES
) -> Stretch:
    """Read and verify whole batches from `start` on, about `size` bytes of them.

    At least one batch, however long it is, unless the first is bad: `stop` is behind `start`,
    or `bad` is there. What stands before `stop_offset` is all there is: a batch that goes on
    beyond it is unfinished. A file that ends before `stop_offset` is bad from its last whole
    batch on, also where it ends with one.
    """
    while True:
        wanted = min(size, stop_offset - start.offset)
        try:
            payload = file.read_at(start.offset, wanted)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            reason = f"it cannot be read ({error.strerror})"
            bad_place = Bad(start.offset, reason, is_unfinished=False)
            return Stretch(start, start, (), seals=False, bad=bad_place)
        scan = scan_run(
            payload,
            after=start.head,
            log_id=log_id,
            last_time=start.time,
            starts_segment=start.offset == 0,
        )
        run, bad = scan.run, scan.bad
        is_all = start.offset + wanted == stop_offset
        if bad is not None and bad.is_unfinished and not is_all:
            if not run.batches:
                size = min(size * 2, _WHOLE_BATCH_BYTES)
                continue
            bad = None
        if bad is None and len(payload) < wanted:
            bad = BadPlace(
                run.stop, "the file ends too early", is_unfinished=True, looks_complete=False
            )
        return Stretch(
            start,
            Place(start.offset + run.stop, run.head, run.last_time),
            run.batches,
            run.seals,
            None if bad is None else Bad(start.offset + bad.offset, bad.reason, bad.is_unfinished),
        )
