"""Body and query of an append, as pure functions: what gets through can be written back."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog.core.errors import ConfigurationError
from replog.http.append_request import FIELDS, AppendRequest, parse_append
from replog.http.append_terms import PARAMETERS
from replog.http.json_body import decode_object
from replog.http.limits import MESSAGE_BYTES_MAX, Limits
from replog.http.problems import PROBLEMS, ProblemError
from replog.storage.batch import BATCH_BYTES_MAX

LIMITS = Limits(message_bytes_max=200)


@given(text=st.text(max_size=60), is_ascii=st.booleans())
def test_a_message_comes_back_as_it_was_sent(text: str, *, is_ascii: bool) -> None:
    body = json.dumps({"message": text}, ensure_ascii=is_ascii).encode()
    if len(text.encode()) > LIMITS.message_bytes_max:
        with pytest.raises(ProblemError, match="limit is 200"):
            parse_append(body, b"", LIMITS)
        return
    request = parse_append(body, b"", LIMITS)
    assert json.loads(request.message) == text
    assert b"\n" not in request.message
    assert request == AppendRequest((request.message,), None, None)


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([1])
)
_PAIRS = st.lists(st.tuples(st.sampled_from([*FIELDS, "other"]), _VALUES), max_size=4)


@given(_PAIRS, st.sampled_from([b"", b"w=2", b"timeout=1", b"w=2&timeout=3", b"x=1"]))
def test_any_body_is_taken_or_refused_by_a_problem_and_each_key_counts(
    pairs: list[tuple[str, object]], query: bytes
) -> None:
    body = "{" + ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in pairs) + "}"
    keys = [key for key, _ in pairs]
    try:
        request = parse_append(body.encode(), query, LIMITS)
    except ProblemError as error:
        _assert_status(error, 400, 413)
        return
    assert len(set(keys)) == len(keys), "a key given twice was let through"
    assert set(keys) <= set(FIELDS), "an unknown field was let through"
    fields = dict(pairs)
    assert json.loads(request.message) == fields["message"]
    concerns = [fields[key] for key in ("w", "write_concern", "writeConcern") if key in fields]
    assert len(concerns) <= 1
    if concerns:
        assert request.concern == concerns[0]
        assert type(request.concern) is type(concerns[0])
    else:
        assert request.concern == (2 if b"w=2" in query else None)


@given(st.binary(max_size=40))
def test_any_bytes_are_an_object_or_a_problem(body: bytes) -> None:
    try:
        members = decode_object(body, known=FIELDS, example="{}")
    except ProblemError as error:
        _assert_status(error, PROBLEMS["malformed-json"].status)
    else:
        assert members == json.loads(body)


@given(st.binary(max_size=40))
def test_any_query_is_taken_or_refused_by_a_problem(query: bytes) -> None:
    try:
        parse_append(b'{"message":"x"}', query, LIMITS)
    except ProblemError as error:
        _assert_status(error, 400)


def test_the_known_parameters_are_the_fields_without_the_message() -> None:
    assert set(PARAMETERS) == set(FIELDS) - {"message"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"message_bytes_max": 0},
        {"message_bytes_max": MESSAGE_BYTES_MAX + 1},
        {"request_bytes_max": 1024 * 1024},
        {"waiting_appends_max": 0},
        {"batch_entries_max": 0},
        {"batch_bytes_max": 0},
        {"batch_bytes_max": BATCH_BYTES_MAX},
        {"batch_entries_max": 300_000},
    ],
)
def test_limits_that_cannot_hold_are_a_configuration_error(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="limit"):
        Limits(**wrong)


def test_the_highest_message_limit_fits_into_a_batch() -> None:
    assert Limits(message_bytes_max=MESSAGE_BYTES_MAX).body_bytes_max <= BATCH_BYTES_MAX


def _assert_status(error: ProblemError, *statuses: int) -> None:
    assert error.problem.status in statuses, error


@pytest.mark.parametrize(("sent", "said"), [("-1", "-1"), ('"1"', '"1"'), ("true", "a boolean")])
def test_the_detail_of_a_bad_timeout_names_what_was_sent(sent: str, said: str) -> None:
    with pytest.raises(ProblemError, match=f'The field "timeout" is {said}, and must be a number'):
        parse_append(f'{{"message":"m","timeout":{sent}}}'.encode(), b"", LIMITS)


MUST_BE = "must be a whole number from 1 to the number of nodes"


@pytest.mark.parametrize(
    ("w", "query", "says"),
    [
        ('"2"', b"", f'"w" is "2", and {MUST_BE}, "majority" or "all": 2 without quotes.'),
        ('"two"', b"", f'"w" is "two", and {MUST_BE}, "majority" or "all".'),
        ("0", b"", f'"w" is 0, and {MUST_BE}, "majority" or "all".'),
        (None, b"w=%222%22", f'w is ""2"", and {MUST_BE}, majority or all: 2 without quotes.'),
        (None, b"w=020", f'w is "020", and {MUST_BE}, majority or all.'),
        ("2", b"w=3", "The body says w 2, and the query w 3. Give it once."),
        ("2", b"writeConcern=2", "is given as w and as writeConcern. Give it once, as w."),
    ],
)
def test_the_detail_of_a_bad_write_concern_says_what_is_wrong_with_it(
    w: str | None, query: bytes, says: str
) -> None:
    body = '{"message":"m"}' if w is None else f'{{"message":"m","w":{w}}}'
    with pytest.raises(ProblemError) as caught:
        parse_append(body.encode(), query, LIMITS)
    assert caught.value.problem.detail.endswith(says)


LONG = b" " * 65_536
"""Before a body that is read member by member."""


@pytest.mark.parametrize("before", [b"", LONG])
@pytest.mark.parametrize(
    ("body", "name", "says"),
    [
        (b'{"message":["x"]}', "bad-field", '"message" is an array'),
        (b'{"w":[],"message":"x"}', "bad-write-concern", '"w" is an array'),
        (b'{"timeout":{}}', "bad-field", '"timeout" is an object'),
        (b'{"other":1,"message":"x"}', "bad-field", '"other" is unknown'),
        (b'{"w":2}', "bad-field", '"message" is missing'),
        (b"{}", "bad-field", '"message" is missing'),
        (b"[]", "malformed-json", "is an array, not an object"),
        (b"5", "malformed-json", "is a number, not an object"),
        (b'{"w":2,"w":2,"message":"x"}', "malformed-json", '"w" is given twice'),
        (b'{"message":"x"}}', "malformed-json", "Extra data"),
        (b'{"message":"x', "malformed-json", "Unterminated string starting at line 1, column "),
        (b'{"message":"x"', "malformed-json", "Expecting ',' delimiter"),
        (b'{"message" "x"}', "malformed-json", "Expecting ':' delimiter"),
        (b'{"message":}', "malformed-json", "Expecting value"),
        (b"{message:1}", "malformed-json", "Expecting property name"),
        (b'{"message":NaN}', "malformed-json", "NaN"),
        (b"", "malformed-json", ""),
    ],
)
def test_a_long_body_is_refused_as_a_short_one(
    before: bytes, body: bytes, name: str, says: str
) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_append(before + body, b"", LIMITS)
    problem = caught.value.problem
    assert problem.kind.name == name, problem
    assert says in problem.detail


@given(pairs=_PAIRS, is_ascii=st.booleans())
def test_a_long_body_is_taken_as_a_short_one(
    pairs: list[tuple[str, object]], *, is_ascii: bool
) -> None:
    members = [f"{json.dumps(k)}:{json.dumps(v, ensure_ascii=is_ascii)}" for k, v in pairs]
    body = f"{{{','.join(members)}}}".encode("utf-8", "replace")
    try:
        short: AppendRequest | None = parse_append(body, b"", LIMITS)
    except ProblemError:
        short = None
    if short is None:
        with pytest.raises(ProblemError):
            parse_append(LONG + body, b"", LIMITS)
    else:
        assert parse_append(LONG + body, b"", LIMITS) == short


@pytest.mark.parametrize(
    "body",
    [
        b'{"message":[' + b"{}," * 300_000 + b"0]}",
        b'{"other":[' + b"{}," * 300_000 + b"0]}",
        b"{" + b'"w":1,' * 300_000 + b'"w":1}',
    ],
    ids=lambda one: str(one)[:20],
)
def test_a_wrong_body_is_refused_without_making_what_it_holds(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProblemError):
            parse_append(body, b"", LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(body)
    finally:
        tracemalloc.stop()
