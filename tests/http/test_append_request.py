"""Body and query of an append, as pure functions: what gets through can be written back."""

from __future__ import annotations

import json

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
        members = decode_object(body, example="{}")
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
