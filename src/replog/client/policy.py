"""What to do after an answer that is not the wanted one: who to ask next, when, and until when.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from replog.client.errors import (
    ClientError,
    LogFoundElsewhereError,
    NotANodeError,
    NotTheMasterError,
    Problem,
    ProblemError,
    SupersededError,
    UnreachableError,
    error_of,
)
from replog.client.ops import Answer, Failed
from replog.client.urls import url_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

FIRST_PAUSE_S = 0.05
PAUSE_S_MAX = 2.0
STATUSES_OF_PROXIES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Without a problem in the body, these come from something in front of a node."""

_MEMBERS_OF_ALL = {"type", "title", "status", "detail", "retryable"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the flows know of the world.

    Attributes:
        clock: monotonic seconds.
        jitter: from 0 to 1, evenly spread.
    """

    clock: Callable[[], float]
    jitter: Callable[[], float]
    new_key: Callable[[], str]


# --- what an answer means -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """This node cannot do it, another one may; `master` is where it says to ask, if anywhere."""

    error: ProblemError
    master: str | None


@dataclass(frozen=True, slots=True)
class Again:
    """The same request may succeed later, or at another node.

    Attributes:
        after_s: the pause that the node asks for.
        may_be_stored: nobody said that an append was refused.
    """

    error: ClientError
    after_s: float = 0.0
    may_be_stored: bool = False


@dataclass(frozen=True, slots=True)
class Final:
    """An honest no: asking again would not change it."""

    error: ClientError


Verdict: TypeAlias = Answer | Elsewhere | Again | Final


def judge(outcome: Answer | Failed) -> Verdict:
    if isinstance(outcome, Failed):
        error = UnreachableError(f"{outcome.url}: {outcome.reason}")
        if outcome.is_hopeless:
            return Final(error)
        return Again(error, may_be_stored=outcome.has_left)
    if 200 <= outcome.status < 300:
        return outcome
    problem = problem_in(outcome)
    if problem is None:
        text = f"{outcome.url} answered {outcome.status}, and not as a node does"
        if outcome.status in STATUSES_OF_PROXIES:
            after_s = _retry_after_s(outcome) or 0.0
            return Again(UnreachableError(text), after_s=after_s, may_be_stored=True)
        return Final(NotANodeError(text))
    refused = error_of(problem)
    if isinstance(refused, NotTheMasterError):
        return Elsewhere(refused, None if refused.master is None else url_of(refused.master))
    if isinstance(refused, SupersededError | LogFoundElsewhereError):
        return Elsewhere(refused, None)
    if problem.status == 500:  # a defect, met before or after it was stored: nobody knows
        return Again(refused, may_be_stored=True)
    if problem.is_retryable:
        return Again(refused, after_s=problem.retry_after_s or 0.0)
    return Final(refused)


def problem_in(answer: Answer) -> Problem | None:
    """Return the problem that a node answered; None where the answer is not a node's."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        value: object = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None
    return Problem(
        name=str(value["type"]).rpartition("/")[2],
        status=answer.status,
        title=str(value.get("title", "")),
        detail=str(value.get("detail") or value.get("title", "")),
        is_retryable=value.get("retryable") is True,
        url=answer.url,
        members={name: value[name] for name in value if name not in _MEMBERS_OF_ALL},
        retry_after_s=_retry_after_s(answer),
    )


def _retry_after_s(answer: Answer) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


# --- until when ---------------------------------------------------------------------------------


class Patience:
    """How long a call goes on failing, and how it pauses between two rounds over the nodes.

    Pauses double from 50 ms to 2 s, each shortened by up to half by chance, so that many
    clients do not come back at the same moment. Waiting for an answer is not failing: the time
    counts from the first failure after the last sign of life.

    Args:
        within_s: what is left of the call's own time; None where it has none.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        retry_for_s: float | None,
        within_s: float | None = None,
    ) -> None:
        self.retry_for_s = retry_for_s
        self._ends_at = None if within_s is None else surroundings.clock() + within_s
        self._clock = surroundings.clock
        self._jitter = surroundings.jitter
        self._failing_since: float | None = None
        self._rounds = 0

    def is_alive(self) -> None:
        """Count the time anew: a node answered."""
        self._failing_since = None

    def restore(self) -> None:
        """Begin anew, with short pauses: a node did what was asked."""
        self._failing_since = None
        self._rounds = 0

    def pause_s(self, *, at_least_s: float = 0.0) -> float | None:
        """Return how long to pause after a round that failed; None: give up.

        The last round begins when the time is up, not before, so that a node which comes back
        in the last pause is found.
        """
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        pause_s = min(PAUSE_S_MAX, FIRST_PAUSE_S * 2.0 ** min(self._rounds, 10))
        pause_s = max(at_least_s, pause_s * (1 - self._jitter() / 2))
        self._rounds += 1
        ends = [] if self._ends_at is None else [self._ends_at]
        if self.retry_for_s is not None:
            ends.append(self._failing_since + self.retry_for_s)
        if not ends:
            return pause_s
        left_s = min(ends) - now
        return min(pause_s, left_s) if left_s > 0 else None


# --- who to ask ---------------------------------------------------------------------------------


class Nodes:
    """The nodes of a client and what it learned of them. Shared by its calls and threads.

    Args:
        first_to_read: position in `urls` at which reads begin, so that clients spread.
        lock: held around changes that must not cross.
    """

    def __init__(
        self, urls: Sequence[str], *, lock: AbstractContextManager[object], first_to_read: int = 0
    ) -> None:
        assert urls
        self._lock = lock
        self.urls = tuple(dict.fromkeys(urls))
        self._master: str | None = None
        self._reads_at = first_to_read % len(self.urls)
        self.seen_id = 0
        """The highest id that this client was told of: its reads show at least so much."""

    def to_append(self) -> list[str]:
        """Return whom to ask for the master, the likeliest first."""
        master = self._master
        rest = [url for url in self.urls if url != master]
        return rest if master is None else [master, *rest]

    def to_read(self) -> list[str]:
        """Return every node, the one that answered last first."""
        at = self._reads_at
        return [*self.urls[at:], *self.urls[:at]]

    def is_master(self, url: str) -> None:
        self._master = url

    def answers_reads(self, url: str) -> None:
        self._reads_at = self.urls.index(url)

    def failed_reads(self, url: str) -> None:
        """Let the next read begin at the node behind `url`."""
        with self._lock:
            if self.urls[self._reads_at] == url:
                self._reads_at = (self._reads_at + 1) % len(self.urls)

    def saw(self, id: int) -> None:
        with self._lock:
            self.seen_id = max(self.seen_id, id)


def most_telling(errors: Sequence[ClientError]) -> ClientError:
    """Return the error of a round that says most: a node's word before silence."""

    def rank(error: ClientError) -> int:
        if isinstance(error, NotTheMasterError):
            return 0
        return 2 if isinstance(error, ProblemError) else 1

    return max(errors, key=rank)
