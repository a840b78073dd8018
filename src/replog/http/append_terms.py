"""What an append says beside its messages: write concern, timeout, key, condition.

PURE. Each may stand in the body, in the query, or (key and condition) in a header, and the
write concern has three spellings; one spelling, and no contradiction, is let through.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

import msgspec

from replog.core.entry import EntryId
from replog.core.write_concern import WriteConcern
from replog.http.json_body import kind_of, named, quoted
from replog.http.problems import ProblemError, refusal
from replog.http.query import NUMBER_MAX, number, parse_query, whole_number
from replog.storage.batch import KEY_BYTES_MAX

CONCERN_SPELLINGS = ("w", "write_concern", "writeConcern")
PARAMETERS = ("w", "timeout", "key", "expect", "write_concern", "writeConcern")

KEY_HEADER = b"idempotency-key"
EXPECT_HEADER = b"if-match"

TIMEOUT_S_MAX = 1e9
"""About 31 years; a longer one is the same to whoever waits, and would overflow ticks."""

_NODES = "a whole number from 1 to the number of nodes"

_WHOLE_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_QUOTED_NUMBER = re.compile(rf'"({_WHOLE_NUMBER.pattern})"')
_QUOTED_KEY = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_QUOTED_KEY_MAX = 2 * KEY_BYTES_MAX + 2
"""A longer one is no key: it is not matched, which takes 160 bytes of memory a byte."""
_ESCAPED = re.compile(r"\\(.)")
_IF_MATCH = re.compile(r'"(0|[1-9][0-9]{0,14})"|(0|[1-9][0-9]{0,14})')


class HeaderTerms(msgspec.Struct, frozen=True, gc=False):
    """What the headers of an append say; None where they do not."""

    key: str | None = None
    expect: EntryId | None = None


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What an append asks for beside its messages.

    Attributes:
        concern: None is the default of the node's configuration.
        timeout_s: 0 answers as soon as it is stored; None waits without limit.
        key: of all its messages together (P6).
        expect: the last id that the log must have.
    """

    concern: WriteConcern | None = None
    timeout_s: float | None = None
    key: str | None = None
    expect: EntryId | None = None


NOTHING_IN_HEADERS = HeaderTerms()


def header_terms(headers: Iterable[tuple[bytes, bytes]]) -> HeaderTerms:
    """Return what the headers Idempotency-Key and If-Match say.

    Raises:
        ProblemError: bad-header.
    """
    key = expect = None
    for name, value in headers:
        if name == KEY_HEADER:
            if key is not None:
                raise _given_twice(name)
            key = _key_of_header(_text_of(name, value))
        elif name == EXPECT_HEADER:
            if expect is not None:
                raise _given_twice(name)
            expect = _expect_of_header(_text_of(name, value))
    return HeaderTerms(key, expect)


def _text_of(name: bytes, value: bytes) -> str:
    try:
        return value.strip(b" \t").decode()
    except UnicodeDecodeError as error:
        raise _bad_header(name, "is not UTF-8.") from error


def _given_twice(name: bytes) -> ProblemError:
    return _bad_header(name, "is given twice; give it once.")


def agreed_terms(
    fields: Mapping[str, object], query: bytes, given: HeaderTerms = NOTHING_IN_HEADERS
) -> Terms:
    """Return what body, query and headers ask for together.

    Raises:
        ProblemError: bad-field, bad-parameter, bad-header, bad-write-concern.
    """
    parameters = parse_query(query, known=PARAMETERS) if query else {}
    return Terms(
        agreed_concern(fields, parameters),
        _agreed_timeout(fields, parameters),
        _agreed_key(fields, parameters, given.key),
        _agreed_expect(fields, parameters, given.expect),
    )


# --- write concern -------------------------------------------------------------------------


def agreed_concern(
    fields: Mapping[str, object], parameters: Mapping[str, str]
) -> WriteConcern | None:
    """Return the write concern that body and query give; None where they give none."""
    spellings = [s for s in CONCERN_SPELLINGS if s in fields or s in parameters]
    if not spellings:
        return None
    if len(spellings) > 1:
        raise _bad_concern(
            f"The write concern is given as {' and as '.join(spellings)}. Give it once, as w."
        )
    name = spellings[0]
    in_body = _concern_of_field(fields[name], name) if name in fields else None
    in_query = _concern_of_parameter(parameters[name], name) if name in parameters else None
    if in_body is None:
        return in_query
    if in_query is not None and in_query != in_body:
        raise _bad_concern(
            f"The body says {name} {in_body}, and the query {name} {in_query}. Give it once."
        )
    return in_body


