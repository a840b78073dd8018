"""Strict JSON by the standard library: what a body must store, whether an answer is valid.

PURE. Nothing of the product is used.
"""

from __future__ import annotations

import json
from typing import Final, NoReturn

_FIELDS: Final = frozenset({"message", "key"})


class NotStrict(ValueError):
    """It is no JSON of RFC 8259, or not everyone reads the same in it."""


def parse(data: bytes) -> object:
    """Return the value that `data` is, in UTF-8, without a mark, a name twice or a lone surrogate.

    Raises:
        NotStrict: with the reason.
    """
    try:
        text = data.decode("utf-8", "strict")
        value: object = json.loads(
            text, object_pairs_hook=_once, parse_constant=_refuse, parse_int=_number
        )
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise NotStrict(str(error)) from error
    return value


def messages_in(body: bytes) -> tuple[str, ...] | None:
    """Return what a body of type JSON must store by itself, nothing where it must be refused.

    None where it says more than messages and keys: that is for whoever made it to know.
    """
    try:
        value = parse(body)
    except NotStrict:
        return ()
    if isinstance(value, dict) and value.keys() - {"message"}:
        return None if isinstance(value.get("message"), str) else ()
    each = value if isinstance(value, list) else [value]
    messages: list[str] = []
    has_keys = False
    for one in each:
        if not isinstance(one, dict) or one.keys() - _FIELDS:
            return ()
        message = one.get("message")
        if not isinstance(message, str):
            return ()
        messages.append(message)
        has_keys = has_keys or "key" in one
    return None if has_keys else tuple(messages)


def messages_in_lines(body: bytes) -> tuple[str, ...] | None:
    """Return as `messages_in` what a body of lines must store: an object in each line."""
    lines = body.rstrip(b" \t\r\n").split(b"\n")
    each = [messages_in(line) if line.lstrip().startswith(b"{") else () for line in lines]
    if () in each:
        return ()
    known = [one for one in each if one is not None]
    return tuple(one[0] for one in known) if len(known) == len(each) else None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name is given twice")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _number(digits: str) -> float | int:
    return int(digits) if len(digits) < 400 else float(digits)
