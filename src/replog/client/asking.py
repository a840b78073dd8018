"""Asking until a node answers: the master for appends, any node for reads.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from replog.client.errors import (
    ClientError,
    ClosedError,
    InDoubtError,
    KeyReusedError,
    LogFoundElsewhereError,
    NotANodeError,
    NotFreshError,
    PreconditionFailedError,
    SupersededError,
)
from replog.client.ops import Answer, Call, Flow, Pause, call
from replog.client.policy import (
    Again,
    Elsewhere,
    Final,
    Nodes,
    Patience,
    Surroundings,
    Verdict,
    judge,
    most_telling,
)

T = TypeVar("T")

MakeCall = Callable[[str, float], Call]
"""Makes the request to a URL, so many seconds after the call of the user began."""

MakeRead = Callable[[str, float], Call]
"""Makes the request to a URL whose node may wait so many seconds until it is fresh."""

FIRST_WAIT_S = 0.25
"""How long each node of several may wait to be fresh when it is asked first; then twice as long.

One that is cut off never is, and another one may be fresh at once.
"""

LOOKED_FOR_THE_KEY = (PreconditionFailedError, KeyReusedError)
"""What a node says only after it found no entry of this append under its key (P6).

Every other refusal may come from a node, or from something before it, that did not look.
"""


@dataclass(slots=True)
class Failures:
    """What failed in one pass over the nodes."""

    errors: list[ClientError] = field(default_factory=list)
    after_s: float = 0.0
    can_get_better: bool = False

    def add(self, verdict: Again | Elsewhere) -> None:
        self.errors.append(verdict.error)
        if isinstance(verdict, Again):
            self.after_s = max(self.after_s, verdict.after_s)
            self.can_get_better = True

    def hopeless(self) -> ClientError | None:
        """Return the error that no waiting cures, where all that answered said one."""
        ends = (SupersededError, LogFoundElsewhereError)
        told = [error for error in self.errors if isinstance(error, ends)]
        return told[0] if told and not self.can_get_better else None


@dataclass(slots=True)
class Doubt:
    """Whether what was asked may have been stored by a request whose answer is not known.

    Attributes:
        can_store: it is an append.
        key: under which it is stored once, however often it is sent; None where its messages
            have keys of their own.
    """

    can_store: bool
    key: str | None
    is_there: bool = False

    def arises(self) -> None:
        self.is_there = self.can_store

    def ended_by(self, error: ClientError) -> ClientError:
        """Return what the call raises: with its key, unless it is proved that nothing is stored."""
        if not self.is_there or isinstance(error, LOOKED_FOR_THE_KEY):
            return error
        in_doubt = InDoubtError(str(error), self.key)
        in_doubt.__cause__ = error
        return in_doubt


@dataclass(frozen=True, slots=True)
class Asking:
    """The loops around single requests.

    Attributes:
        retry_for_s: how long a call goes on after its first failure; None is for ever.
    """

    nodes: Nodes
    surroundings: Surroundings
    retry_for_s: float | None

    def patience(self, within_s: float | None = None) -> Patience:
        return Patience(self.surroundings, retry_for_s=self.retry_for_s, within_s=within_s)

    def master(
        self,
        make: MakeCall,
        decode: Callable[[Answer], T],
        *,
        within_s: float | None,
        is_append: bool,
        key: str | None = None,
    ) -> Flow[T]:
        """Ask the master, wherever it is.

        An append is sent again after silence only because it carries its key: the node knows
        it again and stores it once (P6).

        Args:
            decode: what the answer says; it raises `NotANodeError` where it says nothing.
            within_s: when to give up at the latest; None leaves it to `retry_for_s` alone.

        Raises:
            InDoubtError: a request of an append may have been performed, and the time is up, or
                the last answer does not tell.
            ClientError: refused, or the time is up and nothing was stored.
        """
        clock = self.surroundings.clock
        started = clock()
        patience = self.patience(within_s)
        doubt = Doubt(is_append, key)
        while True:
            failures = Failures()
            asked: set[str] = set()
            queue = self.nodes.to_append()
            while queue:
                url = queue.pop(0)
                if url in asked:
                    continue
                asked.add(url)
                verdict: Verdict
                try:
                    verdict = judge((yield from call(make(url, clock() - started))))
                    if isinstance(verdict, Answer):
                        doubt.arises()  # it was taken, whatever the answer looks like
                        result = decode(verdict)
                        self.nodes.is_master(url)
                        return result
                except (ClosedError, NotANodeError) as error:
                    verdict = Final(error)
                match verdict:
                    case Final():
                        raise doubt.ended_by(verdict.error)
                    case Elsewhere():
                        failures.add(verdict)
                        if verdict.master is not None:
                            queue.insert(0, verdict.master)
                    case Again():
                        failures.add(verdict)
                        if verdict.may_be_stored:
                            doubt.arises()
            hopeless = None if doubt.is_there else failures.hopeless()
            pause_s = patience.pause_s(at_least_s=failures.after_s)
            if hopeless is not None:
                raise hopeless
            if pause_s is None:
                raise doubt.ended_by(most_telling(failures.errors))
            yield Pause(pause_s)

    def any_node(
        self, make: MakeRead, *, within_s: float | None, fresh_within_s: float
    ) -> Flow[Answer]:
        """Ask one node after the other, beginning with the one that answered last.

        Raises:
            NotFreshError: no node was fresh enough within `fresh_within_s`.
            ClientError: refused, or the time is up.
        """
        clock = self.surroundings.clock
        started = clock()
        patience = self.patience(within_s)
        has_one_try = len(self.nodes.urls) == 1 or self.retry_for_s == 0
        wait_s = fresh_within_s if has_one_try else FIRST_WAIT_S
        while True:
            failures = Failures()
            for url in self.nodes.to_read():
                left_s = max(0.0, started + fresh_within_s - clock())
                verdict = judge((yield from call(make(url, min(left_s, wait_s)))))
                match verdict:
                    case Answer():
                        self.nodes.answers_reads(url)
                        return verdict
                    case Final():
                        raise verdict.error
                    case Elsewhere() | Again():
                        failures.add(verdict)
            error = most_telling(failures.errors)
            is_late = clock() - started >= fresh_within_s
            if isinstance(error, NotFreshError) and not is_late:
                patience.is_alive()  # waiting until a node is fresh is no failure
            pause_s = patience.pause_s(at_least_s=failures.after_s)
            if pause_s is None or (isinstance(error, NotFreshError) and is_late):
                raise error
            wait_s = min(2 * wait_s, fresh_within_s)
            yield Pause(pause_s)
