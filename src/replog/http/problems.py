"""One problem as it is answered: its kind, what happened, and what programs need beside it.

PURE. RFC 9457. The kinds stand in `problem_types`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from replog.http.problem_types import PROBLEMS, ProblemType, type_path

PROBLEM_CONTENT_TYPE = b"application/problem+json"

__all__ = [
    "PROBLEMS",
    "Problem",
    "ProblemError",
    "ProblemType",
    "internal_error",
    "not_found",
    "refusal",
    "type_path",
]

_NO_MEMBERS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Problem:
    """One answer of a kind.

    Attributes:
        detail: one sentence or two for a person: what was got, what was expected, what to do.
        members: what programs need beside it.
        headers: further headers, `Allow` for one.
    """

    kind: ProblemType
    detail: str
    members: Mapping[str, object] = field(default_factory=lambda: _NO_MEMBERS)
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def status(self) -> int:
        return self.kind.status

    def body(self) -> bytes:
        assert self.members.keys() <= set(self.kind.members), self
        return msgspec.json.encode(
            {
                "type": type_path(self.kind.name),
                "title": self.kind.title,
                "status": self.kind.status,
                "detail": self.detail,
                "retryable": self.kind.is_retryable,
                **self.members,
            }
        )

    def all_headers(self, body: bytes) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"content-type", PROBLEM_CONTENT_TYPE),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            *self.headers,
        ]
        if self.kind.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % self.kind.retry_after_s))
        return headers


class ProblemError(Exception):
    """Raised where a request turns out to be wrong; answered at the edge as its problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def refusal(name: str, detail: str, **members: object) -> ProblemError:
    """Return the problem `name` as an exception to raise."""
    return ProblemError(Problem(PROBLEMS[name], detail, members or _NO_MEMBERS))


def not_found(path: str) -> Problem:
    """Return the problem of a path that is none of a node's."""
    return Problem(
        PROBLEMS["not-found"],
        f"There is nothing at {path}. The log is at /logs, all routes are at /docs.",
    )


def internal_error() -> Problem:
    """Return the problem of a request that met a defect of the node."""
    return Problem(
        PROBLEMS["internal-error"],
        "The node made an error, which stands in its log. If this was an append, it may be "
        "stored: look with GET /logs before you send it again.",
    )
