"""Small logs of one segment, as the product makes them, and any such log for Hypothesis.

PURE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import strategies as st

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId
from replog.storage.batch import (
    Run,
    Scan,
    encode_batch,
    encode_message,
    format_time,
    header_line,
    scan_run,
    verify_run,
)

LOG = LogId("log-1")
START_MS = 1_795_348_800_000  # 2026-11-22T12:00:00.000Z


@dataclass(frozen=True)
class Append:
    """One batch to make; `opens_epoch` raises the epoch, `later_ms` moves the time on."""

    texts: tuple[str, ...]
    opens_epoch: bool = False
    later_ms: int = 1
    keys: Mapping[int, str] | None = None  # by place in the batch, from 0


def make(appends: list[Append], *, seal: bool = False) -> tuple[bytes, list[Head]]:
    """One segment from genesis on: its bytes, and the head before and after each batch."""
    heads, payload, time_ms = [GENESIS], b"", START_MS
    epoch = Epoch(1)
    for number, append in enumerate(appends):
        after = heads[-1]
        epoch = Epoch(epoch + append.opens_epoch)
        time_ms += append.later_ms
        keys = {EntryId(after.last_id + 1 + n): key for n, key in (append.keys or {}).items()}
        encoded = encode_batch(
            after=after,
            messages=[encode_message(text) for text in append.texts],
            epoch=epoch,
            committed_id=after.last_id,
            time_ms=time_ms,
            keys=keys,
            seal=seal and number == len(appends) - 1,
            header=header_line(LOG, EntryId(1), GENESIS.hash) if number == 0 else b"",
        )
        assert encoded.time == format_time(time_ms)
        payload += encoded.payload
        heads.append(encoded.head)
    return payload, heads


def verify(payload: bytes) -> Run:
    return verify_run(payload, after=GENESIS, log_id=LOG, last_time=b"", strict=True)


def scan(payload: bytes) -> Scan:
    return scan_run(payload, after=GENESIS, log_id=LOG, last_time=b"")


SMALL = [
    Append(("first", "")),
    Append(("\x00\u2028😀",)),  # the quick path
    Append(("x",), keys={0: "order-77"}),
    Append((), opens_epoch=True),
    Append(("last",), later_ms=86_400_000),
]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
APPENDS = st.lists(
    st.builds(
        Append,
        texts=st.lists(TEXTS, min_size=1, max_size=5).map(tuple),
        opens_epoch=st.booleans(),
        later_ms=st.integers(0, 200_000_000),
        keys=st.none() | st.fixed_dictionaries({0: TEXTS}),
    )
    | st.builds(Append, texts=st.just(()), opens_epoch=st.just(True)),
    min_size=1,
    max_size=8,
)
