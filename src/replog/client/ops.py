"""The words between the flows, which decide, and a driver, which performs: values only.

PURE. A flow is a generator: it yields what it wants done and is sent what came of it. So one
flow serves the blocking client and the asyncio client (docs/decisions/0070).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from replog.client.model import Entry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """`path` holds the query, percent-encoded."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


# --- what a flow wants done ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """Make a request and read its answer: `Answer` or `Failed`.

    Attributes:
        answer_within_s: how long the node may be silent; None is without limit.
        bytes_max: about where a longer answer is cut; None takes it whole.
    """

    url: str
    request: Request
    answer_within_s: float | None
    bytes_max: int | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """Begin to read a stream: `Opened`, an `Answer` that is no 200, or `Failed`.

    A flow has one open stream at the most; a driver closes it with the flow.
    """

    url: str
    request: Request
    silence_s: float


@dataclass(frozen=True, slots=True)
class More:
    """Read on in the open stream: `Chunk`, which is empty at the end, or `Failed`."""


@dataclass(frozen=True, slots=True)
class Shut:
    """Close the open stream: None."""


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand entries to whoever iterates; the flow goes on when they are consumed."""

    entries: list[Entry]


# --- what comes of it ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whole unless `is_cut`; the names of headers are in small letters."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, or not a whole one.

    Attributes:
        has_left: the request may have reached a node.
        is_hopeless: it cannot be sent as it is, now or later.
    """

    url: str
    reason: str
    has_left: bool
    is_hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    url: str


@dataclass(frozen=True, slots=True)
class Chunk:
    data: bytes


Op: TypeAlias = Call | Open | More | Shut | Pause
Outcome: TypeAlias = Answer | Failed | Opened | Chunk | None

Flow: TypeAlias = Generator[Op, Outcome, T]
"""A call that comes to one result."""

Steps: TypeAlias = Generator[Op | Emit, Outcome, None]
"""An iteration."""


def call(wanted: Call) -> Flow[Answer | Failed]:
    outcome = yield wanted
    assert isinstance(outcome, Answer | Failed), outcome
    return outcome


def open_stream(wanted: Open) -> Flow[Opened | Answer | Failed]:
    outcome = yield wanted
    assert isinstance(outcome, Opened | Answer | Failed), outcome
    return outcome


def more() -> Flow[Chunk | Failed]:
    outcome = yield More()
    assert isinstance(outcome, Chunk | Failed), outcome
    return outcome
