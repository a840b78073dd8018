"""The routes at `/logs` as plain ASGI, in front of FastAPI: which call goes where.

NETWORK.
"""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from replog.http.answer import log_refused_append, send_problem
from replog.http.append_routes import AppendRoutes
from replog.http.body import ClientGone
from replog.http.facade import ServedNode
from replog.http.limits import Limits
from replog.http.problems import PROBLEMS, Problem, ProblemError
from replog.http.read_routes import ReadRoutes
from replog.node.views import Role

LOGS_PATH = "/logs"


class LogRoutes:
    """Sends each request at `/logs` to its route, and answers its problems."""

    def __init__(self, node: ServedNode, limits: Limits, default_timeout_s: float | None) -> None:
        self._node = node
        self.appends = AppendRoutes(node, limits, default_timeout_s)
        self.reads = ReadRoutes(node)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        try:
            if method == "POST":
                await self.appends.append(scope, receive, send)
            elif method in ("GET", "HEAD"):
                await self.reads.read(scope, receive, send)
            else:
                await send_problem(scope, receive, send, self._method_not_allowed(method))
        except ProblemError as error:
            if method == "POST":
                log_refused_append(scope, error.problem)
            await send_problem(scope, receive, send, error.problem)
        except ClientGone:
            return

    def _method_not_allowed(self, method: str) -> Problem:
        allow = "GET, HEAD, POST" if self._node.role is Role.MASTER else "GET, HEAD"
        return Problem(
            PROBLEMS["method-not-allowed"],
            f"/logs takes {allow} here, not {method}.",
            headers=((b"allow", allow.encode()),),
        )
