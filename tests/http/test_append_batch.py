"""The body of a batch, as pure functions: both readers agree, and every refusal names its line."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from replog.core.entry import GENESIS, EntryId, Epoch, Head
from replog.http import append_batch
from replog.http.append_batch import Batch, parse_batch, read_strictly
from replog.http.append_request import AppendRequest
from replog.http.append_terms import HeaderTerms
from replog.http.limits import BODY_SLACK_BYTES, ENTRY_GROWTH_BYTES, Limits
from replog.http.problems import ProblemError
from replog.storage.batch import KEY_BYTES_MAX, NUMBER_MAX, encode_batch

LIMITS = Limits(message_bytes_max=60, batch_entries_max=5)


def parse(body: bytes, *, is_lines: bool = False, query: bytes = b"") -> AppendRequest:
    return parse_batch(Batch(body, is_lines), query, LIMITS)


def refused(body: bytes, *, is_lines: bool = False, query: bytes = b"") -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        parse(body, is_lines=is_lines, query=query)
    return caught.value


# --- what is taken -------------------------------------------------------------------------


_ENTRIES = st.lists(
    st.fixed_dictionaries(
        {"message": st.text(max_size=15)}, optional={"key": st.text(min_size=1, max_size=5)}
    ),
    min_size=1,
    max_size=LIMITS.batch_entries_max,
    unique_by=lambda entry: entry.get("key", object()),
)


@given(
    entries=_ENTRIES, is_lines=st.booleans(), is_ascii=st.booleans(), end=st.sampled_from(" \r\n")
)
def test_messages_and_keys_come_back_as_they_were_sent(
    entries: list[dict[str, str]], end: str, *, is_lines: bool, is_ascii: bool
) -> None:
    texts = [json.dumps(entry, ensure_ascii=is_ascii) for entry in entries]
    body = "\n".join(texts) + end if is_lines else f"[{','.join(texts)}]{end}"
    request = parse(body.encode(), is_lines=is_lines)
    assert [json.loads(message) for message in request.messages] == [e["message"] for e in entries]
    keys = [entry.get("key") for entry in entries]
    assert request.keys == (() if keys == [None] * len(keys) else tuple(keys))
    assert request.is_batch


_ENTRY_PIECES = [
    b'{"message":"a"}',
    b'{"message":"b","key":"k"}',
    b'{"key":"l","message":"\\u0022"}',
]
_TOKENS = [
    b'"message"',
    b'"key"',
    b'"x\\"',
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"1",
]
_SPELLINGS = [b'\\"', b"\\", b"\\u0022", b"\\ud800", b"\n", b" ", b"\r\n", b"NaN", b"\xff", b"\x00"]
_PIECES = st.sampled_from([*_ENTRY_PIECES, *_TOKENS, *_SPELLINGS])


@given(pieces=st.lists(_PIECES, max_size=12), is_lines=st.booleans())
@example(pieces=[b'{"message":"a","message":"b"}'], is_lines=True)
@example(pieces=[b'{"message":"a\\"","message":"b"}'], is_lines=True)
@example(pieces=[b'{"message":"\\u0022\\u0022","message":"b"}'], is_lines=True)
@example(pieces=[b'{"message":"a","message":"\\u0022\\u0022\\u0022\\u0022"}'], is_lines=False)
@example(pieces=[b'{"message":"\\u0022\\u0022\\u0022\\u0022","message":"a"}'], is_lines=True)
@example(pieces=[b'{"message":"a","message":"\\\\u0022\\\\u0022"}'], is_lines=True)
@example(pieces=[b'{"message":"a","key":"k","k\\u0065y":"l"}'], is_lines=True)
@example(pieces=[b'{"message":"a"},{"message":"b"}'], is_lines=True)
@example(pieces=[b'{"message":"a"', b"\n", b'"key":"b"},{"message":"c"}'], is_lines=True)
def test_both_readers_take_the_same_and_mean_the_same(
    pieces: Sequence[bytes], *, is_lines: bool
) -> None:
    body = b"".join(pieces)
    batch = Batch(body if is_lines else b"[" + body + b"]", is_lines)
    quick = append_batch._read_quickly(batch, 5)
    if quick is None:
        with suppress(ProblemError):
            assert read_strictly(batch, 5)
    else:
        assert quick == read_strictly(batch, 5)


def test_usual_batches_are_read_quickly() -> None:
    """Without this the strict reader could do all the work, and nobody would notice."""
    for entries in (
        [{"message": "x"}],
        [{"message": 'he said "yes" \\ \n'}, {"message": "é😀", "key": 'k "l"'}],
        [{"message": json.dumps({"a": [1, {"b": "c"}]})}] * 5,
    ):
        plain = [json.dumps(entry) for entry in entries]
        for texts in (plain, [text.replace('\\"', "\\u0022") for text in plain]):
            _assert_is_read_quickly(texts)


def _assert_is_read_quickly(texts: Sequence[str]) -> None:
    for batch in (
        Batch(f"[{','.join(texts)}]".encode(), is_lines=False),
        Batch("\n".join(texts).encode(), is_lines=True),
    ):
        assert append_batch._read_quickly(batch, 5) == read_strictly(batch, 5)


def test_a_key_of_the_whole_batch_stands_at_its_first_and_last_message() -> None:
    three = b'[{"message":"a"},{"message":"b"},{"message":"c"}]'
    assert parse(three, query=b"key=k").keys == ("k", None, "k")
    assert parse(b'[{"message":"a"},{"message":"b"}]', query=b"key=k").keys == ("k", "k")
    assert parse(b'[{"message":"a"}]', query=b"key=k").keys == ("k",)
    in_header = HeaderTerms(key="k", expect=EntryId(7))
    request = parse_batch(Batch(three, is_lines=False), b"w=2&timeout=1.5", LIMITS, in_header)
    assert (request.keys, request.expect) == (("k", None, "k"), 7)
    assert (request.concern, request.timeout_s) == (2, 1.5)


# --- what is refused, and where it says the reason is ---------------------------------------

GOOD = b'{"message":"good"}'
BAD_ENTRIES: list[tuple[bytes, str, str]] = [
    (b"", "malformed-json", ""),
    (b"5", "malformed-json", "a number stands there"),
    (b'"message"', "malformed-json", "a string stands there"),
    (b"null", "malformed-json", "null stands there"),
    (b"[]", "malformed-json", "an array stands there"),
    (b"{", "malformed-json", "not JSON"),
    (b"x", "malformed-json", "not JSON"),
    (b'{"message":"a\x00b"}', "malformed-json", "not JSON"),
    (b'{"message":"\\x41"}', "malformed-json", "not JSON"),
    (b"{'message':'x'}", "malformed-json", "not JSON"),
    (b'{"message":"x",}', "malformed-json", "not JSON"),
    (b'\xef\xbb\xbf{"message":"x"}', "malformed-json", "not JSON"),
    (b'{"message":"\xff"}', "malformed-json", "byte 0xff at offset"),
    (b'{"message":"\xed\xa0\x80"}', "malformed-json", "not UTF-8"),
    (b'{"message":"\\ud800"}', "malformed-json", "lone surrogate"),
    (b'{"message":NaN}', "malformed-json", "NaN"),
    (b'{"message":1' + b"0" * 5000 + b"}", "malformed-json", "5001 digits"),
    (b'{"message":"a","message":"b"}', "malformed-json", '"message" is given twice'),
    (b'{"message":"a","mess\\u0061ge":"b"}', "malformed-json", '"message" is given twice'),
    (b'{"message":"a","key":"k","key":"k"}', "malformed-json", '"key" is given twice'),
    (b"[" * 50_000, "malformed-json", "an array stands there"),
    (b'{"message":[' + b"{}," * 50_000, "bad-field", '"message" is an array'),
    (b'{"key":{"k":0}}', "bad-field", '"key" is an object'),
    (b"{}", "bad-field", '"message" is missing'),
    (b'{"key":"k"}', "bad-field", '"message" is missing'),
    (b'{"message":null}', "bad-field", '"message" is null'),
    (b'{"message":["x"]}', "bad-field", '"message" is an array'),
    (b'{"message":"x","w":1}', "bad-field", '"w" is unknown'),
    (b'{"message":"x","expect":1}', "bad-field", '"expect" is unknown'),
    (b'{"message":"x","id":1}', "bad-field", '"id" is unknown'),
    (b'{"message":"x","key":""}', "bad-field", '"key" is empty'),
    (b'{"message":"x","key":7}', "bad-field", '"key" is a number'),
    (b'{"message":"x","key":null}', "bad-field", '"key" is null'),
    (b'{"message":"x","key":"\\ud800"}', "bad-field", '"key" holds a lone surrogate'),
    (b'{"message":"x","key":"' + b"k" * 256 + b'"}', "bad-field", "256 bytes"),
    (b'{"message":"' + b"x" * 61 + b'"}', "too-large", "61 bytes of UTF-8"),
]


@pytest.mark.parametrize("line", [1, 2, 3])
@pytest.mark.parametrize("is_lines", [False, True])
@pytest.mark.parametrize(("bad", "name", "says"), BAD_ENTRIES, ids=lambda one: str(one)[:40])
def test_one_bad_entry_refuses_all_and_is_named(
    bad: bytes, name: str, says: str, line: int, *, is_lines: bool
) -> None:
    entries = [GOOD] * 4
    entries[line - 1] = bad
    body = b"\n".join(entries) if is_lines else b"[" + b",".join(entries) + b"]"
    problem = refused(body, is_lines=is_lines).problem
    assert problem.kind.name == name, problem
    assert problem.members["line"] == line
    assert says in problem.detail
    assert f"{'line' if is_lines else 'entry'} {line}" in problem.detail


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[]", "without entries"),
        (b" [ \n ] ", "without entries"),
        (b"[" + GOOD, "entry 1: neither another entry nor the end"),
        (b"[" + GOOD + b"}", "entry 1: neither another entry nor the end"),
        (b"[" + GOOD + b",]", "entry 2: it is not JSON"),
        (b"[" + GOOD + b" " + GOOD + b"]", "entry 1: neither another entry"),
        (b"[" + GOOD + b"] []", "entry 1: neither another entry"),
        (b"[" + GOOD + b"]\xff", "entry 1: neither another entry"),
        (b"[,]", "entry 1: it is not JSON"),
        (b"[", "entry 1: it is not JSON"),
    ],
)
def test_an_array_that_is_none_is_refused(body: bytes, says: str) -> None:
    problem = refused(body).problem
    assert problem.kind.name == "malformed-json"
    assert says in problem.detail


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n\t\n"])
def test_lines_without_an_entry_are_refused(body: bytes) -> None:
    assert "holds no entry" in refused(body, is_lines=True).problem.detail


@pytest.mark.parametrize(
    ("body", "line", "says"),
    [
        (GOOD + b"\n\n" + GOOD, 2, "is empty"),
        (b"\n" + GOOD, 1, "is empty"),
        (GOOD + b"\n \t\r\n" + GOOD, 2, "is empty"),
        (GOOD + GOOD, 1, "more stands behind column 18 (curl keeps line ends with --data-binary"),
        (GOOD + b"," + GOOD, 1, "more stands behind column 18"),
        (GOOD + b",\n" + GOOD, 1, "more stands behind column 18"),
        (b'{"message":\n"x"}', 1, "not JSON"),
        (b'{"message":"a"\n,"key":"b"},{"message":"c"}', 1, "not JSON"),
        (b"[" + GOOD + b"]", 1, "an array stands there"),
    ],
)
def test_a_line_is_exactly_one_object(body: bytes, line: int, says: str) -> None:
    problem = refused(body, is_lines=True).problem
    assert problem.members["line"] == line
    assert says in problem.detail


@pytest.mark.parametrize("is_lines", [False, True])
@pytest.mark.parametrize("entries", [6, 21, 100])
def test_more_entries_than_the_limit_are_too_large(entries: int, *, is_lines: bool) -> None:
    exact = [GOOD] * 5
    body = b"\n".join(exact) if is_lines else b"[" + b",".join(exact) + b"]"
    assert len(parse(body, is_lines=is_lines).messages) == 5
    more = [GOOD] * entries
    body = b"\n".join(more) if is_lines else b"[" + b",".join(more) + b"]"
    problem = refused(body, is_lines=is_lines).problem
    assert (problem.kind.name, problem.members) == ("too-large", {"limit": 5})
    assert "more than 5 entries" in problem.detail


def test_an_array_that_is_surely_too_long_is_not_made_into_entries_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sixteen MiB of the shortest entries are a million of them."""

    def fail(body: bytes) -> list[object]:
        raise AssertionError(f"{len(body)} bytes were read at once")

    monkeypatch.setattr(append_batch, "_array_of", fail)
    problem = refused(b"[" + b",".join([b'{"message":""}'] * 1000) + b"]").problem
    assert (problem.kind.name, problem.members) == ("too-large", {"limit": 5})


