"""Where a segment begins and ends, and what an epoch may open with: one check at a time."""

from __future__ import annotations

import pytest

from replog.core.entry import GENESIS
from replog.storage.batch import BadBatch, Run, verify_run
from tests.support import format1
from tests.support.format1 import GENESIS_HASH, NOON
from tests.support.receiver import AFTER, LOG, PATHS, batch, opening, refused, verify

# --- the header line ----------------------------------------------------------------------


def open_segment(header: bytes, *, starts_segment: bool | None = True) -> Run:
    return verify(opening(header), starts_segment=starts_segment)


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
