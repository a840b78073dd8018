"""What a walk says about the place where it stops, and what reads bytes without checks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replog.core.entry import EntryId, Epoch, Head
from replog.core.errors import FormatError
from replog.storage.batch import (
    BATCH_BYTES_MAX,
    BadBatch,
    encode_batch,
    encode_message,
    entry_line,
    scan_run,
    spans,
)
from replog.storage.pages import without_trailers
from replog.storage.span import looks_complete
from tests.support import format1
from tests.support.small_log import APPENDS, LOG, SMALL, START_MS, Append, make, scan, verify

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


def test_messages_that_look_like_other_lines_stay_among_the_entries() -> None:
    texts = ('{"batch":{', '\n{"segment":{"x', '{"batch":{"first":1}}\n')
    payload, _ = make([Append(texts), Append(("z",))])
    expected = [
        entry_line(EntryId(number), encode_message(text))
        for number, text in enumerate([*texts, "z"], 1)
    ]
    assert without_trailers(payload[payload.index(b"\n") + 1 :]) == b"".join(expected)
    assert without_trailers(b"") == b""
