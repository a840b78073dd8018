"""One node as the client commands ask it, and what failures mean for a person at a shell.

NETWORK. All HTTP is `replog.client`'s; here are its errors as a line and an exit code.
"""

from __future__ import annotations

import json
from types import TracebackType
from typing import Self, TypeVar

from replog.cli.options import DEFAULT_URL
from replog.cli.output import CommandError, ExitCode, InDoubtError, fail
from replog.client import Client, ClientError, NotANodeError, ProblemError, UnreachableError
from replog.client.calls import Calls
from replog.client.ops import Answer, Call, Failed, Flow, Request, call
from replog.client.policy import judge, problem_in
from replog.client.urls import url_of
from replog.client.wire import committed_of
from replog.core.text import printable

CONNECT_TIMEOUT_S = 5.0
ANSWER_WITHIN_S = 30.0

_CODE_OF_STATUS = {
    400: ExitCode.USAGE,
    404: ExitCode.NOT_FOUND,
    405: ExitCode.USAGE,
    406: ExitCode.USAGE,
    412: ExitCode.PRECONDITION_FAILED,
    413: ExitCode.USAGE,
    415: ExitCode.USAGE,
    421: ExitCode.USAGE,
    422: ExitCode.USAGE,
}
"""Everything else is the node's environment: exit 1."""

T = TypeVar("T")


class RefusedByNodeError(CommandError):
    """A node said no.

    Attributes:
        line: of a batch, from 1: the one that was refused; None where it is not about one.
    """

    def __init__(self, text: str, code: ExitCode, *, line: int | None) -> None:
        super().__init__(text, code)
        self.line = line


class NoNodeError(CommandError):
    """No node answers there.

    Attributes:
        reason: why not, in a few words.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"no node answers at {url} ({reason}); is it running? `replog up` starts a cluster, "
            "`replog serve` one node; --url asks another one",
            ExitCode.NO_NODE_REACHABLE,
        )
        self.reason = reason


class AskedNode:
    """A node, asked once each time: what fails is told at once, with its exit code."""

    def __init__(self, url: str, *, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        asked = url_of(url)
        if asked is None:
            shown = printable(url)
            text = f'--url: got "{shown}", which is no URL of a node: one looks like {DEFAULT_URL}'
            fail(text, ExitCode.USAGE)
        self.url = asked
        self._timeout_s = timeout_s
        self._client = Client(self.url, retry_for=0, connect_timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    @property
    def calls(self) -> Calls:
        """What a client can be asked, for `run`."""
        return self._client.calls

    def run(self, flow: Flow[T]) -> T:
        """Perform a flow of the client.

        Raises:
            CommandError: what came of it, for a person.
        """
        try:
            return self._client.run(flow)
        except ClientError as error:
            raise self.explained(error) from error

    def ask(self, request: Request, *, within_s: float | None = ANSWER_WITHIN_S) -> Answer:
        """Return the good answer to one request.

        Raises:
            InDoubtError: the connection broke off before the answer.
            CommandError: refused, or no node was reached.
        """
        outcome = self.run(call(Call(self.url, request, within_s)))
        verdict = None if isinstance(outcome, Failed) else judge(outcome)
        if isinstance(verdict, Answer):
            return verdict
        raise self.refused(outcome)

    def health(self) -> dict[str, object]:
        answer = self.ask(Request("GET", "/health"), within_s=self._timeout_s)
        return as_object(answer.body)

    def committed(self) -> int:
        """Return up to where the node shows the log."""
        answer = self.ask(Request("HEAD", "/logs?last=1"))
        try:
            return committed_of(answer)
        except ClientError as error:
            raise self.explained(error) from error

    # --- what went wrong ------------------------------------------------------------------------

    def refused(
        self, outcome: Answer | Failed, *, doubt: str = "it may be stopping"
    ) -> CommandError:
        """Return the error for an outcome that is no good answer.

        Args:
            doubt: what is not known when the connection broke off.
        """
        if isinstance(outcome, Failed):
            if not outcome.has_left:
                return NoNodeError(self.url, outcome.reason)
            text = f"the connection to {self.url} broke off ({outcome.reason}): {doubt}"
            return InDoubtError(text, ExitCode.NO_NODE_REACHABLE)
        problem = problem_in(outcome)
        if problem is None:
            text = f"{self.url} answered {outcome.status}, and not as a node does: is this a node?"
            return CommandError(text, ExitCode.ENVIRONMENT)
        line = problem.members.get("line")
        title = f"{problem.title}: " if problem.title not in {"", problem.detail} else ""
        return RefusedByNodeError(
            f"{title}{problem.detail} (HTTP {problem.status})",
            _CODE_OF_STATUS.get(problem.status, ExitCode.ENVIRONMENT),
            line=line if isinstance(line, int) else None,
        )

    def explained(self, error: ClientError) -> CommandError:
        """Return what an error of the client's own flows means here."""
        if isinstance(error, ProblemError):
            problem = error.problem
            code = _CODE_OF_STATUS.get(problem.status, ExitCode.ENVIRONMENT)
            return CommandError(f"{problem.title}: {problem.detail} (HTTP {problem.status})", code)
        if isinstance(error, NotANodeError):
            return CommandError(f"{error}: is this a node?", ExitCode.ENVIRONMENT)
        if isinstance(error, UnreachableError):
            return NoNodeError(self.url, str(error).removeprefix(f"{self.url}: "))
        return CommandError(str(error), ExitCode.ENVIRONMENT)


def as_object(content: bytes) -> dict[str, object]:
    value = object_in(content)
    if value is None:
        fail("the answer is no JSON object: is this a node?", ExitCode.ENVIRONMENT)
    return value


def object_in(content: bytes) -> dict[str, object] | None:
    """Return the JSON object that an answer is; None where it is none."""
    try:
        value: object = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
