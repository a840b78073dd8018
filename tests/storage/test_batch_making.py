"""Making a batch keeps the limits of the format, and times have one form."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replog.core.entry import GENESIS, EntryId, Epoch
from replog.storage.batch import (
    BATCH_BYTES_MAX,
    LimitError,
    encode_batch,
    format_time,
    header_line,
    parse_time,
)
from tests.support.small_log import LOG, START_MS, verify

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
