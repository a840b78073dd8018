"""The ASGI application of one node: hot routes first, FastAPI behind them.

NETWORK.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from replog import __version__
from replog.http.answer import LOGS_PATH, send_problem
from replog.http.body import ClientGone
from replog.http.cluster_routes import REPLICATION_PATH, cluster_router
from replog.http.facade import ServedNode
from replog.http.limits import Limits
from replog.http.log_routes import BELOW_LOGS, LogRoutes
from replog.http.operations_routes import operations_router
from replog.http.problems import PROBLEMS, Problem, ProblemError, internal_error, not_found
from replog.http.query import parse_query
from replog.node.clients import NodeFailedError


def create_app(
    node: ServedNode, *, limits: Limits | None = None, default_timeout_s: float | None = None
) -> App:
    """Return the ASGI application that serves `node`.

    An append that gives no timeout has `default_timeout_s`; None is no limit. The application
    starts and stops nothing: `node` must run before the first request, and ends its own
    waiting appends, reads and links when it stops.
    """
    return App(node, limits or Limits(), default_timeout_s)


class App:
    """Sends each request where it belongs.

    `/logs` and what is below never pass FastAPI: its machinery per request costs several
    times what the append itself does (docs/decisions/0042).
    """

    def __init__(self, node: ServedNode, limits: Limits, default_timeout_s: float | None) -> None:
        self._node = node
        self.log_routes = LogRoutes(node, limits, default_timeout_s)
        routers = (cluster_router(node), operations_router(node))
        self.routes = tuple(
            route for router in routers for route in router.routes if isinstance(route, APIRoute)
        )
        self.fastapi = _fastapi(routers, self.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.fastapi(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            path = scope["path"]
            if path == LOGS_PATH or path.startswith(BELOW_LOGS):
                await self.log_routes(scope, receive, send_and_note)
            elif scope["method"] == "HEAD":  # the server leaves the body out
                await self.fastapi({**scope, "method": "GET"}, receive, send_and_note)
            else:
                await self.fastapi(scope, receive, send_and_note)
        except NodeFailedError:  # the node has logged why, once for all who wait
            if not started:
                await send_problem(scope, receive, send, internal_error())
        except Exception:
            if not started:
                await send_problem(scope, receive, send, internal_error())
            raise  # the server logs the traceback

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == REPLICATION_PATH:
            await self._node.accept_link(WebSocket(scope, receive, send))
        else:
            await send({"type": "websocket.close"})


def _fastapi(routers: Sequence[APIRouter], routes: Sequence[APIRoute]) -> FastAPI:
    async def answer_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException), error
        if error.status_code == 405:
            return _ProblemResponse(_method_not_allowed(request, routes))
        assert error.status_code == 404, error
        return _ProblemResponse(not_found(request.url.path))

    app = FastAPI(
        title="Replicated log",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(_refuse_parameters)],
        exception_handlers={
            ProblemError: _answer_problem,
            HTTPException: answer_http_exception,
            ClientGone: _answer_nobody,
            Exception: _answer_internal_error,
        },
    )
    for router in routers:
        app.include_router(router)
    return app


async def _refuse_parameters(request: Request) -> None:
    parse_query(request.scope["query_string"], known=())


async def _answer_problem(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, ProblemError), error
    return _ProblemResponse(error.problem)


async def _answer_nobody(request: Request, error: Exception) -> Response:
    del request, error
    return Response(status_code=PROBLEMS["bad-request"].status)  # the server drops it


async def _answer_internal_error(request: Request, error: Exception) -> Response:
    del request, error  # Starlette raises it again, so that the server logs the traceback
    return _ProblemResponse(internal_error())


def _method_not_allowed(request: Request, routes: Sequence[APIRoute]) -> Problem:
    """Name what the path takes over all routes: a router only names the first one's."""
    path = request.url.path
    methods: set[str] = set()
    for route in routes:
        if route.path_regex.match(path):
            methods |= route.methods or set()
    if "GET" in methods:
        methods.add("HEAD")
    allow = ", ".join(sorted(methods))
    return Problem(
        PROBLEMS["method-not-allowed"],
        f"{path} takes {allow}, not {request.method}.",
        headers=((b"allow", allow.encode()),),
    )


class _ProblemResponse(Response):
    """A problem, sent as every other: with word of what becomes of the request's body."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(status_code=problem.status)
        self._problem = problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_problem(scope, receive, send, self._problem)
