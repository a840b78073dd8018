"""What a read asks for: every parameter and header, and every wrong spelling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from replog.core.entry import EntryId
from replog.http.append_request import parse_append
from replog.http.limits import Limits
from replog.http.problems import ProblemError
from replog.http.read_request import (
    EVERYTHING,
    PLAIN,
    Form,
    parse_freshness,
    parse_read,
    parse_wish,
)
from replog.node.views import ANY, Freshness


def _refused(query: str) -> tuple[str, object, str]:
    with pytest.raises(ProblemError) as caught:
        parse_read(query.encode())
    problem = caught.value.problem
    return problem.kind.name, problem.members.get("parameter"), problem.detail


def test_no_query_asks_for_everything() -> None:
    assert parse_read(b"") is EVERYTHING
    assert parse_read(b"from=1") == EVERYTHING
    assert parse_freshness(b"") is ANY


def _moment(text: str) -> int | None:
    return parse_read(f"since={text}".encode()).since_ms


def _ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_a_time_is_taken_in_every_form_of_rfc_3339() -> None:
    noon = _ms(datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC))
    for text in (
        "2026-11-22T12:00:00Z",
        "2026-11-22t12:00:00z",
        "2026-11-22%2012:00:00Z",
        "2026-11-22T12:00:00.000Z",
        "2026-11-22T14:30:00%2B02:30",
        "2026-11-22T14:30:00+02:30",  # as curl sends it: the plus arrives as a space
        "2026-11-22T04:00:00-08:00",
        "2026-11-22T12:00:00-00:00",
        "2026-11-23T11:59:00%2B23:59",
    ):
        assert _moment(text) == noon, text


def test_a_part_of_a_millisecond_counts_as_a_whole_one() -> None:
    second = _ms(datetime(2026, 11, 22, tzinfo=UTC))
    for fraction, expected in [
        ("1", 100), ("12", 120), ("123", 123), ("1230", 123), ("1231", 124),
        ("123000000000000001", 124), ("999", 999), ("9999", 1000), ("0000001", 1),
    ]:  # fmt: skip
        assert _moment(f"2026-11-22T00:00:00.{fraction}Z") == second + expected, fraction
    assert _moment("1969-12-31T23:59:59.9995Z") == 0
    assert _moment("1969-12-31T23:59:59.999Z") == -1
    assert _moment("0001-01-01T00:00:00%2B23:59") is not None
    assert _moment("9999-12-31T23:59:59-23:59") is not None


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-11-22", "2026-11-22T12:00:00", "2026-11-22T12:00Z", "1795687200",
        "2026-02-30T12:00:00Z", "2026-13-01T12:00:00Z", "2026-11-22T24:00:01Z",
        "2026-11-22T12:00:60Z", "2026-11-22T12:00:00.Z", "2026-11-22T12:00:00%2B2:00",
        "2026-11-22T12:00:00%2B24:00", "2026-11-22T12:00:00%2B02:60", "20261122T120000Z",
        "2026-11-22T12:00:00 Z", "0000-01-01T00:00:00Z", "%D9%A2026-11-22T12:00:00Z",
        "2026-11-22T12:00:00.1234567890123456789Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    name, parameter, detail = _refused(f"since={text}")
    assert (name, parameter) == ("bad-parameter", "since")
    assert "2026-11-22T22:10:00Z" in detail


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("last=-1", "last"), ("last=all", "last"), ("last=1.5", "last"), ("last=", "last"),
        ("min_id=-1", "min_id"), ("min_id=x", "min_id"), ("min_id=", "min_id"),
        ("max_lag_ms=0.5", "max_lag_ms"), ("max_lag_ms=-1", "max_lag_ms"),
        ("level=", "level"), ("level=Master", "level"), ("level=quorum", "level"),
        ("timeout=-1", "timeout"), ("timeout=3601", "timeout"), ("timeout=1e4", "timeout"),
        ("timeout=01", "timeout"), ("timeout=1e999", "timeout"),
        ("timeout=inf", "timeout"), ("timeout=nan", "timeout"), ("timeout=", "timeout"),
        ("timeout=.5", "timeout"), ("wait=301", "wait"), ("wait=-0", "wait"), ("wait=", "wait"),
        ("wait=1,5", "wait"), ("wait=%D9%A2", "wait"),
        ("last=1&from=1", "last"), ("since=2026-11-22T22:10:00Z&from=1", "since"),
        ("last=1&since=2026-11-22T22:10:00Z", "last"), ("last=1&wait=1", "last"),
        ("since=2026-11-22T22:10:00Z&wait=1", "since"),
        ("min_id=1&min_id=1", "min_id"), ("minid=1", "minid"), ("maxlag=1", "maxlag"),
    ],
)  # fmt: skip
def test_every_wrong_spelling_is_refused_by_name(query: str, parameter: str) -> None:
    name, named, detail = _refused(query)
    assert (name, named) == ("bad-parameter", parameter)
    assert parameter in detail


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0), ("1.50", 1.5), ("2e2", 200.0), ("2E%2B2", 200.0), ("1e-400", 0.0),
        ("1.", None), (".5", None), ("01", None), ("+1", None), ("-0", None), ("1e", None),
        ("0x1", None), ("1_0", None), ("1e999", None), ("%D9%A2", None), ("", None),
    ],
)  # fmt: skip
def test_seconds_are_numbers_of_json_for_reads_and_appends_alike(
    text: str, value: float | None
) -> None:
    query = f"timeout={text}&min_id=1".encode()
    append = f"timeout={text}".encode()
    if value is None:
        for refused in (
            lambda: parse_freshness(query),
            lambda: parse_append(b'{"message":"x"}', append, Limits()),
        ):
            with pytest.raises(ProblemError) as caught:
                refused()
            assert caught.value.problem.members == {"parameter": "timeout"}
    else:
        assert parse_freshness(query).timeout_s == value
        assert parse_append(b'{"message":"x"}', append, Limits()).timeout_s == value


def test_the_link_to_the_next_page_can_be_asked_for_as_it_is() -> None:
    link = parse_read(b"limit=1&min_id=1&timeout=1e%2B2").next_link(2).decode()
    query = link[link.index("?") + 1 : link.index(">")].encode()
    assert parse_read(query).freshness == Freshness(EntryId(1), timeout_s=100.0)


def test_what_is_not_asked_for_costs_no_wait() -> None:
    assert parse_read(b"timeout=3").freshness is ANY
    assert parse_read(b"level=committed").freshness is ANY


def test_freshness_is_what_the_parameters_say() -> None:
    assert parse_read(b"min_id=7").freshness == Freshness(EntryId(7), timeout_s=10.0)
    assert parse_read(b"max_lag_ms=1500&timeout=0").freshness == Freshness(
        max_lag_s=1.5, timeout_s=0.0
    )
    assert parse_freshness(b"min_id=7&timeout=935.9707244882246").timeout_s == 935.9707244882246
    assert parse_freshness(b"level=master&timeout=2.5") == Freshness(
        is_linearizable=True, timeout_s=2.5
    )
    with pytest.raises(ProblemError, match='"from" is unknown'):
        parse_freshness(b"from=1")


def test_the_link_keeps_what_still_makes_sense() -> None:
    request = parse_read(b"since=2026-11-22T22:10:00Z&limit=5&max_lag_ms=100&min_id=3&level=master")
    assert request.next_link(6) == (
        b'</logs?from=6&limit=5&min_id=3&max_lag_ms=100&level=master>; rel="next"'
    )
    assert parse_read(b"last=9&limit=5").next_link(6) == b'</logs?from=6&limit=5>; rel="next"'


@pytest.mark.parametrize(
    ("query", "is_repeatable"),
    [
        ("limit=5", True), ("from=3&limit=5", True), ("from=3&limit=5&level=master", True),
        ("since=2026-11-22T22:10:00Z&limit=5", True), ("limit=0", False), ("from=3", False),
        ("last=5", False), ("last=5&limit=5", False), ("limit=5&wait=1", False),
    ],
)  # fmt: skip
def test_a_page_with_a_limit_is_repeatable_unless_it_counts_from_the_end(
    query: str, is_repeatable: bool
) -> None:
    assert parse_read(query.encode()).is_repeatable is is_repeatable


REFUSED = "not-acceptable"

# --- headers -------------------------------------------------------------------------------


def _form(accept: str) -> Form | str:
    try:
        return parse_wish([(b"accept", accept.encode())]).form
    except ProblemError as error:
        return error.problem.kind.name


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", Form.JSON), ("", Form.JSON), ("application/json", Form.JSON),
        ("application/*", Form.JSON), ("application/x-ndjson", Form.LINES),
        ("application/jsonl", Form.LINES), ("application/ndjson", Form.LINES),
        ("APPLICATION/X-NDJSON", Form.LINES),
        ("application/json;q=0.5, application/x-ndjson", Form.LINES),
        ("application/x-ndjson;q=0.5, */*;q=0.4", Form.LINES),
        ("application/x-ndjson;q=0.5, */*;q=0.6", Form.JSON),
        ("application/json;q=0, */*", Form.LINES),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Form.JSON),
        ("text/html", REFUSED), ("application/json;q=0", REFUSED), ("*/*;q=0", REFUSED),
        ("x", REFUSED),
    ],
)  # fmt: skip
def test_accept_chooses_the_form(accept: str, form: Form | str) -> None:
    assert _form(accept) == form


@pytest.mark.parametrize(
    ("encoding", "may_gzip"),
    [
        ("", False), ("gzip", True), ("GZIP", True), ("x-gzip", True), ("*", True),
        ("gzip, deflate, br, zstd", True), ("br;q=1.0, gzip;q=0.8", True), ("gzip;q=0", False),
        ("gzip; q=0.0", False), ("*;q=0", False), ("identity", False), ("deflate, br", False),
        ("identity;q=1, gzip;q=0.5", False), ("identity;q=0.5, gzip;q=0.6", True),
        ("gzip;q=0, *", False), ("gzip;q=x", False), ("notgzip", False),
        ("gzip;q=1e0", False), ("gzip;q=inf", False), ("gzip;x=y;q=0", False),
    ],
)  # fmt: skip
def test_accept_encoding_decides_about_gzip(encoding: str, may_gzip: bool) -> None:
    assert parse_wish([(b"accept-encoding", encoding.encode())]).may_gzip is may_gzip


def test_headers_may_come_in_several_lines() -> None:
    wish = parse_wish(
        [
            (b"accept", b"text/html"),
            (b"accept", b"application/x-ndjson"),
            (b"accept-encoding", b"br"),
            (b"accept-encoding", b"gzip"),
            (b"if-none-match", b'"a", W/"b"'),
            (b"if-none-match", b'"c"'),
        ]
    )
    assert wish.form is Form.LINES
    assert wish.may_gzip
    assert wish.known == (b'"a"', b'"b"', b'"c"')
    assert parse_wish([(b"if-none-match", b" * ")]).known == (b"*",)
    assert parse_wish([(b"host", b"x"), (b"accept", b"*/*")]) is PLAIN
