"""A message has exactly one form as JSON, whoever writes it."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replog.core.entry import EntryId
from replog.storage.batch import encode_message, encode_messages
from replog.storage.entries import STRICT_ENTRY, are_canonical
from replog.storage.lines import entry_line, id_of_last

SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t"}
SHORT_ESCAPES |= {"\n": "\\n", "\f": "\\f", "\r": "\\r"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def canonical(text: str) -> bytes:
    """The rule of docs/storage-format.md, character by character."""
    escaped = [SHORT_ESCAPES.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 0x20 else c) for c in text]
    return f'"{"".join(escaped)}"'.encode()


def test_every_code_point_has_the_canonical_form_in_both_encoders() -> None:
    """msgspec writes it; the fifteen lines and other people's programs use json.dumps."""
    for start in range(0, 0x110000, 0x1000):
        # Each between two letters, so that one escape cannot hide in another.
        codes = (c for c in range(start, start + 0x1000) if not 0xD800 <= c < 0xE000)
        text = "a".join(map(chr, codes))
        expected = canonical(text)
        assert encode_message(text) == expected
        assert json.dumps(text, ensure_ascii=False).encode() == expected
        assert json.loads(expected) == text


@pytest.mark.parametrize("code", [0xD800, 0xDBFF, 0xDC00, 0xDFFF])
def test_a_lone_surrogate_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        encode_message(f"before {chr(code)} after")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", b'""'),
        ("/", b'"/"'),
        ("\x00", rb'"\u0000"'),
        ("\x0b\x1f", rb'"\u000b\u001f"'),
        ("\x7f", b'"\x7f"'),
        ("\x85\u2028\u2029", '"\x85\u2028\u2029"'.encode()),
        ("\U0001f600", b'"\xf0\x9f\x98\x80"'),
    ],
)
def test_only_what_must_be_escaped_is(text: str, expected: bytes) -> None:
    assert encode_message(text) == expected


@given(TEXTS)
@settings(deadline=None)
def test_any_text_comes_back(text: str) -> None:
    encoded = encode_message(text)
    assert encoded == canonical(text)
    assert json.loads(encoded) == text
    assert b"\n" not in encoded


@given(st.text(st.sampled_from(['"', "\\", "u", "0", "1", "b", "8", "n", "\x01", "é"])))
@settings(deadline=None)
def test_the_strict_pattern_takes_a_message_exactly_if_it_is_canonical(inside: str) -> None:
    """Tried on strings of the characters that escapes are made of."""
    quoted = f'"{inside}"'
    try:
        decoded: object = json.loads(quoted)
    except ValueError:
        decoded = None
    is_canonical = isinstance(decoded, str) and not re.search("[\ud800-\udfff]", decoded)
    if is_canonical:
        assert isinstance(decoded, str)
        is_canonical = canonical(decoded) == quoted.encode()
    line = b'{"id":1,"message":' + quoted.encode() + b"}\n"
    match = STRICT_ENTRY.match(line)
    assert (match is not None and match.end() == len(line)) == is_canonical
    assert are_canonical(line + line.replace(b"1", b"2", 1), 1, 2) == is_canonical


@pytest.mark.parametrize(
    "lines",
    [
        b'{"id":1,"message":"a"}\n{"id":3,"message":"b"}\n',
        b'{"id":1,"message":"a"}\n{"id":02,"message":"b"}\n',
        b'{"id":1,"message":"a"}\n{"id":2,"message":"b"}',
        b'{"id":1,"message":"a"}\n{"id":2,"message":"b"}\n\n',
        b'{"id":1,"message":"a"}\n{"id":2, "message":"b"}\n',
        b'{"id":1,"message":"a"}\n{"message":"b","id":2}\n',
        b'{"id":1,"message":"a"}\n{"id":2,"message":"b","x":1}\n',
        b'{"id":1,"message":"a"}\n{"id":2,"id":2,"message":"b"}\n',
        b'{"id":1,"message":"a"}\n{"id":2,"message":1}\n',
        b'{"id":1,"message":"a"}\n{"id":2,"message":"\xed\xa0\x80"}\n',
        b'{"id":1,"message":"a"}\n',
        b"",
    ],
)
def test_lines_that_are_not_surely_the_entries_are_left_to_the_patterns(lines: bytes) -> None:
    assert are_canonical(b'{"id":1,"message":"a"}\n{"id":2,"message":"b"}\n', 1, 2)
    assert not are_canonical(lines, 1, 2)


def test_many_messages_are_encoded_as_each_of_them() -> None:
    messages = ["one", "", 'a "quoted" \n line', "\u2028"]
    assert encode_messages(messages) == tuple(map(encode_message, messages))
    assert encode_messages([]) == ()
    with pytest.raises(ValueError, match="surrogate"):
        encode_messages(["good", "\ud800"])


@pytest.mark.parametrize("ids", [[7], [9, 10], [1, 2, 3], [10**15]])
def test_the_last_of_some_lines_tells_its_id(ids: list[int]) -> None:
    lines = [entry_line(EntryId(one), encode_message('{"id":5,\n')) for one in ids]
    assert id_of_last(b"".join(lines)) == ids[-1]
