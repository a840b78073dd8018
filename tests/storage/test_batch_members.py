"""What a line may carry, in which form, and how much of it: one check at a time."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from replog.core.errors import FormatError
from replog.storage.batch import BATCH_BYTES_MAX, KEY_BYTES_MAX, BadBatch, spans
from replog.storage.lines import parse_trailer
from tests.support import format1
from tests.support.receiver import AFTER, PATHS, batch, opening, refused, verify

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
    "written",
    [
        '{"10":"a","11":"b"}',
        '{"11":"b","10":"a"}',
        '{"10":"a},\\"prev\\":","11":"{}"}',
        '{"10":"a", "11":"b"}',
        '{"10":"é","11":"b"}',
        '{"10":"","11":""}',
    ],
)
@pytest.mark.parametrize(
    "more", ["", ',"seal":true', ',"x":{"10":"c"}', ',"seal":true,"x":{"10":"c"}']
)
def test_keys_are_read_the_quick_way_as_the_thorough_one_reads_them(
    written: str, more: str
) -> None:
    payload = batch(rest=f',"keys":{written}{more}')
    line = payload[payload.index(b'{"batch":{') :]
    (span,) = verify(payload).batches
    trailer = parse_trailer(line)
    assert list(span.keys.items()) == list(trailer.keys.items())
    assert span.seal == trailer.seal
    assert next(spans(payload)) == span


@pytest.mark.parametrize("seal", ["", ',"seal":true'])
def test_one_key_is_read_the_quick_way_as_the_thorough_one_reads_it(seal: str) -> None:
    keys = [*(chr(code) for code in range(0x250)), "order-77", "k" * KEY_BYTES_MAX, ""]
    for key in keys:
        rest = f',"keys":{{"11":{json.dumps(key, ensure_ascii=False)}}}{seal}'
        payload = batch(rest=rest)
        line = payload[payload.index(b'{"batch":{') :]
        (span,) = verify(payload).batches
        assert span.keys == {11: key} == parse_trailer(line).keys
        assert next(spans(payload)) == span


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
        (',"keys":{"10":"a","12":"b"}', "no id of its batch"),
        (f',"keys":{{"10":"a","11":"{"k" * 256}"}}', "longer than 255 bytes"),
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
        verify(opening(header), starts_segment=True)


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
