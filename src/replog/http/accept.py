"""Which of the media types that a route offers its client wants.

PURE. RFC 9110, section 12.5.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def preferred(accept: bytes | None, offered: Sequence[str]) -> str | None:
    """Return the one of `offered` that `accept` likes best; None where it takes none of them.

    The first offered wins among equals, so that it is also the answer to `*/*` and to no
    header at all. A range that is not well-formed counts for nothing.

    Args:
        offered: media types in lower case, without parameters.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_range(one) for one in accept.decode("latin-1").split(",")]
    best, best_liking = None, 0.0
    for media_type in offered:
        liking = _liking(media_type, ranges)
        if liking > best_liking:
            best, best_liking = media_type, liking
    return best


def _liking(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """Return the weight of the most specific range that `media_type` is in; 0 without one."""
    for pattern in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        found = [weight for name, weight in ranges if name == pattern]
        if found:
            return max(found)
    return 0.0


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    return name, quality(parameters)


def quality(parameters: Iterable[str]) -> float:
    """Return the weight that the first `q` gives, 1 without one, 0 where it is not well-formed.

    Args:
        parameters: in lower case (RFC 9110, section 12.4.2).
    """
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            value = value.strip()
            return float(value) if _QUALITY.fullmatch(value) else 0.0
    return 1.0
