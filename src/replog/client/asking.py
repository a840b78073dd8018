"""Asking until a node answers: the master for appends, any node for reads.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from replog.client.errors import (
    ClientError,
    InDoubtError,
    LogFoundElsewhereError,
    NotFreshError,
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
    judge,
    most_telling,
)

MakeCall = Callable[[str, float], Call]
"""Makes the request to a URL, so many seconds after the call of the user began."""


@dataclass(slots=True)
class Round:
    """One round over the nodes: what failed in it."""

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
        self, make: MakeCall, *, within_s: float | None, is_append: bool, key: str | None = None
    ) -> Flow[Answer]:
        """Ask the master, wherever it is.

        An append is sent again after silence only because it carries its key: the node knows
        it again and stores it once (P6).

        Args:
            within_s: when to give up at the latest; None leaves it to `retry_for_s` alone.

        Raises:
            InDoubtError: the time is up, and a request of an append may have been performed.
            ClientError: refused, or the time is up and nothing was stored.
        """
        clock = self.surroundings.clock
        started = clock()
        patience = self.patience(within_s)
        is_in_doubt = False
        while True:
            here = Round()
            asked: set[str] = set()
            queue = self.nodes.to_append()
            while queue:
                url = queue.pop(0)
                if url in asked:
                    continue
                asked.add(url)
                verdict = judge((yield from call(make(url, clock() - started))))
                match verdict:
                    case Answer():
                        self.nodes.is_master(url)
                        return verdict
                    case Final():
                        raise verdict.error
                    case Elsewhere():
                        if verdict.master is not None:
                            queue.insert(0, verdict.master.rstrip("/"))
                    case Again():
                        is_in_doubt |= verdict.may_be_stored
                here.add(verdict)
            hopeless = None if is_in_doubt else here.hopeless()
            pause_s = patience.pause_s(at_least_s=here.after_s)
            if hopeless is not None:
                raise hopeless
            if pause_s is None:
                error = most_telling(here.errors)
                raise InDoubtError(str(error), key) if is_append and is_in_doubt else error
            yield Pause(pause_s)

    def any_node(
        self, make: MakeCall, *, within_s: float | None, fresh_within_s: float
    ) -> Flow[Answer]:
        """Ask one node after the other, beginning with the one that answered last.

        Raises:
            NotFreshError: no node was fresh enough within `fresh_within_s`.
            ClientError: refused, or the time is up.
        """
        clock = self.surroundings.clock
        started = clock()
        patience = self.patience(within_s)
        while True:
            here = Round()
            for url in self.nodes.to_read():
                verdict = judge((yield from call(make(url, clock() - started))))
                match verdict:
                    case Answer():
                        self.nodes.answers_reads(url)
                        return verdict
                    case Final():
                        raise verdict.error
                    case Elsewhere() | Again():
                        here.add(verdict)
            error = most_telling(here.errors)
            pause_s = patience.pause_s(at_least_s=here.after_s)
            is_late = clock() - started >= fresh_within_s
            if pause_s is None or (isinstance(error, NotFreshError) and is_late):
                raise error
            yield Pause(pause_s)