def test_a_key_twice_or_beside_one_of_the_batch_is_refused() -> None:
    twice = b'[{"message":"a","key":"k"},{"message":"b"},{"message":"a","key":"k"}]'
    problem = refused(twice).problem
    assert (problem.kind.name, problem.members) == ("bad-field", {"field": "key", "line": 3})
    assert 'is "k", which entry 1 has already' in problem.detail
    beside = refused(b'[{"message":"a"},{"message":"b","key":"k"}]', query=b"key=k").problem
    assert (beside.kind.name, beside.members["line"]) == ("bad-field", 2)
    assert "one for the whole batch too" in beside.detail


# --- the format's batch ---------------------------------------------------------------------


def _largest_in_log(request: AppendRequest) -> int:
    """Return the bytes of the batch in the log at the highest ids that there are."""
    after = Head(Epoch(NUMBER_MAX), EntryId(NUMBER_MAX - len(request.messages)), GENESIS.hash)
    keys = {
        EntryId(after.last_id + place): key
        for place, key in enumerate(request.keys, start=1)
        if key is not None
    }
    batch = encode_batch(
        after=after,
        messages=request.messages,
        epoch=after.epoch,
        committed_id=EntryId(after.last_id),
        time_ms=0,
        keys=keys,
        header=b"h" * 1024,
    )
    return len(batch.payload)


