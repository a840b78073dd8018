"""What `POST /logs` asks for: the fields of its body and its query, checked and settled.

PURE. The write concern has three spellings (`w`, `write_concern`, `writeConcern`) and two
places (body and query); one spelling, and no contradiction, is let through.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from replog.core.write_concern import WriteConcern
from replog.http.json_body import decode_object, kind_of, named, quoted
from replog.http.limits import Limits
from replog.http.problems import ProblemError, refusal
from replog.http.query import parse_query
from replog.storage.batch import encode_message

EXAMPLE = '{"message": "hello"}'

CONCERN_SPELLINGS = ("w", "write_concern", "writeConcern")
PARAMETERS = ("w", "timeout", "write_concern", "writeConcern")
FIELDS = ("message", *PARAMETERS)

TIMEOUT_S_MAX = 1e9
"""About 31 years; a longer one is the same to whoever waits, and would overflow ticks."""

_WHOLE_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_NUMBER = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class AppendRequest:
    """One message as a JSON string (encoded, quotes included), and how long to wait for what.

    Attributes:
        concern: None is the default of the node's configuration.
        timeout_s: 0 answers as soon as it is stored; None waits without limit.
    """

    message: bytes
    concern: WriteConcern | None
    timeout_s: float | None


def parse_append(body: bytes, query: bytes, limits: Limits) -> AppendRequest:
    """Return what body and query ask for together.

    Raises:
        ProblemError: malformed-json, bad-field, bad-parameter, bad-write-concern, too-large.
    """
    fields = decode_object(body, example=EXAMPLE)
    text = fields.get("message")
    if not isinstance(text, str):
        raise _bad_message(fields)
    if len(fields) == 1 and not query:  # what nearly every append looks like
        return AppendRequest(_encode(text, limits), None, None)
    for name in fields:
        if name not in FIELDS:
            raise _unknown_field(name)
    parameters = parse_query(query, known=PARAMETERS) if query else {}
    return AppendRequest(
        _encode(text, limits),
        _agreed_concern(fields, parameters),
        _agreed_timeout(fields, parameters),
    )


def _bad_message(fields: Mapping[str, object]) -> ProblemError:
    if "message" in fields:
        return refusal(
            "bad-field",
            f'The field "message" is {kind_of(fields["message"])}, and must be a string, as in '
            f"{EXAMPLE}.",
            field="message",
        )
    for name in fields:
        if name not in FIELDS:
            return _unknown_field(name)
    return refusal(
        "bad-field", f'The field "message" is missing. Send it as in {EXAMPLE}.', field="message"
    )


def _unknown_field(name: str) -> ProblemError:
    return refusal(
        "bad-field",
        f"The field {quoted(name)} is unknown: an append takes {', '.join(FIELDS[:3])}.",
        field=quoted(name)[1:-1],
    )


def _encode(text: str, limits: Limits) -> bytes:
    try:
        message = encode_message(text)
        size = len(message) - 2  # never less than the message's own UTF-8
        if size > limits.message_bytes_max:
            size = len(text.encode())
    except UnicodeEncodeError as error:
        raise refusal(
            "malformed-json",
            "The message holds a lone surrogate (\\ud800 to \\udfff without its other half), "
            "which is no character. Send the character itself, or both halves.",
        ) from error
    if size > limits.message_bytes_max:
        raise refusal(
            "too-large",
            f"The message is {size} bytes of UTF-8, and the limit is "
            f"{limits.message_bytes_max}. Split it.",
            limit=limits.message_bytes_max,
        )
    return message


# --- write concern -------------------------------------------------------------------------


def _agreed_concern(
    fields: Mapping[str, object], parameters: Mapping[str, str]
) -> WriteConcern | None:
    spellings = [s for s in CONCERN_SPELLINGS if s in fields or s in parameters]
    if not spellings:
        return None
    if len(spellings) > 1:
        raise _bad_concern(f"The write concern is given as {' and as '.join(spellings)}.")
    name = spellings[0]
    in_body = _concern_of_field(fields[name], name) if name in fields else None
    in_query = _concern_of_parameter(parameters[name], name) if name in parameters else None
    if in_body is None:
        return in_query
    if in_query is not None and in_query != in_body:
        raise _bad_concern(f"The body says {name} {in_body}, and the query {name} {in_query}.")
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
    raise _bad_concern(f'The field "{name}" is {got}.')


def _concern_of_parameter(text: str, name: str) -> WriteConcern:
    if text == "all":
        return "all"
    if text == "majority":
        return "majority"
    if _WHOLE_NUMBER.fullmatch(text) is None:
        raise _bad_concern(f"The parameter {name} is {quoted(text)}.")
    return int(text)


def _bad_concern(what: str) -> ProblemError:
    return refusal(
        "bad-write-concern",
        f'{what} Give it once, as w: a whole number from 1 to the number of nodes, "majority" '
        'or "all".',
    )


# --- timeout -------------------------------------------------------------------------------


def _agreed_timeout(fields: Mapping[str, object], parameters: Mapping[str, str]) -> float | None:
    in_body = _timeout_of_field(fields["timeout"]) if "timeout" in fields else None
    in_query = _timeout_of_parameter(parameters["timeout"]) if "timeout" in parameters else None
    if in_body is None:
        return in_query
    if in_query is not None and in_query != in_body:
        raise refusal(
            "bad-parameter",
            f"The body says timeout {in_body:g}, and the query {in_query:g}. Give it once.",
            parameter="timeout",
        )
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
    seconds = _seconds(float(text)) if _NUMBER.fullmatch(text) else None
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
