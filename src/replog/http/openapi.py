"""The OpenAPI document: FastAPI's own routes, and the plain ASGI ones written out.

PURE. tests/http/test_openapi.py holds the document and the routes together.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from replog.http.openapi_append import ACKS, ACKS_HEAD, APPEND
from replog.http.openapi_follow import FOLLOW, HEAD_FOLLOW
from replog.http.openapi_parts import problem_response
from replog.http.openapi_read import HEAD, HEAD_ENTRY, READ, READ_ENTRY
from replog.http.problems import PROBLEMS
from replog.http.schemas import SCHEMAS

DESCRIPTION = """\
A replicated log: append at the master, read the same list at every node.

Every error is an RFC 9457 problem (`application/problem+json`) whose `detail` says what to do
and whose `type` is a path that this node serves. Unknown parameters and unknown JSON fields are
refused by name. Every path that takes GET takes HEAD. A method that a path does not take is
answered 405 `method-not-allowed` with `Allow`, a path that is none 404 `not-found`.
`/replication` is a WebSocket between nodes and not for clients: a plain GET is answered 426
`upgrade-required`.
"""

LOG_PATHS: dict[str, object] = {
    "/logs": {"get": READ, "head": HEAD, "post": APPEND},
    "/logs/stream": {"get": FOLLOW, "head": HEAD_FOLLOW},
    "/logs/{id}": {"get": READ_ENTRY, "head": HEAD_ENTRY},
    "/logs/{id}/acks": {"get": ACKS, "head": ACKS_HEAD},
}
"""The routes that FastAPI does not know."""


def openapi_document(app: FastAPI) -> dict[str, object]:
    """Return the document of all routes of `app`, those of /logs included."""
    document: dict[str, object] = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
    )
    paths = document["paths"]
    assert isinstance(paths, dict)
    for item in paths.values():
        for operation in item.values():
            operation["responses"].pop("422", None)  # this API answers 400 and says why
    document["paths"] = {**LOG_PATHS, **paths}
    document["components"] = {
        "schemas": dict(SCHEMAS),
        "responses": {
            "MethodNotAllowed": problem_response([PROBLEMS["method-not-allowed"]]),
            "NotFound": problem_response([PROBLEMS["not-found"]]),
            "UpgradeRequired": problem_response([PROBLEMS["upgrade-required"]]),
        },
    }
    return document
