"""A bug: the first request at `/logs` meets an exception that nobody expects.

SHELL.
"""

from __future__ import annotations

from itertools import count

from starlette.types import Receive, Scope, Send

from replog.http.append_routes import AppendRoutes
from replog.http.log_routes import LogRoutes

_route = LogRoutes.__call__
_numbers = count()


async def _call(routes: LogRoutes, scope: Scope, receive: Receive, send: Send) -> None:
    assert next(_numbers), "the defect"
    await _route(routes, scope, receive, send)


LogRoutes.__call__ = _call  # type: ignore[method-assign, assignment]
AppendRoutes.begin = lambda *_: None  # type: ignore[method-assign]