def _concern_of_field(value: object, name: str) -> WriteConcern:
    if type(value) is int and value >= 1:  # not a boolean, which is an int to isinstance
        return value
    if value == "all":
        return "all"
    if value == "majority":
        return "majority"
    got = quoted(value) if isinstance(value, str) else kind_of(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        got = str(value)[:60]
    raise _bad_concern(
        f'The field "{name}" is {got}, and must be {_NODES}, "majority" or "all"'
        f"{_without_quotes(got)}."
    )


def _concern_of_parameter(text: str, name: str) -> WriteConcern:
    if text == "all":
        return "all"
    if text == "majority":
        return "majority"
    if _WHOLE_NUMBER.fullmatch(text) is None:
        raise _bad_concern(
            f"The parameter {name} is {quoted(text)}, and must be {_NODES}, majority or all"
            f"{_without_quotes(text)}."
        )
    return int(text)


def _without_quotes(given: str) -> str:
    """Return the advice for what would be a number, had it no quotes around it."""
    number_in_quotes = _QUOTED_NUMBER.fullmatch(given)
    return f": {number_in_quotes[1]} without quotes" if number_in_quotes else ""


def _bad_concern(detail: str) -> ProblemError:
    return refusal("bad-write-concern", detail)


# --- timeout -------------------------------------------------------------------------------


def _agreed_timeout(fields: Mapping[str, object], parameters: Mapping[str, str]) -> float | None:
    in_body = _timeout_of_field(fields["timeout"]) if "timeout" in fields else None
    in_query = _timeout_of_parameter(parameters["timeout"]) if "timeout" in parameters else None
    if in_body is None:
        return in_query
    if in_query is not None and in_query != in_body:
        raise _differ("timeout", f"{in_body:g}", f"{in_query:g}")
    return in_body


def _timeout_of_field(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = _seconds(value)
        if seconds is not None:
            return seconds
    raise refusal(
        "bad-field",
        f'The field "timeout" is {named(value)}, '
        "and must be a number of seconds from 0 on, such as 1.5; leave it out to wait without "
        "limit.",
        field="timeout",
    )


def _timeout_of_parameter(text: str) -> float:
    given = number(text)
    seconds = None if given is None else _seconds(given)
    if seconds is None:
        raise refusal(
            "bad-parameter",
            f"The parameter timeout is {quoted(text)}, and must be a number of seconds from 0 "
            "on, such as timeout=1.5; leave it out to wait without limit.",
            parameter="timeout",
        )
    return seconds


def _seconds(value: float) -> float | None:
    if not 0 <= value < math.inf:
        return None
    return float(min(value, TIMEOUT_S_MAX)) + 0.0  # -0.0 becomes 0.0


# --- idempotency key -----------------------------------------------------------------------


def key_fault(value: object) -> str | None:
    """Return what is wrong with an idempotency key, None where nothing is (P6)."""
    if not isinstance(value, str):
        return f"is {kind_of(value)}, and must be a string"
    if not value:
        return "is empty"
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "holds a lone surrogate, which is no character"
    if size > KEY_BYTES_MAX:
        return f"is {size} bytes of UTF-8, and may have {KEY_BYTES_MAX}"
    return None


def _agreed_key(
    fields: Mapping[str, object], parameters: Mapping[str, str], in_header: str | None
) -> str | None:
    in_query = parameters.get("key")
    if in_query is not None and (fault := key_fault(in_query)) is not None:
        raise refusal("bad-parameter", f"The parameter key {fault}.", parameter="key")
    key = in_query
    if "key" in fields:
        in_body = fields["key"]
        fault = key_fault(in_body)
        if fault is not None or not isinstance(in_body, str):
            raise refusal("bad-field", f'The field "key" {fault}.', field="key")
        if in_query is not None and in_query != in_body:
            raise _differ("key", quoted(in_body), quoted(in_query))
        key = in_body
    if in_header is not None and key is not None and key != in_header:
        raise _bad_header(
            KEY_HEADER, f'is {quoted(in_header)}, and "key" is {quoted(key)}. Give it once.'
        )
    return in_header if key is None else key


def _key_of_header(text: str) -> str:
    if text.startswith('"'):
        if len(text) > _QUOTED_KEY_MAX:
            raise _bad_header(
                KEY_HEADER, f"is {len(text)} bytes with its quotes; a key may have {KEY_BYTES_MAX}."
            )
        match = _QUOTED_KEY.fullmatch(text)
        if match is None:
            raise _bad_header(
                KEY_HEADER, 'begins with a quote and does not end with one, as in "order-17".'
            )
        text = _ESCAPED.sub(r"\1", match[1])
    if text.isascii() and text.isprintable() and 0 < len(text) <= KEY_BYTES_MAX:  # nearly each
        return text
    fault = key_fault(text)
    if fault is None and not text.isprintable():
        fault = "holds what cannot be printed; send such a key in the body"
    if fault is not None:
        raise _bad_header(KEY_HEADER, f"{fault}.")
    return text


# --- condition -----------------------------------------------------------------------------


def _agreed_expect(
    fields: Mapping[str, object], parameters: dict[str, str], in_header: EntryId | None
) -> EntryId | None:
    in_query = whole_number(parameters, "expect", minimum=0)
    expect = in_query
    if "expect" in fields:
        in_body = _expect_of_field(fields["expect"])
        if in_query is not None and in_query != in_body:
            raise _differ("expect", str(in_body), str(in_query))
        expect = in_body
    if in_header is not None and expect is not None and expect != in_header:
        raise _bad_header(EXPECT_HEADER, f'is {in_header}, and "expect" is {expect}. Give it once.')
    return in_header if expect is None else EntryId(expect)


def _expect_of_field(value: object) -> int:
    if type(value) is int and 0 <= value <= NUMBER_MAX:  # not a boolean
        return value
    raise refusal(
        "bad-field",
        f'The field "expect" is {named(value)}, and must be the id that the log is to end with: '
        "a whole number from 0 (an empty log) on.",
        field="expect",
    )


def _expect_of_header(text: str) -> EntryId:
    match = _IF_MATCH.fullmatch(text)
    if match is None:
        raise _bad_header(
            EXPECT_HEADER,
            f'is {quoted(text)}, and must be the id that the log is to end with, such as "7"; '
            '"0" is an empty log.',
        )
    return EntryId(int(match[1] or match[2]))


def _differ(name: str, in_body: str, in_query: str) -> ProblemError:
    return refusal(
        "bad-parameter",
        f"The body says {name} {in_body}, and the query {in_query}. Give it once.",
        parameter=name,
    )


def _bad_header(header: bytes, what: str) -> ProblemError:
    name = header.decode().title()
    return refusal("bad-header", f"The header {name} {what}", header=name)
