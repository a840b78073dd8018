"""The pages that the `type` of a problem points to: what it means, its cause and its fix.

PURE. Plain text, which `curl` and a browser show alike.
"""

from __future__ import annotations

from textwrap import fill

from replog.http.problems import PROBLEMS, ProblemType, type_path

_WIDTH = 88


def problem_page(kind: ProblemType) -> str:
    """Return the page of one problem."""
    retry = (
        "Nothing was stored, and the same request may succeed here later."
        if kind.is_retryable
        else "The same request will not succeed here by itself: something must change first."
    )
    return "\n\n".join(
        (
            f"{kind.status} {kind.name}: {kind.title}",
            _paragraph(f"Cause: {kind.cause}"),
            _paragraph(f"Fix: {kind.fix}"),
            _paragraph(f"Retry: {retry}"),
            "All problems: /problems\n",
        )
    )


def _paragraph(text: str) -> str:
    return fill(
        text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )


def problem_index() -> str:
    """Return the list of all problems."""
    lines = [f"{kind.status}  {type_path(kind.name):34} {kind.title}" for kind in PROBLEMS.values()]
    return "\n".join(("What this node may answer instead of success:\n", *lines, ""))
