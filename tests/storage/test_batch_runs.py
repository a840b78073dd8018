"""Whatever is made comes back, and nothing that was changed by a bit or cut is taken."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replog.core.entry import EntryId
from replog.storage.batch import (
    BadBatch,
    encode_message,
    entry_line,
    spans,
    verify_run,
)
from replog.storage.pages import without_trailers
from tests.support import format1
from tests.support.small_log import APPENDS, LOG, SMALL, Append, make, scan, verify

# --- round trips --------------------------------------------------------------------------


@given(appends=APPENDS, seal=st.booleans())
@settings(deadline=None)
def test_any_batches_come_back(appends: list[Append], seal: bool) -> None:
    seal = seal and bool(appends[-1].texts)
    payload, heads = make(appends, seal=seal)
    run = verify(payload)
    assert [span.head for span in run.batches] == heads[1:]
    assert run.head == heads[-1]
    assert run.stop == len(payload)
    assert run.seals == seal
    assert [span.prev for span in run.batches] == [head.hash for head in heads[:-1]]
    assert [span.start for span in run.batches[1:]] == [span.stop for span in run.batches[:-1]]
    entries = [line for span in run.batches for line in _lines(payload, span.entries_start)]
    texts = [text for append in appends for text in append.texts]
    assert entries == [
        entry_line(EntryId(number), encode_message(text)) for number, text in enumerate(texts, 1)
    ]
    assert [json.loads(entry)["message"] for entry in entries] == texts
    for append, span in zip(appends, run.batches, strict=True):
        keys = {span.first_id + n: key for n, key in (append.keys or {}).items()}
        assert dict(span.keys) == keys
    assert tuple(spans(payload)) == run.batches
    assert without_trailers(payload[run.batches[0].entries_start :]) == b"".join(entries)


def _lines(payload: bytes, start: int) -> list[bytes]:
    lines: list[bytes] = []
    while payload.startswith(b'{"id":', start):
        end = payload.index(b"\n", start) + 1
        lines.append(payload[start:end])
        start = end
    return lines


@given(appends=APPENDS, split=st.integers(0, 8))
@settings(deadline=None)
def test_a_run_can_be_verified_in_two_parts(appends: list[Append], split: int) -> None:
    payload, heads = make(appends)
    split = min(split, len(appends) - 1)
    at = verify(payload).batches[split].stop
    first = verify(payload[:at])
    assert first.head == heads[split + 1]
    if at < len(payload):
        second = verify_run(
            payload[at:],
            after=first.head,
            log_id=LOG,
            last_time=first.last_time,
            starts_segment=False,
        )
        assert second.head == heads[-1]


def test_the_independent_maker_makes_the_same_bytes() -> None:
    payload, _ = make(SMALL)
    lines = format1.header() + format1.entries(1, "first", "")
    one = format1.batch(lines, first=1, last=2, prev=bytes(32), time="2026-11-22T12:00:00.001Z")
    two = format1.batch(
        format1.entries(3, "\\u0000\u2028😀"),
        first=3,
        last=3,
        commit=2,
        prev=one.hash,
        time="2026-11-22T12:00:00.002Z",
    )
    three = format1.batch(
        format1.entries(4, "x"),
        first=4,
        last=4,
        commit=3,
        prev=two.hash,
        time="2026-11-22T12:00:00.003Z",
        rest=',"keys":{"4":"order-77"}',
    )
    assert payload.startswith(one.payload + two.payload + three.payload)


# --- nothing that was changed is taken ----------------------------------------------------


@pytest.mark.slow
def test_no_flipped_bit_is_taken_and_the_batch_that_it_hit_is_named() -> None:
    payload, _ = make(SMALL, seal=True)
    batches = verify(payload).batches
    for offset in range(len(payload)):
        hit = next(span for span in batches if span.start <= offset < span.stop)
        good = batches[: batches.index(hit)]
        for bit in range(8):
            rotten = bytearray(payload)
            rotten[offset] ^= 1 << bit
            found = scan(bytes(rotten))
            assert found.bad is not None, (offset, bit)
            assert found.bad.offset == hit.start, (offset, bit)
            assert found.run.batches == good, (offset, bit)
            with pytest.raises(BadBatch):
                verify(bytes(rotten))


def test_no_byte_put_in_or_left_out_is_taken() -> None:
    payload, _ = make(SMALL, seal=True)
    for offset in range(len(payload) + 1):
        for byte in (b"0", b" ", b"\n", b'"', b"}"):
            assert scan(payload[:offset] + byte + payload[offset:]).bad is not None, offset
        if offset < len(payload):
            assert scan(payload[:offset] + payload[offset + 1 :]).bad is not None, offset


def test_what_is_cut_at_any_byte_is_taken_up_to_the_last_whole_batch() -> None:
    payload, heads = make(SMALL, seal=True)
    batches = verify(payload).batches
    for size in range(len(payload)):
        whole = [span for span in batches if span.stop <= size]
        found = scan(payload[:size])
        assert found.run.batches == tuple(whole)
        assert found.run.head == heads[len(whole)]
        start = whole[-1].stop if whole else 0
        assert (found.bad is None) == (size == start)
        if found.bad is not None:
            assert found.bad.offset == found.run.stop == start
            assert found.bad.is_unfinished
            assert not found.bad.looks_complete
            with pytest.raises(BadBatch):
                verify(payload[:size])


@pytest.mark.parametrize("dropped", range(len(SMALL)))
def test_a_hole_is_not_taken_and_what_follows_it_is_seen(dropped: int) -> None:
    payload, _ = make([*SMALL, Append(("end",))])
    span = verify(payload).batches[dropped]
    found = scan(payload[: span.start] + payload[span.stop :])
    assert found.bad is not None
    assert found.bad.offset == span.start
    assert found.bad.looks_complete
    assert not found.bad.is_unfinished


def test_batches_of_another_log_with_the_same_ids_are_not_taken() -> None:
    payload, _ = make(SMALL)
    other, _ = make([Append(("First", "")), *SMALL[1:]])
    at = verify(payload).batches[0].stop
    assert verify(other).batches[0].stop == at
    found = scan(payload[:at] + other[at:])
    assert found.bad is not None
    assert found.bad.offset == at
