"""One receiver in the middle of a segment, and the batch that should reach it next.

PURE. What tests of single checks change, one thing at a time; every hash is right.
"""

from __future__ import annotations

import pytest

from replog.core.entry import EntryId, Epoch, Head, LogId
from replog.storage.batch import BadBatch, Run, verify_run
from tests.support import format1
from tests.support.format1 import NOON

LOG = LogId("log-1")
AFTER = Head(Epoch(5), EntryId(9), b"\x11" * 32)

# What makes the exact path of the checks look at a trailer that the quick one leaves alone.
PATHS = pytest.mark.parametrize("unknown", ["", ',"x":1'], ids=["plain", "unusual"])


def verify(payload: bytes, *, strict: bool = False, starts_segment: bool | None = False) -> Run:
    """As what follows on `AFTER` in the middle of a segment, on the same day."""
    return verify_run(
        payload,
        after=AFTER,
        log_id=LOG,
        last_time=NOON.encode(),
        strict=strict,
        starts_segment=starts_segment,
    )


def batch(
    lines: bytes | None = None,
    *,
    first: int | str = 10,
    last: int | str = 11,
    epoch: int | str = 5,
    commit: int | str = 9,
    time: str = NOON,
    rest: str = "",
) -> bytes:
    """A batch of the entries 10 and 11 that follows on `AFTER`, but for what is said."""
    made = format1.batch(
        format1.entries(10, "a", "b") if lines is None else lines,
        first=first,
        last=last,
        prev=AFTER.hash,
        epoch=epoch,
        commit=commit,
        time=time,
        rest=rest,
    )
    return made.payload


def refused(payload: bytes, reason: str, *, strict: bool = False) -> None:
    with pytest.raises(BadBatch, match=reason) as caught:
        verify(payload, strict=strict)
    assert caught.value.offset == 0


def opening(header: bytes, *, after: Head = AFTER, unknown: str = "") -> bytes:
    first = after.last_id + 1
    lines = header + format1.entries(first, "a")
    epoch = after.epoch or 1
    made = format1.batch(lines, first=first, last=first, epoch=epoch, prev=after.hash, rest=unknown)
    return made.payload
