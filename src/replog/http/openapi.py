"""The OpenAPI document: FastAPI's own routes, and the plain ASGI ones written out.

PURE. tests/http/test_openapi.py holds the document and the routes together.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from replog.http.problems import PROBLEMS, ProblemType
from replog.http.query import NUMBER_MAX
from replog.http.schemas import SCHEMAS, TIMEOUT, Schema, problem_of, reference

DESCRIPTION = """\
A replicated log: append at the master, read the same list at every node.

Every error is an RFC 9457 problem (`application/problem+json`) whose `detail` says what to do
and whose `type` is a path that this node serves. Unknown parameters and unknown JSON fields are
refused by name. Every path that takes GET takes HEAD. A method that a path does not take is
answered 405 `method-not-allowed` with `Allow`, a path that is none 404 `not-found`.
`/replication` is a WebSocket between nodes and not for clients: a plain GET is answered 426
`upgrade-required`.
"""

EVERYWHERE = (
    "bad-request",
    "bad-parameter",
    "request-timeout",
    "headers-too-large",
    "internal-error",
)
"""Problems that any request may get, whatever its path and method."""


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
    document["paths"] = {"/logs": {"get": _READ, "head": _HEAD, "post": _APPEND}, **paths}
    document["components"] = {
        "schemas": dict(SCHEMAS),
        "responses": {
            "MethodNotAllowed": _problem_response([PROBLEMS["method-not-allowed"]]),
            "NotFound": _problem_response([PROBLEMS["not-found"]]),
            "UpgradeRequired": _problem_response([PROBLEMS["upgrade-required"]]),
        },
    }
    return document


def responses(
    success: dict[str, object], *names: str, has_body: bool = True
) -> dict[int | str, dict[str, object]]:
    """Return the responses of an operation: `success`, the problems `names`, and `EVERYWHERE`.

    Args:
        has_body: False for HEAD, whose problems are a status and headers.
    """
    of_status: dict[int, list[ProblemType]] = {}
    for kind in PROBLEMS.values():  # in the order of the status
        if kind.name in names or kind.name in EVERYWHERE:
            of_status.setdefault(kind.status, []).append(kind)
    described: dict[int | str, dict[str, object]] = {200: success}
    for status, kinds in of_status.items():
        described[status] = _problem_response(kinds)
        if not has_body:
            del described[status]["content"]
    return described


def _problem_response(kinds: list[ProblemType]) -> dict[str, object]:
    """Return the response of the problems `kinds`, which share a status."""
    response: dict[str, object] = {
        "description": "; ".join(f"`{kind.name}`: {kind.title}" for kind in kinds)
    }
    headers: dict[str, str] = {}
    if kinds[0].status == 405:
        headers["Allow"] = "The methods that the path takes at this node."
    if any(kind.retry_after_s is not None for kind in kinds):
        headers["Retry-After"] = "Seconds to wait, where waiting helps."
    if headers:
        response["headers"] = _headers(headers)
    schema = problem_of(kind.name for kind in kinds)
    response["content"] = {"application/problem+json": {"schema": schema}}
    return response


def json_body(schema: str) -> dict[str, object]:
    """Return the `requestBody` of an operation that takes one JSON object."""
    return {
        "requestBody": {
            "description": "JSON in UTF-8, not compressed. A charset may be given, and is UTF-8. "
            "No content type at all, and the one that `curl -d` sends by itself "
            "(`application/x-www-form-urlencoded`), are taken for the same JSON text, but not "
            "from a browser page: with `Origin` or `Sec-Fetch-Site` they are refused.",
            "required": True,
            "content": {
                "application/json": {"schema": reference(schema)},
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "string",
                        "minLength": 1,
                        "description": "The JSON text as it is, not a form.",
                        "contentMediaType": "application/json",
                        "contentSchema": reference(schema),
                    }
                },
            },
        }
    }


def answer(
    description: str, schema: Schema, headers: dict[str, str] | None = None
) -> dict[str, object]:
    """Return a successful response that holds JSON."""
    response: dict[str, object] = {"description": description}
    if headers:
        response["headers"] = _headers(headers)
    response["content"] = {"application/json": {"schema": schema}}
    return response


def page(description: str) -> dict[str, object]:
    """Return a successful response that is text."""
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}


def _headers(texts: dict[str, str]) -> Schema:
    return {
        name: {"description": text, "schema": {"type": "string"}} for name, text in texts.items()
    }


def _parameter(name: str, description: str, schema: Schema) -> dict[str, object]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema,
    }


def _text_keys(described: dict[int | str, dict[str, object]]) -> dict[str, object]:
    return {str(status): response for status, response in described.items()}


_READ_HEADERS = {
    "Log-Committed": "The last committed id when the read began.",
    "Log-Master": "`unreachable` on a secondary that does not hear its master: the list may "
    "lack what was acknowledged elsewhere.",
    "Link": 'With limit, where more follows: `</logs?from=…&limit=…>; rel="next"`.',
}

_READ_PARAMETERS = [
    _parameter(
        "from",
        "The first id to read.",
        {"type": "integer", "minimum": 1, "maximum": NUMBER_MAX, "default": 1},
    ),
    _parameter(
        "limit",
        "How many entries at the most.",
        {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX},
    ),
]

_READ: dict[str, object] = {
    "tags": ["log"],
    "summary": "Read the log",
    "description": "Everything committed when the read began, in order, streamed as one array. "
    "Where the disk turns out damaged in the middle, the connection breaks off: the array never "
    "ends early and valid.",
    "operationId": "read_log",
    "parameters": _READ_PARAMETERS,
    "responses": _text_keys(
        responses(
            answer(
                "The entries; `[]` where there are none.",
                {"type": "array", "items": reference("Entry")},
                _READ_HEADERS,
            ),
            "damaged",
            "stopping",
        )
    ),
}

_HEAD: dict[str, object] = {
    "tags": ["log"],
    "summary": "How far the log goes",
    "description": "The headers of GET /logs.",
    "operationId": "head_log",
    "parameters": _READ_PARAMETERS,
    "responses": _text_keys(
        responses(
            {"description": "The headers.", "headers": _headers(_READ_HEADERS)}, has_body=False
        )
    ),
}

_APPEND_RESPONSES = responses(
    answer(
        "Stored on w nodes.",
        reference("Appended"),
        {"Log-Acks": "How many of how many nodes hold it on disk: `3/3`."},
    ),
    "malformed-json",
    "bad-field",
    "bad-write-concern",
    "not-the-master",
    "too-large",
    "unsupported-media-type",
    "no-quorum",
    "superseded",
    "log-found-elsewhere",
    "damaged",
    "overloaded",
    "stopping",
    "disk-full",
)
_APPEND_RESPONSES[202] = answer("Stored, not yet on w nodes.", reference("Pending"))

_APPEND: dict[str, object] = {
    "tags": ["log"],
    "summary": "Append one message (master)",
    "description": "Answers when `w` nodes hold the entry on disk. Three honest outcomes: 200, "
    "done; 202, stored and not yet at w; a problem, refused and not stored.",
    "operationId": "append",
    "parameters": [
        _parameter("w", "As in the body; where both say it, they agree.", reference("Concern")),
        _parameter(
            "write_concern", "Another spelling of w. Only one may be used.", reference("Concern")
        ),
        _parameter(
            "writeConcern", "Another spelling of w. Only one may be used.", reference("Concern")
        ),
        _parameter("timeout", "As in the body.", TIMEOUT),
    ],
    **json_body("Append"),
    "responses": _text_keys(dict(sorted(_APPEND_RESPONSES.items(), key=lambda one: int(one[0])))),
}
