"""A bug: who hangs up on an append keeps its place among those that may wait.

SHELL.
"""

from __future__ import annotations

from replog.http.whole_append import WholeAppend


def _hung_up(append: WholeAppend) -> None:
    """Take the hang-up for an answer, and do not tell who counts."""
    append.response_complete = append.response_complete or append.disconnected


WholeAppend.set = _hung_up  # type: ignore[method-assign, assignment]
