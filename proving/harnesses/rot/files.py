"""Row 6: whole files lost, emptied, swapped or stale, and rot in those beside the segments.

DISK. The storage of one node, as in `bits`. There is no index file: it is made in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Final

from proving.harness import Counts, Harness, Violation
from proving.harnesses.rot.bits import good_log
from proving.harnesses.rot.serving import expect_whole, repair, serve
from proving.harnesses.rot.written import LOCK, MARKS, NODE_JSON, Written, opened, written
from replog.core.errors import StorageError
from replog.node.views import Role
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import DIRECTORY, QUARANTINE, SEGMENTS, Files, changed, disk_with

STALE: Final = 8
"""Copies of each segment from before, each up to another batch end."""
ROLES: Final = tuple(Role)
MARKS_BYTES: Final = 4 * 4096
PER_CASE: Final = 256
MARKS_CASES: Final = MARKS_BYTES // PER_CASE
PARTS: Final = ("segments", "node.json", "beside", *range(MARKS_CASES))


def spoil_files(case: int, directory: Path) -> Counts:
    """Spoil what one part of `PARTS` says, one thing at a time."""
    del directory
    role, part = ROLES[case % 2], PARTS[case // 2]
    counts: Counter[str] = Counter()
    if part == "segments":
        for what, files, path, offset in _segments(written(role, is_last=False)):
            with _about(what, role):
                _mend(role, files, path, offset)
            counts["segment files"] += 1
    elif part == "node.json":
        for what, content in _node_json(written(role, is_last=False)):
            with _about(f"node.json {what}", role):
                _is_refused(role, changed(written(role, is_last=False).original.files, *content))
            counts["node.json"] += 1
    else:
        was = written(role, is_last=True)
        spoiled = _beside(was) if part == "beside" else _marks(was, int(part), Random(case))
        for what, files in spoiled:
            with _about(what, role):
                _costs_nothing(role, files)
            counts["files beside" if part == "beside" else "marks"] += 1
    return counts


@contextmanager
def _about(what: str, role: Role) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        raise Violation(f"{what}, of a {role.value}: {error}") from error


# --- segments -------------------------------------------------------------------------------


def _segments(was: Written) -> Iterator[tuple[str, Files, str, int]]:
    """Yield what is done, the files, and where the first byte is that is not good any more."""
    files, paths = was.original.files, was.original.segments
    for path in paths:
        name = path.rpartition("/")[2]
        yield f"{name} lost", changed(files, path, None), path, 0
        yield f"{name} emptied", changed(files, path, b""), path, 0
        yield f"{name} all zeros", changed(files, path, bytes(len(files[path]))), path, 0
        ends = [batch.span.stop for batch in was.original.batches if batch.path == path][:-1]
        for stop in ends[:: max(1, len(ends) // STALE)]:
            stale = changed(files, path, files[path][:stop])
            yield f"{name} as it was at {stop} bytes", stale, path, stop
    for one, other in permutations(paths, 2):
        name, content = one.rpartition("/")[2], files[other]
        yield f"{name} replaced by {other}", changed(files, one, content), one, 0
        if one < other:
            swapped = changed(changed(files, one, content), other, files[one])
            yield f"{one} and {other} swapped", swapped, one, 0


def _mend(role: Role, files: Files, path: str, offset: int) -> None:
    was = written(role, is_last=False)
    hit = was.original.batch_at(path, offset)
    disk = disk_with(files)
    log = opened(disk, role).log
    serve(log, was.original)
    found = log.damage[0] if log.damage else None
    if found is None or log.head != hit.before or log.cuts:
        raise Violation(f"R13: {log.damage} and {log.cuts}, and {log.head} is shown")
    if (found.before, found.segment, found.offset) != (hit.before, hit.segment, hit.span.start):
        raise Violation(f"R13: {found} was named, not {hit}")
    while log.damage:
        repair(log, good_log(is_last=False))
        serve(log, was.original)  # a sealed segment shows its rot when it is read
    expect_whole(disk, log, was.original)


# --- beside the segments --------------------------------------------------------------------


def _node_json(was: Written) -> Iterator[tuple[str, tuple[str, bytes | None]]]:
    right = was.original.files[NODE_JSON]
    for offset in range(len(right)):
        for bit in range(8):
            rotten = bytearray(right)
            rotten[offset] ^= 1 << bit
            yield f"with bit {bit} of byte {offset} flipped", (NODE_JSON, bytes(rotten))
        yield f"cut off at {offset}", (NODE_JSON, right[:offset])
    yield "lost", (NODE_JSON, None)


def _is_refused(role: Role, files: Files) -> None:
    """A node whose epoch or name may be another one must not start, and says why."""
    disk = disk_with(files)
    try:
        opened(disk, role)
    except StorageError as error:
        if "node.json" not in str(error):
            raise Violation(f"it is not named: {error}") from error
        return
    raise Violation("R8: the node starts, and does not know what it promised")


def _marks(was: Written, chunk: int, random: Random) -> Iterator[tuple[str, Files]]:
    right = was.original.files[MARKS]
    assert len(right) == MARKS_BYTES
    for offset in range(chunk * PER_CASE, (chunk + 1) * PER_CASE):
        rotten = bytearray(right)
        rotten[offset] ^= 1 << random.randrange(8)
        yield f"byte {offset} of the marks", changed(was.original.files, MARKS, bytes(rotten))
    stop = chunk * PER_CASE
    yield f"marks cut off at {stop}", changed(was.original.files, MARKS, right[:stop])


def _beside(was: Written) -> Iterator[tuple[str, Files]]:
    """Yield files that say nothing of the log, spoiled or strange."""
    files = was.original.files
    yield "marks lost", changed(files, MARKS, None)
    yield "lock lost", changed(files, LOCK, None)
    yield "lock full of junk", changed(files, LOCK, b"\xff" * 100)
    for name in ("00000000000000000001-from-byte-0-damaged-1.ndjson", "junk"):
        yield f"quarantine/{name}", changed(files, f"{QUARANTINE}/{name}", b"\0junk\n")
    last = was.last.rpartition("/")[2]
    for name in (f"{last}.repair", f"{last}~", "0.ndjson", "junk", f"{0:020d}.ndjson"):
        yield f"segments/{name}", changed(files, f"{SEGMENTS}/{name}", files[was.last][:999])
    for name in ("marks.new", "node.json.new"):
        yield name, changed(files, f"{DIRECTORY}/{name}", b"half of it")


def _costs_nothing(role: Role, files: Files) -> None:
    """The log is there to its end, nothing is cut, and the node goes on, again and again."""
    was = written(role, is_last=True)
    disk: SimFilesystem = disk_with(files)
    for _ in range(2):
        log = opened(disk, role).log
        if log.cuts or log.damage or log.head != was.original.head:
            raise Violation(f"P2: {log.cuts} was cut, {log.damage}, {log.head} is the head")
        serve(log, was.original)
        log.close()
        disk.end_process()


HARNESSES = (
    Harness(
        name="rot-files",
        row=6,
        promise="whole files lost, emptied, swapped or stale are mended",
        how="segments lost, emptied, zeroed, swapped, replaced, stale; each bit of node.json, each "
        "byte of the marks; lock, quarantine and strange names, on a master and a secondary",
        unit="cases",
        cases=len(PARTS) * len(ROLES),
        run=spoil_files,
        sample=(4,),
        is_parallel=True,
        starts_processes=False,
    ),
)
