"""The reader that judges bodies and answers: as strict as RFC 8259 and I-JSON, and no stricter."""

from __future__ import annotations

import pytest

from proving.bodies import all_requests
from proving.strict import NotStrict, messages_in, messages_in_lines, parse


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"NaN",
        b"[-Infinity]",
        b'{"a":1,"\\u0061":2}',
        b'"\\ud800"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b"\xef\xbb\xbf1",
        "1".encode("utf-16"),
        b'"a\nb"',
        b"[1] x",
        b"[" * 100_000,
    ],
)
def test_what_not_everyone_reads_alike_is_not_strict(data: bytes) -> None:
    with pytest.raises(NotStrict):
        parse(data)


def test_what_is_strict_is_read() -> None:
    assert parse('{"a":[1e999,"\\ud83d\\ude00\u2028\x85"]}'.encode()) == {
        "a": [float("inf"), "😀\u2028\x85"]
    }


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (b'{"message":"x"}', ("x",)),
        (b'[{"message":"x"},{"message":""}]', ("x", "")),
        (b'[{"message":"x","key":"k"}]', None),
        (b'{"message":"x","w":1}', None),
        (b'{"message":1,"w":1}', ()),
        (b'[{"message":"x","w":1}]', ()),
        (b"[]", ()),
        (b"1", ()),
        (b'{"message":"x"', ()),
    ],
)
def test_what_a_body_must_store_is_known_where_it_says_no_more_than_messages(
    body: bytes, messages: tuple[str, ...] | None
) -> None:
    assert messages_in(body) == messages


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (b'{"message":"x"}\r\n{"message":"y"}\n\n', ("x", "y")),
        (b'{"message":"x"}\n\n{"message":"y"}', ()),
        (b'{"message":"x","key":"k"}', None),
        (b'[{"message":"x"}]', ()),
        (b"", ()),
    ],
)
def test_what_lines_must_store(body: bytes, messages: tuple[str, ...] | None) -> None:
    assert messages_in_lines(body) == messages


def test_the_corpus_is_the_same_in_each_process_and_large() -> None:
    assert [str(one) for one in all_requests()] == [str(one) for one in all_requests()]
    assert len(all_requests()) > 1_900
