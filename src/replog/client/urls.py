"""URLs of nodes: what is one, and how it is spelt.

PURE.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:8000"


def urls_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the URLs of nodes, their scheme in small letters, without a slash at the end.

    Raises:
        ValueError: one of them is no URL of a node, or there is none.
    """
    urls = []
    for text in [given] if isinstance(given, str) else given:
        url = url_of(text)
        if url is None:
            raise ValueError(f'got "{text}", which is no URL of a node: one is {DEFAULT_URL}')
        urls.append(url)
    if not urls:
        raise ValueError("give at least one URL of a node")
    return tuple(urls)


def url_of(text: str) -> str | None:
    """Return a URL as it is asked; None where it is none. A proxy may show a node under a path."""
    try:
        parts = urlsplit(text)
        is_host = bool(parts.hostname) and parts.port != 0  # raises ValueError where it is none
    except ValueError:
        return None
    is_more = parts.query or parts.fragment or not text.isprintable() or " " in text
    if parts.scheme not in {"http", "https"} or not is_host or is_more:
        return None
    return parts.scheme + text[len(parts.scheme) :].rstrip("/")
