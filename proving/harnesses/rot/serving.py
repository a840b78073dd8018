"""Reads a log in every way in which bytes leave a node, and compares them with what was written.

DISK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proving.harness import Violation
from replog.core.entry import GENESIS, EntryId, Head
from replog.core.errors import DamagedLogError
from replog.core.messages import Damage
from replog.storage.log import Log
from replog.storage.span import BadBatch
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import Original, files_of

_WINDOW_BYTES: Final = 16 * 1024


def serve(log: Log, original: Original) -> None:
    """Read all that the log shows, as entries, as batches and as pages, until nothing is new.

    Raises:
        Violation: a byte came that was not written, or an entry below the head did not come.
    """
    while True:
        head = log.head
        try:
            _entries(log, original, head)
            _batches(log, original, head)
        except DamagedLogError as error:
            if not log.damage or log.head.position >= head.position:
                raise Violation(
                    f"P5: a read broke off ({error}), and no damage is known"
                ) from error
            continue
        _page(log, original, head)
        if log.head == head:
            return


def _entries(log: Log, original: Original, head: Head) -> None:
    right, at = original.lines(head.last_id), 0
    reader = log.reader(EntryId(1), head.last_id)
    try:
        while (chunk := reader.next_chunk()) is not None:
            if right[at : at + len(chunk)] != chunk:
                raise Violation(f"P3: wrong bytes were served to a reader, from {at} on")
            at += len(chunk)
    finally:
        reader.close()
    if at != len(right):
        raise Violation(f"P5: a read of entries 1 to {head.last_id} ended early, after {at} bytes")


def _batches(log: Log, original: Original, head: Head) -> None:
    """Read as a link does."""
    right, at, after = original.payload(GENESIS, head.last_id), 0, GENESIS
    while after != head:
        found = log.read_batches(after, through=head.last_id, size_max=_WINDOW_BYTES)
        if found is None:
            raise Violation(f"P9: nothing follows on {after}, below the head {head}")
        after, payload = found
        if right[at : at + len(payload)] != payload or after not in original.heads:
            raise Violation(f"P7: wrong bytes would have gone to another node, behind {after}")
        at += len(payload)


def _page(log: Log, original: Original, head: Head) -> None:
    """Read the last entry as a small read does, once what it reads is verified."""
    if not head.last_id:
        return
    page = log.reader(head.last_id, head.last_id).page_at_hand()
    if page is not None and (
        page.lines != original.lines(head.last_id).splitlines(keepends=True)[-1]
        or page.hash != head.hash
    ):
        raise Violation(f"P3: a wrong page was served at {head}")


def expect_damage(
    log: Log, *, before: Head, segment: str, offset: int, last: EntryId | None
) -> Damage:
    """Return the first damage of a log, which must be just this one, and hide what follows."""
    found = log.damage[0] if log.damage else None
    if found is None:
        raise Violation(f"R13: the rot behind {before} was not found; the log ends at {log.head}")
    named = (found.before, found.segment, found.offset, found.last_id)
    if named != (before, segment, offset, last) or len(log.damage) != 1:
        raise Violation(
            f"R13: {log.damage} was named, not id {before.last_id + 1} to {last} at byte "
            f"{offset} of {segment}"
        )
    if log.head != before or log.durable != before or log.cuts:
        raise Violation(f"R13: {log.head} is shown, or {log.cuts} was cut, before {before}")
    return found


def repair(log: Log, source: Log) -> int:
    """Repair all damage from what the log of another node gives; return how many ranges."""
    ranges = 0
    while log.damage:
        damage, after, payload = log.damage[0], log.damage[0].before, b""
        wanted = damage.last_id or max(damage.claimed_id, damage.first_id)
        while after.last_id < wanted:
            found = source.read_batches(after, through=wanted, size_max=_WINDOW_BYTES)
            if found is None:
                raise Violation(f"R13: {damage} claims entries that no node ever had")
            after, more = found
            payload += more
        try:
            log.repair(damage, payload)
        except BadBatch as error:
            raise Violation(f"R13: good bytes do not close the chain: {error}") from error
        ranges += 1
    return ranges


def expect_whole(disk: SimFilesystem, log: Log, original: Original) -> None:
    """See that the segment files are what was written, byte for byte."""
    right: Mapping[str, bytes] = {path: original.files[path] for path in original.segments}
    if files_of(disk) != right:
        raise Violation("R13: the files are not those that were written, once repaired")
    if (log.head, log.durable, log.damage) != (original.head, original.head, ()):
        raise Violation(f"R13: {log.head} and {log.damage} are left, once repaired")
