"""The OpenAPI document: FastAPI's own routes, and the plain ASGI ones written out.

PURE. tests/http/test_openapi.py holds the document and the routes together.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from replog.http.problems import PROBLEMS

Schema = dict[str, object]

DESCRIPTION = """\
A replicated log: append at the master, read the same list at every node.

Every error is an RFC 9457 problem (`application/problem+json`) whose `detail` says what to do
and whose `type` is a path that this node serves. Unknown parameters and unknown JSON fields are
refused by name. Every path that takes GET takes HEAD. `/replication` is a WebSocket between
nodes and not for clients.
"""


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
    components = document.setdefault("components", {})
    assert isinstance(components, dict)
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas.update(_SCHEMAS)
    return document


def problem_responses(*names: str) -> dict[int | str, dict[str, object]]:
    """Return the responses of the problems `names`, by status."""
    responses: dict[int | str, dict[str, object]] = {}
    for name in names:
        kind = PROBLEMS[name]
        known = responses.get(kind.status)
        description = f"`{name}`: {kind.title}"
        if known is not None:
            description = f"{known['description']}; {description}"
        responses[kind.status] = {
            "description": description,
            "content": {"application/problem+json": {"schema": _reference("Problem")}},
        }
    return responses


def json_body(schema: str) -> dict[str, object]:
    """Return the `requestBody` of an operation that takes one JSON object."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _reference(schema)}},
        }
    }


def _reference(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


def _answer(description: str, schema: Schema, headers: dict[str, str]) -> dict[str, object]:
    return {
        "description": description,
        "headers": {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        },
        "content": {"application/json": {"schema": schema}},
    }


def _parameter(name: str, description: str, schema: Schema) -> dict[str, object]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema,
    }


def _text_keys(responses: dict[int | str, dict[str, object]]) -> dict[str, object]:
    return {str(status): response for status, response in responses.items()}


_CONCERN: Schema = {
    "description": "How many nodes, the master counted, must hold the entry on disk before the "
    "answer: 1 to n (all configured nodes), majority, or all. The default is all, unless the "
    "node is configured otherwise.",
    "oneOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "enum": ["majority", "all"]},
    ],
}

_TIMEOUT: Schema = {
    "description": "Seconds after which a waiting append is answered 202; 0 answers as soon as "
    "the master has stored it. Without it there is no limit.",
    "type": "number",
    "minimum": 0,
}

_ENTRY: Schema = {
    "type": "object",
    "required": ["id", "message"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": 1, "description": "Its place: 1, 2, 3 … no gaps."},
        "message": {"type": "string"},
    },
}

_SCHEMAS: dict[str, Schema] = {
    "Entry": _ENTRY,
    "Append": {
        "type": "object",
        "required": ["message"],
        "additionalProperties": False,
        "properties": {
            "message": {"type": "string", "description": "At most 1 MiB of UTF-8 by default."},
            "w": _CONCERN,
            "write_concern": {"description": "Another spelling of w.", **_reference("Concern")},
            "writeConcern": {"description": "Another spelling of w.", **_reference("Concern")},
            "timeout": _TIMEOUT,
        },
        "example": {"message": "This is a test log entry."},
    },
    "Concern": _CONCERN,
    "DelayChange": {
        "type": "object",
        "required": ["seconds"],
        "additionalProperties": False,
        "properties": {"seconds": {"type": "number", "minimum": 0, "maximum": 3600}},
        "example": {"seconds": 2.0},
    },
    "Appended": {
        "type": "object",
        "required": ["status", "log"],
        "properties": {
            "status": {"type": "string", "const": "success"},
            "log": _reference("Entry"),
        },
    },
    "Pending": {
        "type": "object",
        "required": ["status", "log", "required", "acks"],
        "properties": {
            "status": {"type": "string", "const": "pending"},
            "log": _reference("Entry"),
            "required": {"type": "integer", "description": "Nodes that w asks for."},
            "acks": {
                "type": "array",
                "items": {"type": "string"},
                "description": "URLs of the nodes that hold it on disk, the master's first.",
            },
        },
    },
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status", "detail", "retryable"],
        "properties": {
            "type": {"type": "string", "description": "A path of this node: cause and fix."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What was got, and what to do."},
            "retryable": {
                "type": "boolean",
                "description": "Nothing was stored, and the same request may succeed here later.",
            },
        },
    },
}

_READ_HEADERS = {
    "Log-Committed": "The last committed id when the read began.",
    "Log-Master": "`unreachable` on a secondary that does not hear its master: the list may "
    "lack what was acknowledged elsewhere.",
    "Link": 'With limit, where more follows: `</logs?from=…&limit=…>; rel="next"`.',
}

_READ_PARAMETERS = [
    _parameter("from", "The first id to read.", {"type": "integer", "minimum": 1, "default": 1}),
    _parameter("limit", "How many entries at the most.", {"type": "integer", "minimum": 0}),
]

_READ_PROBLEMS = problem_responses("bad-parameter", "damaged")

_READ: dict[str, object] = {
    "tags": ["log"],
    "summary": "Read the log",
    "description": "Everything committed when the read began, in order, streamed as one array. "
    "Where the disk turns out damaged in the middle, the connection breaks off: the array never "
    "ends early and valid.",
    "operationId": "read_log",
    "parameters": _READ_PARAMETERS,
    "responses": {
        "200": _answer(
            "The entries; `[]` where there are none.",
            {"type": "array", "items": _reference("Entry")},
            _READ_HEADERS,
        ),
        **_text_keys(_READ_PROBLEMS),
    },
}

_HEAD: dict[str, object] = {
    "tags": ["log"],
    "summary": "How far the log goes",
    "description": "The headers of GET /logs.",
    "operationId": "head_log",
    "parameters": _READ_PARAMETERS,
    "responses": {
        "200": {
            "description": "The headers.",
            "headers": {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in _READ_HEADERS.items()
            },
        },
        **_text_keys(_READ_PROBLEMS),
    },
}

_APPEND: dict[str, object] = {
    "tags": ["log"],
    "summary": "Append one message (master)",
    "description": "Answers when `w` nodes hold the entry on disk. Three honest outcomes: 200, "
    "done; 202, stored and not yet at w; a problem, refused and not stored.",
    "operationId": "append",
    "parameters": [
        _parameter("w", "As in the body.", _reference("Concern")),
        _parameter("write_concern", "Another spelling of w.", _reference("Concern")),
        _parameter("writeConcern", "Another spelling of w.", _reference("Concern")),
        _parameter("timeout", "As in the body.", _TIMEOUT),
    ],
    **json_body("Append"),
    "responses": {
        "200": _answer(
            "Stored on w nodes.",
            _reference("Appended"),
            {"Log-Acks": "How many of how many nodes hold it on disk: `3/3`."},
        ),
        "202": _answer("Stored, not yet on w nodes.", _reference("Pending"), {}),
        **_text_keys(
            problem_responses(
                "malformed-json",
                "bad-field",
                "bad-parameter",
                "bad-write-concern",
                "not-the-master",
                "request-timeout",
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
        ),
    },
}
