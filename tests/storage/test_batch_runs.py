"""Whatever is made comes back, and nothing that was changed by a bit or cut is taken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId
from replog.core.errors import FormatError
from replog.storage.batch import (
    BATCH_BYTES_MAX,
    BadBatch,
    LimitError,
    Run,
    Scan,
    batch_bytes_bound,
    encode_batch,
    encode_message,
    entry_line,
    entry_lines,
    format_time,
    header_line,
    looks_complete,
    parse_time,
    scan_run,
    spans,
    verify_run,
)
from tests.support import format1

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
    assert entry_lines(payload) == b"".join(entries)


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


# --- does the rest look complete? (Opening rule 1) ----------------------------------------


@given(appends=APPENDS, data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_torn_batch_never_looks_complete_and_a_whole_one_always_does(
    appends: list[Append], data: st.DataObject
) -> None:
    payload, _ = make(appends)
    batches = verify(payload).batches
    last = batches[-1]
    size = data.draw(st.integers(last.start, last.stop - 1))
    assert not looks_complete(payload[:size], last.start)
    for span in batches:
        assert looks_complete(payload, span.start)


DIGITS = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (f'"hash":"{DIGITS}"}}}}\n', True),
        (f'"hasi":"{DIGITS}"}}}}\n', True),  # rotten elsewhere: it may have been told to somebody
        (f'{DIGITS}"}}}}\n', True),
        (f'x\n\0\0{DIGITS}"}}}}\n\0\0', True),
        (f'"hash":"{DIGITS}"}}}}', False),  # without its end it is torn
        (f'"hash":"{DIGITS[1:]}"}}}}\n', False),
        (f'"hash":"{DIGITS.upper()}"}}}}\n', False),
        (f'"hash":"{DIGITS}"}}\n', False),
        (f'{{"segment":{{"first":1,"prev":"{DIGITS}"}}}}\n', False),  # a header ends alike
        (f'{{"segment":{{"prev":"{DIGITS}"}}}}\n"hash":"{DIGITS}"}}}}\n', True),
        (f'{{"id":1,"message":"\\"hash\\":\\"{DIGITS}\\"}}}}"}}\n', False),
        ('"}}\n', False),
        ("", False),
    ],
)
def test_a_line_ends_as_a_trailer_does_or_not(payload: str, expected: bool) -> None:
    assert looks_complete(payload.encode()) == expected
    assert looks_complete(b"good" + payload.encode(), 4) == expected


def test_digits_before_the_start_do_not_count() -> None:
    line = f'"hash":"{DIGITS}"}}}}\n'.encode()
    assert not looks_complete(line, 9)


def test_a_torn_first_batch_behind_a_whole_header_is_unfinished_and_incomplete() -> None:
    payload, _ = make(SMALL)
    header_size = payload.index(b"\n") + 1
    for size in (1, header_size - 1, header_size, header_size + 5):
        found = scan(payload[:size])
        assert found.bad is not None
        assert (found.bad.offset, found.bad.is_unfinished) == (0, True)
        assert not found.bad.looks_complete
        assert not found.run.starts_segment


def test_a_tail_longer_than_any_batch_is_not_unfinished() -> None:
    payload, _ = make(SMALL)
    found = scan(payload + bytes(BATCH_BYTES_MAX + 1))
    assert found.bad is not None
    assert found.bad.offset == len(payload)
    assert not found.bad.is_unfinished
    assert not found.bad.looks_complete


def test_a_format_error_comes_out_of_a_scan() -> None:
    payload, heads = make(SMALL)
    must = format1.batch(
        b"",
        first=heads[-1].last_id + 1,
        last=heads[-1].last_id,
        epoch=9,
        prev=heads[-1].hash,
        time="2027-01-01T00:00:00.000Z",
        rest=',"must":{"x":1}',
    )
    with pytest.raises(FormatError):
        scan(payload + must.payload)


# --- reading verified bytes ---------------------------------------------------------------


def test_spans_leave_out_an_unfinished_end_and_begin_where_asked() -> None:
    payload, _ = make(SMALL)
    batches = verify(payload).batches
    assert tuple(spans(payload[:-1])) == batches[:-1]
    assert tuple(spans(payload, batches[2].start)) == batches[2:]
    assert tuple(spans(b"")) == ()


def test_what_follows_on_a_batch_without_ids_is_not_taken_for_its_end() -> None:
    """The trailer of a batch without entries is its first line, also at byte 0."""
    after = Head(Epoch(1), EntryId(9), b"\x11" * 32)
    empty = encode_batch(
        after=after, messages=[], epoch=Epoch(2), committed_id=EntryId(9), time_ms=START_MS
    )
    one = encode_batch(
        after=empty.head,
        messages=[b'"a"'],
        epoch=Epoch(2),
        committed_id=EntryId(9),
        time_ms=START_MS,
    )
    payload = empty.payload + one.payload
    for size in range(len(payload)):
        found = scan_run(payload[:size], after=after, log_id=LOG, last_time=b"")
        whole = size >= len(empty.payload)
        assert found.run.head == (empty.head if whole else after)
        assert (found.bad is None) == (size in (0, len(empty.payload)))
        assert found.bad is None or found.bad.is_unfinished
        assert len(list(spans(payload[:size]))) == whole
    assert [span.head for span in spans(payload)] == [empty.head, one.head]


def test_spans_refuse_what_is_no_batch() -> None:
    with pytest.raises(BadBatch):
        list(spans(b'{"batch":{}}\n'))


def test_entry_lines_keep_messages_that_look_like_other_lines() -> None:
    texts = ('{"batch":{', '\n{"segment":{"x', '{"batch":{"first":1}}\n')
    payload, _ = make([Append(texts), Append(("z",))])
    expected = [
        entry_line(EntryId(number), encode_message(text))
        for number, text in enumerate([*texts, "z"], 1)
    ]
    assert entry_lines(payload) == b"".join(expected)
    assert entry_lines(b"") == b""


# --- making -------------------------------------------------------------------------------


def test_a_batch_over_the_limit_is_refused_before_it_is_stored() -> None:
    half = b'"%b"' % (b"a" * (BATCH_BYTES_MAX // 2))
    with pytest.raises(LimitError, match="append fewer"):
        encode_batch(
            after=GENESIS, messages=[half, half], epoch=Epoch(1), committed_id=EntryId(0), time_ms=0
        )


@pytest.mark.parametrize(
    ("key", "fits"), [("k" * 255, True), ("k" * 256, False), ("é" * 128, False)]
)
def test_a_key_over_the_limit_is_refused_before_it_is_stored(key: str, fits: bool) -> None:
    def encode() -> bytes:
        return encode_batch(
            after=GENESIS,
            messages=[b'"a"'],
            epoch=Epoch(1),
            committed_id=EntryId(0),
            time_ms=0,
            keys={EntryId(1): key},
            header=header_line(LOG, EntryId(1), GENESIS.hash),
        ).payload

    if fits:
        assert verify(encode()).batches[0].keys == {1: key}
    else:
        with pytest.raises(LimitError, match="255 is the most"):
            encode()


def test_the_bound_is_never_below_what_a_batch_has() -> None:
    after = Head(Epoch(2**53 - 2), EntryId(2**53 - 4), b"\xff" * 32)
    messages = [b'""', b'"abc"', b'"\\u0000"']
    encoded = encode_batch(
        after=after,
        messages=messages,
        epoch=Epoch(2**53 - 1),
        committed_id=after.last_id,
        time_ms=START_MS,
        seal=True,
        header=header_line(LogId("x" * 64), EntryId(after.last_id + 1), after.hash),
    )
    bound = batch_bytes_bound(sum(map(len, messages)), len(messages))
    assert len(encoded.payload) <= bound <= len(encoded.payload) + 700


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, b"1970-01-01T00:00:00.000Z"),
        (START_MS + 7, b"2026-11-22T12:00:00.007Z"),
        (253_402_300_799_999, b"9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_written_and_read(time_ms: int, text: bytes) -> None:
    assert format_time(time_ms) == text
    assert parse_time(text) == time_ms


@given(st.integers(0, 253_402_300_799_999), st.integers(0, 253_402_300_799_999))
@settings(deadline=None)
def test_times_sort_as_bytes_as_they_do_as_numbers(one: int, other: int) -> None:
    assert parse_time(format_time(one)) == one
    assert (format_time(one) < format_time(other)) == (one < other)


@pytest.mark.parametrize("text", [b"", b"2026-11-22", b"2026-11-31T12:00:00.000Z"])
def test_a_time_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"day|form"):
        parse_time(text)
