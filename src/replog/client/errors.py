"""What can go wrong in a call of a client: a small tree that mirrors the problems of a node.

PURE. docs/http.md lists the problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class ClientError(Exception):
    """Everything that a call of this client raises on its own account."""


class UnreachableError(ClientError):
    """No node took the request as long as the call went on trying: nothing was stored."""


class InDoubtError(ClientError):
    """The append left, and no answer says what became of it: the entry may be stored.

    Append it again with `key`, now or in an hour: it is stored once. The `__cause__` is what the
    call met last.

    Attributes:
        key: of the append, or of the batch; None where each message has a key of its own.
        messages: of the batch of a producer, which can be repeated only as a whole:
            `client.append_many(error.messages, key=error.key)`. Empty for other appends.
    """

    def __init__(self, reason: str, key: str | None, messages: tuple[str, ...] = ()) -> None:
        super().__init__(reason, key, messages)
        self.reason = reason
        self.key = key
        self.messages = messages

    def __str__(self) -> str:
        return f"it may be stored: append it again with the same key ({self.reason})"


class NotANodeError(ClientError):
    """What answered is no node of a replicated log, or something on the way to it."""


class OtherLogError(ClientError):
    """A node holds another log than the one followed so far: its ids are other entries."""


class ClosedError(ClientError):
    """The client or the producer was closed before."""


class NotSentError(ClientError):
    """An append that a producer took and did not send, because one before it failed."""

    def __init__(self, before: ClientError) -> None:
        super().__init__(before)
        self.before = before

    def __str__(self) -> str:
        return f"not sent, because an append before it failed: {self.before}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A node's answer in the form of RFC 9457.

    Attributes:
        name: the last part of `type`, as docs/http.md lists it.
        members: what the answer holds beside the five members of every problem.
        retry_after_s: what the header Retry-After says.
    """

    name: str
    status: int
    title: str
    detail: str
    is_retryable: bool
    url: str
    members: Mapping[str, object] = field(default_factory=dict[str, object])
    retry_after_s: float | None = None


class ProblemError(ClientError):
    """A node refused: `problem.detail` says what to do. Nothing was stored by this request."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.problem.detail} ({self.problem.name}, {self.problem.url})"

    def _number(self, member: str) -> int | None:
        value = self.problem.members.get(member)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _text(self, member: str) -> str | None:
        value = self.problem.members.get(member)
        return value if isinstance(value, str) else None


class RequestError(ProblemError):
    """The request is wrong as it stands: 4xx."""


class TooLargeError(RequestError):
    """A message, or a batch, is above a limit of the node."""

    @property
    def limit(self) -> int | None:
        return self._number("limit")


class UnknownIdError(RequestError):
    """There is no such entry, or this node does not show it yet."""

    @property
    def committed_id(self) -> int | None:
        return self._number("committed")


class NotTheMasterError(RequestError):
    """Only secondaries answered, and none of them knows its master."""

    @property
    def master(self) -> str | None:
        return self._text("master")


class PreconditionFailedError(RequestError):
    """The log does not end at `expect` any more."""

    @property
    def last_id(self) -> int | None:
        return self._number("last_id")


class KeyReusedError(RequestError):
    """The key belongs to an entry with another message."""

    @property
    def id(self) -> int | None:
        return self._number("id")


class UnavailableError(ProblemError):
    """The cluster cannot do it now: 503 and 507."""


class NoQuorumError(UnavailableError):
    """The master does not reach as many nodes as it is configured to."""


class SupersededError(UnavailableError):
    """Another master reigns, and none of the client's nodes is it."""


class LogFoundElsewhereError(UnavailableError):
    """The master lost its directory while a secondary holds the log: see `replog restore`."""


class DamagedError(UnavailableError):
    """Part of the log does not verify on that node, and is not served."""


class OverloadedError(UnavailableError):
    """Too much waits at the node."""


class StoppingError(UnavailableError):
    """The node was told to stop."""


class DiskFullError(UnavailableError):
    """The master's disk is full."""


class NotFreshError(UnavailableError):
    """No node was as fresh as the read asks for, within its `timeout`."""

    @property
    def committed_id(self) -> int | None:
        return self._number("committed")


class InternalError(ProblemError):
    """A defect of the node. An append that met one may be stored, so it is asked again under its
    key, and raises `InDoubtError` in the end.
    """


ERROR_OF_PROBLEM: Mapping[str, type[ProblemError]] = {
    "too-large": TooLargeError,
    "unknown-id": UnknownIdError,
    "not-the-master": NotTheMasterError,
    "ask-the-master": NotTheMasterError,
    "precondition-failed": PreconditionFailedError,
    "idempotency-key-reused": KeyReusedError,
    "internal-error": InternalError,
    "no-quorum": NoQuorumError,
    "superseded": SupersededError,
    "log-found-elsewhere": LogFoundElsewhereError,
    "damaged": DamagedError,
    "overloaded": OverloadedError,
    "stopping": StoppingError,
    "disk-full": DiskFullError,
    "not-fresh": NotFreshError,
    "too-far-behind": NotFreshError,
    "no-master": NotFreshError,
}
"""What has no class of its own is a `RequestError` below 500, else an `UnavailableError`."""


def error_of(problem: Problem) -> ProblemError:
    fallback = RequestError if problem.status < 500 else UnavailableError
    return ERROR_OF_PROBLEM.get(problem.name, fallback)(problem)
