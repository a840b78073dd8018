"""Parsers of settings: a text in, its value out, ValueError where it is none.

PURE.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from replog.core.write_concern import WriteConcern

T = TypeVar("T")

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_DEFAULT_PORTS = {"http": 80, "https": 443}


def choice(*values: T) -> Callable[[str], T]:
    by_text = {str(value): value for value in values}

    def parse(text: str) -> T:
        if text not in by_text:
            raise ValueError(text)
        return by_text[text]

    return parse


def whole_number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() else -1
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return parse


def seconds(most: int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and 0 <= value <= most):
            raise ValueError(text)
        return value

    return parse


def text_of_some_length(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError(text)
    return text


def write_concern(text: str) -> WriteConcern:
    if text == "all":
        return "all"
    if text == "majority":
        return "majority"
    return whole_number(1, 1000)(text)


def node_url(text: str) -> str:
    """Return the base URL of a node in its one spelling: equal texts are the same URL."""
    parts = urlsplit(text)
    port = parts.port  # raises ValueError where it is none
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == 0:
        raise ValueError(text)
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(text)
    if any(map(str.isspace, text)):
        raise ValueError(text)
    parts.hostname.encode("idna")  # raises UnicodeError, a ValueError: nobody could resolve it
    return base_url(parts.scheme, parts.hostname, port)


def base_url(scheme: str, host: str, port: int | None) -> str:
    """Return `scheme://host:port` in small letters, without a port that goes without saying."""
    name = f"[{host}]" if ":" in host else host
    end = "" if port in {None, _DEFAULT_PORTS[scheme]} else f":{port}"
    return f"{scheme}://{name.lower()}{end}"


def node_urls(text: str) -> tuple[str, ...]:
    urls = tuple(node_url(url.strip()) for url in text.split(",") if url.strip())
    if len(set(urls)) != len(urls):
        raise ValueError(text)
    return urls


def optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    return lambda text: None if text == "none" else parse(text)


def truth(text: str) -> bool:
    value = _TRUTHS.get(text.lower())
    if value is None:
        raise ValueError(text)
    return value


def shown(value: object) -> str:
    """Return the value of a setting for people: `none`, `true`, `http://b:1,http://c:1`."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(shown, value))
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