@given(entries=_ENTRIES, is_ascii=st.booleans())
@example(entries=[{"message": "", "key": str(n)} for n in range(5)], is_ascii=True)
@example(entries=[{"message": "\0\x7f\u2028\ud7ff"}], is_ascii=False)
def test_what_is_taken_grows_by_less_than_is_reckoned_with(
    entries: list[dict[str, str]], *, is_ascii: bool
) -> None:
    """So a batch within the limits always fits into one of the format: `Limits` proves it."""
    body = json.dumps(entries, ensure_ascii=is_ascii, separators=(",", ":")).encode()
    in_log = _largest_in_log(parse(body))
    assert in_log <= len(body) + len(entries) * ENTRY_GROWTH_BYTES + BODY_SLACK_BYTES
    of_batch = parse(json.dumps([{"message": e["message"]} for e in entries]).encode())
    longest = AppendRequest(of_batch.messages, None, None, ("\0" * KEY_BYTES_MAX,))
    assert _largest_in_log(longest) <= len(body) + len(entries) * ENTRY_GROWTH_BYTES + 64 * 1024


# --- how much is made of it -----------------------------------------------------------------

MANY = 300_000
HUGE_ENTRIES = [
    b'{"message":[' + b"{}," * MANY + b"0]}",
    b'{"other":[' + b"{}," * MANY + b"0]}",
    b'{"message":"\\ud800","key":[' + b"{}," * MANY + b"0]}",
    b'{"message":"x"' + b',"key":""' * MANY + b"}",
    b"{" + b",".join(b'"%d":1' % i for i in range(MANY)) + b"}",
    b"[" + b"{}," * MANY + b"0]",
]


@pytest.mark.parametrize("is_lines", [False, True])
@pytest.mark.parametrize("entry", HUGE_ENTRIES, ids=lambda one: str(one)[:20])
def test_a_wrong_entry_is_refused_without_making_what_it_holds(
    entry: bytes, *, is_lines: bool
) -> None:
    """Four MiB of such JSON took 100 MB as objects of Python, and the event loop for 0.4 s."""
    body = entry if is_lines else b"[" + entry + b"]"
    assert _made_by(lambda: refused(body, is_lines=is_lines)) < 3 * len(body)


def _made_by(call: Callable[[], object]) -> int:
    """Return the most bytes that were allocated at one time while `call` ran."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
