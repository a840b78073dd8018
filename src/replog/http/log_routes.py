"""The routes at `/logs` and below as plain ASGI, in front of FastAPI: which call goes where.

NETWORK.
"""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from replog.http.acks_routes import AcksRoutes
from replog.http.answer import LOGS_PATH, is_append, log_refused_append, send_problem
from replog.http.append_routes import AppendRoutes
from replog.http.body import ClientGone
from replog.http.facade import ServedNode
from replog.http.follow_routes import FollowRoutes
from replog.http.followers import Followers
from replog.http.limits import Limits
from replog.http.problems import PROBLEMS, Problem, ProblemError, not_found
from replog.http.read_routes import ReadRoutes
from replog.node.views import Role

BELOW_LOGS = "/logs/"

_READING = ("GET", "HEAD")


class LogRoutes:
    """Sends each request at `/logs` or below to its route, and answers its problems."""

    def __init__(self, node: ServedNode, limits: Limits, default_timeout_s: float | None) -> None:
        self._node = node
        followers = Followers(node, followers_max=limits.followers_max)
        self.appends = AppendRoutes(node, limits, default_timeout_s)
        self.reads = ReadRoutes(node, followers)
        self.follows = FollowRoutes(node, followers)
        self.acks = AcksRoutes(node, limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        try:
            if scope["path"] != LOGS_PATH:
                await self._below(scope, receive, send)
            elif method == "POST":
                await self.appends.append(scope, receive, send)
            elif method in _READING:
                await self.reads.read(scope, receive, send)
            else:
                raise self._method_not_allowed(scope)
        except ProblemError as error:
            problem = error.problem
        except ClientGone:
            return
        else:
            return
        # The error is gone, and with its traceback the body that was refused: a client that
        # does not take its answer does not hold it.
        if is_append(scope):
            log_refused_append(scope, problem)
        await send_problem(scope, receive, send, problem)

    async def _below(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_reading = scope["method"] in _READING
        match scope["path"].removeprefix(BELOW_LOGS).split("/"):
            case ["stream"] if is_reading:
                await self.follows.follow(scope, receive, send)
            case [text] if text and is_reading:
                await self.reads.entry(scope, receive, send, text)
            case [text, "acks"] if text and is_reading:
                await self.acks.acks(scope, receive, send, text)
            case [text] | [text, "acks"] if text:
                raise self._method_not_allowed(scope)
            case _:
                raise ProblemError(not_found(scope["path"]))

    def _method_not_allowed(self, scope: Scope) -> ProblemError:
        takes_appends = scope["path"] == LOGS_PATH and self._node.role is Role.MASTER
        allow = "GET, HEAD, POST" if takes_appends else "GET, HEAD"
        return ProblemError(
            Problem(
                PROBLEMS["method-not-allowed"],
                f"{scope['path']} takes {allow} here, not {scope['method']}.",
                headers=((b"allow", allow.encode()),),
            )
        )
