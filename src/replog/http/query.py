"""Reading a query string strictly: every parameter known, and given once.

PURE.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from replog.core.entry import EntryId
from replog.http.json_body import quoted
from replog.http.problems import refusal

_WHOLE = re.compile(r"0|[1-9][0-9]{0,14}")
_NUMBER = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,18}))?"
    r"(?:[Zz]|([+ -])([0-9]{2}):([0-9]{2}))"
)
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NUMBER_MAX = 10**15 - 1
"""The largest id or count that a parameter may give."""

QUERY_BYTES_MAX = 8 * 1024
"""More than all parameters together can need. Reading a query takes up to 190 bytes a byte."""


def parse_query(query: bytes, *, known: Collection[str]) -> dict[str, str]:
    """Return the parameters of `query` by name.

    Raises:
        ProblemError: bad-parameter, naming the one that is unknown or given twice.
    """
    if len(query) > QUERY_BYTES_MAX:
        raise refusal(
            "bad-parameter", f"The query is {len(query)} bytes, and may have {QUERY_BYTES_MAX}."
        )
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise refusal(
            "bad-parameter", "The query is not UTF-8; percent-encode it as UTF-8."
        ) from error
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            takes = f"takes {' and '.join(known)}" if known else "takes no parameters"
            raise refusal(
                "bad-parameter",
                f"The parameter {quoted(name)} is unknown: this call {takes}.",
                parameter=quoted(name)[1:-1],
            )
        if name in parameters:
            raise refusal(
                "bad-parameter",
                f"The parameter {quoted(name)} is given twice; give it once.",
                parameter=name,
            )
        parameters[name] = value
    return parameters


def whole_number(parameters: Mapping[str, str], name: str, *, minimum: int) -> int | None:
    """Return the parameter `name` as a number of at least `minimum`; None where not given."""
    text = parameters.get(name)
    if text is None:
        return None
    if _WHOLE.fullmatch(text) is None or int(text) < minimum:
        raise refusal(
            "bad-parameter",
            f"The parameter {name} is {quoted(text)}, and must be a whole number from {minimum} "
            f"to {NUMBER_MAX}, such as {name}=10.",
            parameter=name,
        )
    return int(text)


def entry_id(text: str) -> EntryId:
    """Return the id that stands in the path of a call about one entry."""
    number = whole_number({"id": text}, "id", minimum=1)
    assert number is not None
    return EntryId(number)


def seconds(parameters: Mapping[str, str], name: str, *, maximum: int) -> float | None:
    """Return the parameter `name` as seconds from 0 to `maximum`; None where not given."""
    text = parameters.get(name)
    if text is None:
        return None
    value = number(text)
    if value is None or value > maximum:
        raise refusal(
            "bad-parameter",
            f"The parameter {name} is {quoted(text)}, and must be a number of seconds from 0 to "
            f"{maximum}, such as {name}=1.5.",
            parameter=name,
        )
    return value


def number(text: str) -> float | None:
    """Return a number of JSON that is not negative; None where `text` is none, or beyond floats."""
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if value < math.inf else None


def one_of(parameters: Mapping[str, str], name: str, words: Collection[str]) -> str | None:
    """Return the parameter `name`, which is one of `words`; None where not given."""
    text = parameters.get(name)
    if text is not None and text not in words:
        raise refusal(
            "bad-parameter",
            f"The parameter {name} is {quoted(text)}, and must be {' or '.join(words)}.",
            parameter=name,
        )
    return text


def moment_ms(parameters: Mapping[str, str], name: str) -> int | None:
    """Return the parameter `name`, a time of RFC 3339, in whole milliseconds since 1970.

    A part of a millisecond counts as a whole one: nothing is between them. A plus sign that
    was not percent-encoded arrives as a space, and is taken for what was meant.
    """
    text = parameters.get(name)
    if text is None:
        return None
    try:
        return _milliseconds(text)
    except ValueError as error:
        raise refusal(
            "bad-parameter",
            f"The parameter {name} is {quoted(text)}, and must be a time of RFC 3339 with its "
            f"offset, such as {name}=2026-11-22T22:10:00Z.",
            parameter=name,
        ) from error


def _milliseconds(text: str) -> int:
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError(f"not of the form of RFC 3339: {text}")
    day, time, fraction, sign, hours, minutes = match.groups(default="")
    since = datetime.fromisoformat(f"{day}T{time}+00:00") - _UNIX_EPOCH
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError(f"no such offset: {text}")
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        since += offset if sign == "-" else -offset
    unit = int("1" + "0" * len(fraction))
    return since // timedelta(milliseconds=1) - (-int(fraction or 0) * 1000 // unit)
