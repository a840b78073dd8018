"""Each check of a receiver refuses, alone, what only it can see: every hash here is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replog.core.entry import EntryId
from replog.storage.batch import BadBatch, verify_run
from tests.support import format1
from tests.support.format1 import NOON
from tests.support.receiver import AFTER, LOG, PATHS, batch, refused, verify


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
    "an entry holds more than a parser may": b'{"id":10,"x":'
    + b"[" * 5000
    + b"}\n"
    + format1.entries(11, "b"),
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
