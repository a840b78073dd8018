"""Row 6: one bit turned over in each byte of a segment, and a segment cut off at each byte.

DISK. The storage of one node, opened and read as a node does it, and repaired from another's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

from proving.harness import Counts, Harness, Violation
from proving.harnesses.rot.serving import expect_damage, expect_whole, repair, serve
from proving.harnesses.rot.written import SEGMENT_BYTES, Written, opened, written
from replog.core.entry import EntryId, Head
from replog.node.views import Role
from replog.storage.log import Log
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import QUARANTINE, Placed, changed, disk_with, files_of, stream

PER_CASE: Final = 64
CASES_EACH: Final = SEGMENT_BYTES // PER_CASE
OPENED_AGAIN_EVERY: Final = 16


@dataclass(frozen=True, slots=True)
class Setting:
    """Whose segment is spoiled, and which one."""

    role: Role
    is_last: bool

    def __str__(self) -> str:
        return f"{'last' if self.is_last else 'sealed'} segment of a {self.role.value}"


SETTINGS: Final = tuple(Setting(role, is_last) for is_last in (False, True) for role in Role)


def setting_of(case: int) -> tuple[Setting, range]:
    """Return what a case is about, and the bytes of the segment that it spoils."""
    start = case % CASES_EACH * PER_CASE
    return SETTINGS[case // CASES_EACH], range(start, start + PER_CASE)


def flip_bits(case: int, directory: Path) -> Counts:
    """Turn one bit of each byte over, one at a time: named, not served, repaired."""
    del directory
    setting, offsets = setting_of(case)
    random = Random(f"flip {case}")
    counts: Counter[str] = Counter()
    for offset in offsets:
        bit = random.randrange(8)
        try:
            counts[_flip(setting, offset, bit)] += 1
        except AssertionError as error:
            raise Violation(f"bit {bit} of byte {offset}, {setting}: {error}") from error
    return counts


def _flip(setting: Setting, offset: int, bit: int) -> str:
    was = written(setting.role, is_last=setting.is_last)
    path = was.last if setting.is_last else was.middle
    rotten = bytearray(was.original.files[path])
    rotten[offset] ^= 1 << bit
    hit = was.original.batch_at(path, offset)
    disk = disk_with(changed(was.original.files, path, bytes(rotten)))
    log = opened(disk, setting.role).log
    serve(log, was.original)
    if _was_unproved(was, setting, hit.before):
        _expect_remainder(disk, log, hit, bytes(rotten))
        _catch_up(log, is_last=setting.is_last)
        what = "cut as a remainder and sent again"
    else:
        is_end = hit.span.head == was.original.head
        damage = expect_damage(
            log,
            before=hit.before,
            segment=hit.segment,
            offset=hit.span.start,
            last=None if is_end else hit.span.last_id,
        )
        if damage.claimed_id != (was.original.head.last_id if is_end else hit.span.last_id):
            raise Violation(f"R13: the damage is said to go to entry {damage.claimed_id}")
        repair(log, good_log(is_last=setting.is_last))
        what = "repaired"
        if bytes(rotten[hit.span.start : hit.span.stop]) not in _quarantined(disk):
            raise Violation("R14: the rotten batch is not in the quarantine")
    _expect_good_end(disk, log, was, again=offset % OPENED_AGAIN_EVERY == 0, role=setting.role)
    return what


def cut_off(case: int, directory: Path) -> Counts:
    """Cut the segment off at each byte, one at a time: named, not served, repaired."""
    del directory
    setting, stops = setting_of(case)
    counts: Counter[str] = Counter()
    for stop in stops:
        try:
            counts[_cut_off(setting, stop)] += 1
        except AssertionError as error:
            raise Violation(f"cut off at byte {stop}, {setting}: {error}") from error
    return counts


def _cut_off(setting: Setting, stop: int) -> str:
    was = written(setting.role, is_last=setting.is_last)
    path = was.last if setting.is_last else was.middle
    content = was.original.files[path][:stop]
    hit = was.original.batch_at(path, stop)
    disk = disk_with(changed(was.original.files, path, content))
    log = opened(disk, setting.role).log
    serve(log, was.original)
    if setting.is_last and _is_beyond(was, hit.before):
        # What a torn write leaves: nothing of it had ever counted, on a master neither.
        _expect_remainder(disk, log, hit, content)
        _catch_up(log, is_last=setting.is_last)
        what = "cut as torn and sent again"
    else:
        last = None if setting.is_last else _last_of(was, path)
        damage = expect_damage(
            log, before=hit.before, segment=hit.segment, offset=hit.span.start, last=last
        )
        if setting.is_last and damage.claimed_id != was.known:
            raise Violation(f"R13: the damage is said to go to entry {damage.claimed_id}")
        repair(log, good_log(is_last=setting.is_last))
        _catch_up(log, is_last=setting.is_last)
        what = "repaired"
    _expect_good_end(disk, log, was, again=stop % OPENED_AGAIN_EVERY == 0, role=setting.role)
    return what


def _was_unproved(was: Written, setting: Setting, before: Head) -> bool:
    """Say whether a secondary cuts what follows on `before`: it never told anybody of it.

    What looks complete may have been acknowledged by a master.
    """
    return setting.is_last and setting.role is Role.SECONDARY and _is_beyond(was, before)


def _is_beyond(was: Written, before: Head) -> bool:
    """Say whether all that is known to have been durable ends at `before` or below."""
    return before.last_id >= was.known and before.position >= was.mark.position


def _last_of(was: Written, path: str) -> EntryId:
    return max(batch.span.last_id for batch in was.original.batches if batch.path == path)


def _expect_remainder(disk: SimFilesystem, log: Log, hit: Placed, content: bytes) -> None:
    if log.damage or log.head != hit.before:
        raise Violation(f"rule 1: {log.damage}, and the log ends at {log.head}, not {hit.before}")
    rest = content[hit.span.start :]
    if _quarantined(disk) != rest or [cut.head for cut in log.cuts] != ([log.head] if rest else []):
        raise Violation(f"R14: {log.cuts} was cut, not what stood behind {hit.before}")


def _quarantined(disk: SimFilesystem) -> bytes:
    return b"".join(files_of(disk, QUARANTINE).values())


@cache
def good_log(*, is_last: bool) -> Log:
    """Return the log of another node, which holds the same bytes."""
    was = written(Role.MASTER, is_last=is_last)
    return opened(disk_with(was.original.files), Role.MASTER).log


def _catch_up(log: Log, *, is_last: bool) -> None:
    """Take what is missing at the end, as a link brings it."""
    batches = stream(good_log(is_last=is_last), log.head)
    if batches:
        log.append_batches(batches)
        log.sync()


def _expect_good_end(
    disk: SimFilesystem, log: Log, was: Written, *, again: bool, role: Role
) -> None:
    expect_whole(disk, log, was.original)
    if not again:
        return
    serve(log, was.original)
    log.close()
    disk.end_process()
    log = opened(disk, role).log
    if log.cuts or log.notices:
        raise Violation(f"a start after the repair says {log.cuts}, {log.notices}")
    expect_whole(disk, log, was.original)
    serve(log, was.original)


_CASES: Final = len(SETTINGS) * CASES_EACH

HARNESSES = (
    Harness(
        name="rot-bits",
        row=6,
        promise="rot is found, not served, repaired",
        how="one bit turned over in each byte of a 64 KiB segment, sealed and last, on a master "
        "and a secondary",
        unit="flips",
        cases=_CASES,
        per_case=PER_CASE,
        run=flip_bits,
        sample=(3 * CASES_EACH - 1,),  # the end of a master's log: a torn tail looks like it
        is_parallel=True,
        starts_processes=False,
    ),
    Harness(
        name="rot-truncations",
        row=6,
        promise="a lost end is found, and repaired",
        how="a 64 KiB segment cut off at each byte, with the same settings",
        unit="truncations",
        cases=_CASES,
        per_case=PER_CASE,
        run=cut_off,
        sample=(2 * CASES_EACH - 1,),
        is_parallel=True,
        starts_processes=False,
    ),
)
