"""Each check of a receiver refuses, alone, what only it can see: every hash here is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId
from replog.core.errors import FormatError
from replog.storage.batch import BATCH_BYTES_MAX, KEY_BYTES_MAX, BadBatch, Run, verify_run
from tests.support import format1
from tests.support.format1 import GENESIS_HASH, NOON, Made

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


@PATHS
def test_the_batch_that_should_follow_is_taken(unknown: str) -> None:
    run = verify(batch(rest=unknown), strict=True)
    assert run.head.position == replace(AFTER, last_id=EntryId(11)).position
    assert [span.committed_id for span in run.batches] == [9]
    assert run.last_time == NOON.encode()


# --- ids ----------------------------------------------------------------------------------

LINES: dict[str, bytes] = {
    "one is missing": format1.entries(10, "a"),
    "one is too many": format1.entries(10, "a", "b", "c"),
    "all are missing": b"",
    "one stands twice": format1.entries(10, "a") + format1.entries(10, "b"),
    "there is a gap": format1.entries(10, "a") + format1.entries(12, "b"),
    "they are swapped": format1.entries(11, "a") + format1.entries(10, "b"),
    "they begin later": format1.entries(11, "a", "b"),
    "they begin earlier": format1.entries(9, "a", "b"),
    "an id has a zero before it": b'{"id":010,"message":"a"}\n' + format1.entries(11, "b"),
    "an id has a sign": b'{"id":+10,"message":"a"}\n' + format1.entries(11, "b"),
    "an id is a fraction": b'{"id":10.0,"message":"a"}\n' + format1.entries(11, "b"),
    "an empty line stands between": b"\n".join(
        [format1.entries(10, "a"), format1.entries(11, "b")]
    ),
    "a line is no entry": b"10 a\n" + format1.entries(11, "b"),
    "an entry begins late in its line": b" " + format1.entries(10, "a", "b"),
    "an entry has a space inside": b'{"id": 10,"message":"a"}\n' + format1.entries(11, "b"),
    "a line has no end of its own": format1.entries(10, "a")[:-1] + format1.entries(11, "b"),
    "a line ends in CR LF": b'{"id":10,"message":"a"}\r\n' + format1.entries(11, "b"),
    "a message is no string": b'{"id":10,"message":1}\n' + format1.entries(11, "b"),
    "a member follows": b'{"id":10,"message":"a","x":1}\n' + format1.entries(11, "b"),
}


@PATHS
@pytest.mark.parametrize("name", LINES)
def test_entry_lines_are_all_there_dense_and_nothing_else(name: str, unknown: str) -> None:
    refused(batch(LINES[name], rest=unknown), "its (lines|ids) are not")


SINGLE: dict[str, bytes] = {
    "another id": format1.entries(11, "a"),
    "two entries": format1.entries(10, "a", "b"),
    "no entry": b"",
    "a line before it": b"x\n" + format1.entries(10, "a"),
    "a line after it": format1.entries(10, "a") + b"x\n",
    "a byte before it": b" " + format1.entries(10, "a"),
    "a zero before the id": b'{"id":010,"message":"a"}\n',
    "a message of half a quote": b'{"id":10,"message":"}\n',
}


@PATHS
@pytest.mark.parametrize("name", SINGLE)
def test_the_line_of_a_batch_of_one_entry_is_checked_too(name: str, unknown: str) -> None:
    refused(batch(SINGLE[name], last=10, rest=unknown), "its (lines|ids) are not")


@PATHS
@pytest.mark.parametrize(
    ("first", "last", "lines"),
    [
        (11, 12, format1.entries(11, "a", "b")),  # a gap
        (9, 10, format1.entries(9, "a", "b")),  # 9 is held already
        (11, 11, format1.entries(11, "a")),
        (9, 9, format1.entries(9, "a")),
        (1, 2, format1.entries(1, "a", "b")),
        (11, 12, format1.entries(10, "a", "b")),
    ],
)
def test_first_is_the_id_after_the_last_one(
    first: int, last: int, lines: bytes, unknown: str
) -> None:
    refused(batch(lines, first=first, last=last, commit=0, rest=unknown), "its first id is")


@PATHS
@pytest.mark.parametrize("last", [9, 8, 0])
def test_a_last_id_below_the_first_is_refused(last: int, unknown: str) -> None:
    refused(batch(last=last, rest=unknown), "it covers no id")


@PATHS
@pytest.mark.parametrize("last", [10, 12, 2**53 - 1])
def test_last_is_what_the_lines_end_with(last: int, unknown: str) -> None:
    refused(batch(last=last, rest=unknown), "its lines are not")


@pytest.mark.parametrize("number", ["010", "+10", "10.0", "1e1", '"10"', "-1", "", "0" * 5000])
@pytest.mark.parametrize("member", ["first", "last", "epoch", "commit"])
def test_numbers_have_one_form(member: str, number: str) -> None:
    payload = batch(**{member: number})  # type: ignore[arg-type]
    refused(payload, "the trailer has not the form")


@PATHS
def test_numbers_that_not_every_reader_reads_exactly_are_refused(unknown: str) -> None:
    refused(batch(epoch=2**53, rest=unknown), "a number is above")
    after = replace(AFTER, last_id=EntryId(2**53 - 1))
    made = format1.batch(
        format1.entries(2**53, "a"), first=2**53, last=2**53, epoch=5, prev=AFTER.hash, rest=unknown
    )
    with pytest.raises(BadBatch, match="a number is above"):
        verify_run(made.payload, after=after, log_id=LOG, last_time=NOON.encode())


# --- epoch, commit, time ------------------------------------------------------------------


@PATHS
@pytest.mark.parametrize("epoch", [4, 1, 0])
def test_an_epoch_below_the_one_before_is_refused(epoch: int, unknown: str) -> None:
    refused(batch(epoch=epoch, rest=unknown), "its epoch")


@PATHS
@pytest.mark.parametrize("epoch", [5, 6, 2**53 - 1])
def test_an_epoch_from_the_one_before_on_is_taken(epoch: int, unknown: str) -> None:
    assert verify(batch(epoch=epoch, rest=unknown)).head.epoch == epoch


@PATHS
@pytest.mark.parametrize("commit", [10, 11, 12])
def test_a_batch_cannot_know_that_it_is_committed(commit: int, unknown: str) -> None:
    refused(batch(commit=commit, rest=unknown), "committed before it is made")


@PATHS
@pytest.mark.parametrize("time", ["2026-11-22T11:59:59.999Z", "2026-11-21T23:00:00.000Z"])
def test_a_time_before_the_one_before_is_refused(time: str, unknown: str) -> None:
    refused(batch(time=time, rest=unknown), "its time is before")


@PATHS
@pytest.mark.parametrize("time", [NOON, "2026-11-22T12:00:00.001Z", "2028-02-29T00:00:00.000Z"])
def test_a_time_from_the_one_before_on_is_taken(time: str, unknown: str) -> None:
    assert verify(batch(time=time, rest=unknown)).last_time == time.encode()


@PATHS
@pytest.mark.parametrize(
    "time",
    [
        "2026-11-22T12:00:00.000z",
        "2026-11-22t12:00:00.000Z",
        "2026-11-22T24:00:00.000Z",
        "2026-11-22T12:60:00.000Z",
        "2026-11-22T12:00:60.000Z",
        "2026-11-22T12:00:00,000Z",
        "2026-11-22T12:00:00.00aZ",
        "2026-11-22 12:00:00.000Z",
        "2026-11-31T12:00:00.000Z",
        "2027-02-29T12:00:00.000Z",
        "2026-13-01T12:00:00.000Z",
        "2026-12-00T12:00:00.000Z",
        "2026-11-22T12:00:00.000+",
        "20261-1-22T12:00:00.000Z",
        "2026-11-22T12:00:00Z",
        "2026-11-22T12:00:00.0000Z",
        "2026-11-22T12:00:00.000+00:00",
        "",
    ],
)
def test_a_time_has_one_form_and_exists(time: str, unknown: str) -> None:
    refused(batch(time=time, rest=unknown), "its time|the trailer has not the form")


# --- hash and prev ------------------------------------------------------------------------


@PATHS
def test_prev_is_the_hash_before(unknown: str) -> None:
    made = format1.batch(
        format1.entries(10, "a"),
        first=10,
        last=10,
        epoch=5,
        prev=AFTER.hash,
        said_prev=b"\x12" * 32,
        rest=unknown,
    )
    refused(made.payload, r"\(prev\)")


@PATHS
def test_the_hash_covers_the_hash_before(unknown: str) -> None:
    made = format1.batch(
        format1.entries(10, "a"),
        first=10,
        last=10,
        epoch=5,
        prev=b"\x12" * 32,
        said_prev=AFTER.hash,
        rest=unknown,
    )
    refused(made.payload, "its bytes do not give its hash")


@PATHS
@pytest.mark.parametrize("size", [1, 10_000])
def test_hash_is_the_hash_of_the_bytes(unknown: str, size: int) -> None:
    lines = format1.entries(10, "a" * size)
    right = format1.batch(lines, first=10, last=10, epoch=5, prev=AFTER.hash, rest=unknown)
    verify(right.payload)
    for said in (b"\x12" * 32, bytes([right.hash[0] ^ 1]) + right.hash[1:]):
        made = format1.batch(
            lines, first=10, last=10, epoch=5, prev=AFTER.hash, rest=unknown, said_hash=said
        )
        refused(made.payload, "its bytes do not give its hash")
    refused(right.payload.replace(b"aaa" if size > 1 else b"a", b"baa"[: size + 2], 1), "hash")


@pytest.mark.parametrize("unknown", ["", ',"x":1'])
def test_hash_digits_are_lower_case(unknown: str) -> None:
    payload = batch(rest=unknown)
    upper = payload[:-68] + payload[-68:-4].upper() + payload[-4:]
    assert upper != payload
    refused(upper, "hash|form")
    said = AFTER.hash.hex().encode()
    after = replace(AFTER, hash=b"\xaa" * 32)
    lines = format1.entries(10, "a")
    made = format1.batch(lines, first=10, last=10, epoch=5, prev=after.hash, rest=unknown)
    assert said not in made.payload
    with pytest.raises(BadBatch, match=r"prev|form"):
        verify_run(
            made.payload.replace(b"aa" * 32, b"AA" * 32),
            after=after,
            log_id=LOG,
            last_time=NOON.encode(),
        )


# --- the header line ----------------------------------------------------------------------


def opening(header: bytes, *, after: Head = AFTER, unknown: str = "") -> bytes:
    first = after.last_id + 1
    lines = header + format1.entries(first, "a")
    epoch = after.epoch or 1
    made: Made = format1.batch(
        lines, first=first, last=first, epoch=epoch, prev=after.hash, rest=unknown
    )
    return made.payload


def open_segment(header: bytes, **changes: bool | None) -> Run:
    return verify(opening(header), starts_segment=changes.get("starts_segment", True))


RIGHT = format1.header(first=10, prev=AFTER.hash)


def test_a_header_that_follows_is_taken() -> None:
    run = open_segment(RIGHT)
    assert run.starts_segment
    assert run.batches[0].start == 0
    assert run.batches[0].entries_start == len(RIGHT)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (format1.header(first=10, prev=AFTER.hash, log_id="log-2"), "belongs to the log log-2"),
        (format1.header(first=11, prev=AFTER.hash), "header line says first id 11"),
        (format1.header(first=9, prev=AFTER.hash), "header line says first id 9"),
        (format1.header(first=1, prev=AFTER.hash), "header line says first id 1"),
        (format1.header(first=10, prev=b"\x12" * 32), "header line does not follow"),
        (format1.header(first=10, prev=GENESIS_HASH), "header line does not follow"),
        (format1.header(first=10, prev=AFTER.hash, log_id=""), "header line has not the form"),
        (format1.header(first=10, prev=AFTER.hash, log_id='a\\"b'), "header line has not the"),
        (format1.header(first=10, prev=AFTER.hash, rest=',"first":10'), "twice"),
        (format1.header(first=10, prev=AFTER.hash, rest=',"must":1'), "no object"),
        (RIGHT.replace(b'"segment":{', b'"segment":{ '), "header line has not the form"),
        (RIGHT[:-1] + b"\r\n", "header line has not the form"),
        (RIGHT + RIGHT, "its lines are not"),
    ],
)
def test_a_header_that_does_not_follow_is_refused(header: bytes, reason: str) -> None:
    with pytest.raises(BadBatch, match=reason) as caught:
        open_segment(header)
    assert caught.value.offset == 0


def test_a_header_stands_only_where_a_segment_begins() -> None:
    with pytest.raises(BadBatch, match="in the middle of a segment"):
        open_segment(RIGHT, starts_segment=False)
    with pytest.raises(BadBatch, match="header line of the segment is missing"):
        open_segment(b"", starts_segment=True)
    assert open_segment(RIGHT, starts_segment=None).starts_segment
    assert not open_segment(b"", starts_segment=None).starts_segment
    second = format1.batch(
        format1.header(first=11, prev=b"\x01" * 32) + format1.entries(11, "a"),
        first=11,
        last=11,
        epoch=5,
        prev=verify(batch(format1.entries(10, "a"), last=10)).head.hash,
    )
    with pytest.raises(BadBatch, match="its lines are not") as caught:
        verify(batch(format1.entries(10, "a"), last=10) + second.payload)
    assert caught.value.offset == len(batch(format1.entries(10, "a"), last=10))


def test_a_log_begins_with_a_header() -> None:
    header = format1.header()
    for starts_segment in (True, None):
        run = verify_run(
            opening(header, after=GENESIS),
            after=GENESIS,
            log_id=LOG,
            last_time=b"",
            starts_segment=starts_segment,
        )
        assert run.head.last_id == 1
        with pytest.raises(BadBatch, match="header line of the segment is missing"):
            verify_run(
                opening(b"", after=GENESIS),
                after=GENESIS,
                log_id=LOG,
                last_time=b"",
                starts_segment=starts_segment,
            )


def test_where_no_log_is_expected_the_header_says_which_it_is() -> None:
    run = verify_run(opening(RIGHT), after=AFTER, log_id=None, last_time=NOON.encode())
    assert run.log_id == LOG


# --- seals, empty batches, an empty run ---------------------------------------------------


@PATHS
def test_nothing_follows_on_a_seal_in_one_run(unknown: str) -> None:
    sealing = batch(rest=f'{unknown},"seal":true')
    run = verify(sealing)
    assert run.seals
    assert run.batches[-1].seal
    after = format1.batch(format1.entries(12, "c"), first=12, last=12, epoch=5, prev=run.head.hash)
    with pytest.raises(BadBatch, match="follow on the batch that seals") as caught:
        verify(sealing + after.payload)
    assert caught.value.offset == len(sealing)


@pytest.mark.parametrize("seal", ["false", "1", '"true"', "null", "[]"])
def test_a_seal_is_true_or_absent(seal: str) -> None:
    refused(batch(rest=f',"seal":{seal}'), '"seal" is not true')


@PATHS
def test_the_first_batch_of_an_epoch_may_cover_no_id(unknown: str) -> None:
    run = verify(batch(b"", first=10, last=9, epoch=6, rest=unknown), strict=True)
    assert run.head.last_id == 9
    assert run.head.epoch == 6
    assert run.head.hash != AFTER.hash


@PATHS
def test_no_other_batch_covers_no_id(unknown: str) -> None:
    refused(batch(b"", first=10, last=9, epoch=5, rest=unknown), "it covers no id")
    refused(batch(b"", first=10, last=8, epoch=6, rest=unknown), "it covers no id")
    refused(batch(b"", last=9, epoch=6, rest=f'{unknown},"seal":true'), "it covers no id")
    refused(batch(format1.entries(10, "a"), last=9, epoch=6, rest=unknown), "its lines are not")


def test_an_empty_payload_is_no_run() -> None:
    refused(b"", "there is none")


# --- what else a line may carry -----------------------------------------------------------


@pytest.mark.parametrize(
    "rest",
    [
        ',"x":1',
        ',"a":{"b":[1,2.5e3,null,true,"\\u00e9 é"]},"c":""',
        ',"keys":{"10":"order-77"}',
        ',"keys":{"10":"a","11":"b"},"must":{},"seal":true,"x":{"must":{"y":1}}',
        ',"keys":{"10":""}',
        ',"keys":{}',
        ',"keys":{"10":"\\u0061"}',
        ',"keys":{"10":"a"},"x":' + "9" * 5000,
        f',"keys":{{"10":"{"k" * KEY_BYTES_MAX}"}}',
    ],
)
def test_unknown_members_are_hashed_and_ignored(rest: str) -> None:
    run = verify(batch(rest=rest))
    assert run.head.last_id == 11
    other_bytes = f", {rest[1:]}"  # a space more says the same
    refused(batch(rest=rest).replace(rest.encode(), other_bytes.encode()), "hash")


def test_keys_come_out_by_id() -> None:
    run = verify(batch(rest=',"keys":{"10":"order-77","11":"é\\n"}'))
    assert run.batches[0].keys == {10: "order-77", 11: "é\n"}


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        (',"keys":[]', "no object"),
        (',"keys":{"9":"a"}', "no id of its batch"),
        (',"keys":{"12":"a"}', "no id of its batch"),
        (',"keys":{"010":"a"}', "no id of its batch"),
        (',"keys":{"x":"a"}', "no id of its batch"),
        (',"keys":{"":"a"}', "no id of its batch"),
        (',"keys":{"١٠":"a"}', "no id of its batch"),
        (',"keys":{"00000000000000010":"a"}', "no id of its batch"),
        (',"keys":{"10":1}', "no string"),
        (',"keys":{"10":"\\ud800"}', "lone surrogate"),
        (f',"keys":{{"10":"{"k" * 254}é"}}', "longer than 255 bytes"),
        (',"keys":{"10":"a","10":"b"}', "twice"),
        (',"keys":{"10":"a"},"keys":{"11":"a"}', "twice"),
        ('"x":1', "has not the form"),
        (',"x":1,"x":2', "twice"),
        (',"seal":true,"seal":true', "twice"),
        (',"epoch":9', "twice"),
        (',"hash":"00"', "twice"),
        (',"must":[]', "no object"),
        (',"x":NaN', "NaN"),
        (',"x":-Infinity', "no JSON"),
        (',"x":{}}', "no JSON"),
        (',"x"', "no JSON"),
        (",", "no member"),
        (", ", "no member"),
        (',,"x":1', "no JSON"),
        (',"x":"\t"', "no JSON"),
        (',"x":' + "[" * 100_000, "no JSON"),
    ],
)
def test_what_a_trailer_carries_is_json_of_the_right_shape(rest: str, reason: str) -> None:
    refused(batch(rest=rest), reason)


@pytest.mark.parametrize("rest", [',"must":{"compression":"zstd"}', ',"x":1,"must":{"a":null}'])
def test_an_unknown_must_stops_the_reader(rest: str) -> None:
    with pytest.raises(FormatError, match="use a newer version"):
        verify(batch(rest=rest))


@pytest.mark.parametrize(
    "header",
    [
        format1.header(first=10, prev=AFTER.hash, format=2),
        format1.header(first=10, prev=AFTER.hash, rest=',"must":{"cipher":1}'),
    ],
)
def test_another_format_of_a_segment_stops_the_reader(header: bytes) -> None:
    with pytest.raises(FormatError, match="use a newer version"):
        open_segment(header)


@pytest.mark.parametrize(
    ("what", "changed"),
    [(b'"format":1', b'"format":3'), (b'"log-1"', b'"log-2"'), (b'"x":1', b'"x":2')],
)
def test_a_rotten_line_is_bad_rather_than_of_another_format(what: bytes, changed: bytes) -> None:
    payload = opening(format1.header(first=10, prev=AFTER.hash, rest=',"x":1'))
    assert what in payload
    refused_opening = payload.replace(what, changed)
    with pytest.raises(BadBatch, match="its bytes do not give its hash"):
        verify(refused_opening, starts_segment=True)


def test_a_rotten_must_is_bad_rather_than_of_another_format() -> None:
    payload = batch(rest=',"must":{},"x":1')
    refused(payload.replace(b'"must":{}', b'"must":{"a":1}'), "its bytes do not give its hash")


# --- canonical JSON -----------------------------------------------------------------------

NOT_CANONICAL: dict[str, str] = {
    "an escaped slash": "\\/",
    "an escape that is not needed": "\\u00e9",
    "upper-case digits": "\\u001F",
    "a long escape of a newline": "\\u000a",
    "a long escape of a quote": "\\u0022",
    "an escaped surrogate": "\\ud800",
    "an escaped pair": "\\ud83d\\ude00",
    "a raw tab": "\t",
    "a raw NUL": "\x00",
    "a raw quote": 'a"b',
    "an escape without an end": "a\\",
    "an unknown escape": "\\x",
    "another member": 'a","x":"b',
}


@PATHS
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", NOT_CANONICAL)
def test_a_message_in_another_form_is_refused_where_asked(
    name: str, count: int, unknown: str
) -> None:
    lines = format1.entries(10, NOT_CANONICAL[name], "b")
    lines = lines if count == 2 else lines.splitlines(keepends=True)[0]
    payload = batch(lines, last=9 + count, rest=unknown)
    refused(payload, "its lines are not", strict=True)
    verify(payload)


@PATHS
@pytest.mark.parametrize(
    "wrong", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"]
)
def test_bytes_that_are_not_utf8_are_refused_where_asked(wrong: bytes, unknown: str) -> None:
    for messages in (["a?b"], ["a?b", "c"]):
        lines = format1.entries(10, *messages).replace(b"?", wrong)
        payload = batch(lines, last=9 + len(messages), rest=unknown)
        refused(payload, "not UTF-8", strict=True)


def test_lines_end_at_0a_and_nowhere_else() -> None:
    lines = format1.entries(10, "a\x85b\u2028c\u2029d\x7f", "e")
    assert verify(batch(lines), strict=True).head.last_id == 11


# --- the longest batch --------------------------------------------------------------------


@pytest.mark.parametrize("unknown", ["", ',"x":1'])
def test_a_batch_has_its_limit_of_bytes_and_not_one_more(unknown: str) -> None:
    overhead = len(batch(format1.entries(10, ""), last=10, rest=unknown))
    for over, make in ((0, verify), (1, _refused_as_too_long)):
        message = "a" * (BATCH_BYTES_MAX - overhead + over)
        payload = batch(format1.entries(10, message), last=10, rest=unknown)
        assert len(payload) == BATCH_BYTES_MAX + over
        take: Callable[[bytes], object] = make
        take(payload)


def _refused_as_too_long(payload: bytes) -> None:
    refused(payload, "longer than")
