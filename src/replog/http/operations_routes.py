"""Routes for whoever runs and explores a node: probes, problem pages, documentation.

NETWORK.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from replog.http.cluster_routes import json_response
from replog.http.docs_page import docs_page
from replog.http.facade import ServedNode
from replog.http.openapi import openapi_document
from replog.http.openapi_parts import answer, page, responses
from replog.http.problem_pages import problem_index, problem_page
from replog.http.problems import PROBLEMS, refusal
from replog.http.schema_parts import reference

_PROBLEM_NAME = Path(
    description="The last part of a problem's `type`.", json_schema_extra={"enum": [*PROBLEMS]}
)


@dataclass(frozen=True, slots=True)
class Liveness:
    """The process runs and answers."""

    status: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """The node serves in full."""

    status: str
    reasons: tuple[str, ...]


def operations_router(node: ServedNode) -> APIRouter:
    """Return the routes for operators and explorers of `node`."""
    router = APIRouter(tags=["operations"])

    @router.get(
        "/livez",
        responses=responses(answer("The process is well.", reference("Liveness"))),
        summary="Is the process well?",
    )
    async def livez() -> Response:
        """200 as long as the process answers; for a supervisor that restarts it."""
        return json_response(Liveness("alive"))

    @router.get(
        "/readyz",
        responses=responses(
            answer("The node serves in full.", reference("Readiness")), "not-ready"
        ),
        summary="Does the node serve in full?",
    )
    async def readyz() -> Response:
        """503 with its `reasons` while it does not; for a balancer that routes to it."""
        reasons = node.readiness()
        if reasons:
            raise refusal(
                "not-ready", f"The node is not ready: {'; '.join(reasons)}.", reasons=reasons
            )
        return json_response(Readiness("ready", ()))

    @router.get(
        "/problems",
        response_class=PlainTextResponse,
        responses=responses(page("The list, one problem a line.")),
        summary="All problems",
    )
    async def problems() -> Response:
        """Every problem that a node answers, with its status."""
        return _page(problem_index())

    @router.get(
        "/problems/{name}",
        response_class=PlainTextResponse,
        responses=responses(page("Its status, cause and fix."), "not-found"),
        summary="One problem: its cause and its fix",
    )
    async def problem(name: Annotated[str, _PROBLEM_NAME]) -> Response:
        """The page that a problem's `type` points to."""
        if name not in PROBLEMS:
            raise refusal("not-found", "There is no such problem. GET /problems lists all.")
        return _page(problem_page(PROBLEMS[name]))

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        return json_response(openapi_document(request.app))

    @router.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return HTMLResponse(docs_page(openapi_document(request.app)), headers=_PAGE_HEADERS)

    return router


_PAGE_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
}


def _page(text: str) -> Response:
    """Return a page as text, which a terminal and a browser show alike."""
    return PlainTextResponse(text, headers=_PAGE_HEADERS)
