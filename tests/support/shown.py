"""Whether a program said what a document shows.

PURE.
"""

from __future__ import annotations

import re

_VARYING = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"),
    (r"\b(?:[0-9a-f]{8,}\b|[0-9a-f]{2,}…)", "[0-9a-f]{8,}"),
    (r"\s*…\s*", ".*"),
    (r"\s+", r"\s*"),
)
"""Times, hashes and ids of nodes, what a document leaves out, and how it breaks its lines."""


def is_as_shown(said: str, shown: str) -> bool:
    """Return whether `said` is `shown`, but for what varies and for white space."""
    pattern = ""
    place = 0
    text = shown.strip()
    form = re.compile("|".join(f"({varying})" for varying, _ in _VARYING))
    for found in form.finditer(text):
        assert found.lastindex is not None
        pattern += re.escape(text[place : found.start()])
        pattern += _VARYING[found.lastindex - 1][1]
        place = found.end()
    pattern += re.escape(text[place:])
    return re.fullmatch(pattern, said.strip(), re.DOTALL) is not None
