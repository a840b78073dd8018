"""Reading a body as one strict JSON object: what cannot be written back is refused here.

PURE. The standard library's scanner with a hook on pairs, because it alone sees a key that is
given twice: 0.7 µs for a common body (docs/decisions/0040). It makes 25 bytes of each byte of
`{},{},…`, so what may be long is read member by member, up to the first that nobody takes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from replog.http.problems import ProblemError, refusal

_NAMED_MAX = 60
_AT_ONCE_BYTES = 64 * 1024
"""What is longer is read member by member."""

_SPACES = re.compile(r"[ \t\r\n]*")


class NotStrictError(ValueError):
    """JSON that cannot be written back strictly; its text is the reason."""


def decode_object(body: bytes, *, known: Collection[str], example: str) -> dict[str, object]:
    """Return the object that `body` holds, each key given once.

    Strings in it may still hold lone surrogates: who uses one must encode it. Of a long body
    it may be the beginning, as `scan_members` has it: the caller must refuse what is unknown.

    Args:
        known: the names of members that the caller takes, none of them an array or object.
        example: a correct body, for the problem's detail.

    Raises:
        ProblemError: malformed-json, with a detail that says what to do.
    """
    if not body:
        raise _malformed("The body is empty", example)
    try:
        text = body.decode()
        value = _DECODER.decode(text) if len(body) <= _AT_ONCE_BYTES else _decode_long(text, known)
    except UnicodeDecodeError as error:
        raise _malformed(
            f"The body is not UTF-8: byte 0x{body[error.start]:02x} at offset {error.start}",
            example,
        ) from error
    except json.JSONDecodeError as error:
        raise _malformed(_where(body, error), example) from error
    except NotStrictError as error:
        raise _malformed(str(error), example) from error
    except RecursionError as error:
        raise _malformed("The body is nested too deeply", example) from error
    if not isinstance(value, dict):
        raise _malformed(f"The body is {kind_of(value)}, not an object", example)
    return value


def scan_members(text: str, start: int, known: Collection[str]) -> tuple[dict[str, object], int]:
    """Return the members of the strict JSON object that begins at `start`, and where it ends.

    Only as far as its caller may take it: a member whose name is not in `known`, or whose value
    is an array or an object, is the last one, and the end that of `text`. So what is made is
    never much larger than the text.

    Raises:
        NotStrictError: a key is given twice, NaN, a number beyond any use.
        json.JSONDecodeError: it is no JSON object.
    """
    members: dict[str, object] = {}
    at = after_spaces(text, start + len("{"))
    if text.startswith("}", at):
        return members, at + 1
    while True:
        if not text.startswith('"', at):
            raise json.JSONDecodeError(
                "Expecting property name enclosed in double quotes", text, at
            )
        name, at = _DECODER.raw_decode(text, at)
        if name in members:
            raise _given_twice(name)
        at = after_spaces(text, at)
        if not text.startswith(":", at):
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        value, at = scan_scalar(text, after_spaces(text, at + 1))
        members[name] = value
        if name not in known or isinstance(value, list | dict):
            return members, len(text)
        at = after_spaces(text, at)
        if text.startswith("}", at):
            return members, at + 1
        if not text.startswith(",", at):
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        at = after_spaces(text, at + 1)


def scan_scalar(text: str, start: int) -> tuple[object, int]:
    """Return the strict JSON value that begins at `start`, and where it ends.

    Of an array or an object an empty one, and the end of `text`. Raises as `scan_members`.
    """
    if text.startswith("[", start):
        return [], len(text)
    if text.startswith("{", start):
        return {}, len(text)
    return _DECODER.raw_decode(text, start)


def after_spaces(text: str, start: int) -> int:
    spaces = _SPACES.match(text, start)
    assert spaces is not None, "no spaces are spaces too"
    return spaces.end()


def kind_of(value: object) -> str:
    """Return what a JSON value is, in JSON's words."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def named(value: object) -> str:
    """Return a wrong value for a problem's detail: a short number or a string as it was sent."""
    if isinstance(value, str):
        return quoted(value)
    text = repr(value)
    is_short_number = isinstance(value, int | float) and not isinstance(value, bool)
    return text if is_short_number and len(text) <= _NAMED_MAX else kind_of(value)


def quoted(text: str) -> str:
    """Return `text` quoted for a problem's detail: short, and whole UTF-8."""
    short = text if len(text) <= _NAMED_MAX else text[:_NAMED_MAX] + "…"
    return '"' + short.encode("utf-8", "replace").decode() + '"'


def _malformed(what: str, example: str) -> ProblemError:
    return refusal("malformed-json", f"{what}. Send one JSON object, such as {example}.")


def _where(body: bytes, error: json.JSONDecodeError) -> str:
    if body.startswith(b"\xef\xbb\xbf"):
        return "The body begins with a byte order mark; send it without"
    if body.lstrip().startswith(b"'"):
        return "The body begins with a single quote, which the shell should have taken away"
    what = error.msg.removesuffix(" at")
    return f"The body is not JSON: {what} at line {error.lineno}, column {error.colno}"


def _decode_long(text: str, known: Collection[str]) -> object:
    value: object
    start = after_spaces(text, 0)
    if text.startswith("{", start):
        value, end = scan_members(text, start, known)
    else:
        value, end = scan_scalar(text, start)
    end = after_spaces(text, end)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _given_twice(key)
            seen.add(key)
    return value


def _given_twice(key: str) -> NotStrictError:
    return NotStrictError(f"The key {quoted(key)} is given twice")


def _refuse_constant(name: str) -> object:
    raise NotStrictError(f"{name} is not JSON")


def _whole_number(digits: str) -> int:
    try:
        return int(digits)
    except ValueError as error:  # the interpreter's bound on digits
        raise NotStrictError(f"A number of {len(digits)} digits is too large") from error


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse_constant, parse_int=_whole_number
)
