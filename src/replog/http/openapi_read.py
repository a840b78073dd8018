"""`GET` and `HEAD` of `/logs` and `/logs/{id}` in the OpenAPI document.

PURE.
"""

from __future__ import annotations

from replog.http.openapi_parts import headers_of, parameter, responses, text_keys
from replog.http.query import NUMBER_MAX
from replog.http.read_request import FRESH_WITHIN_S_MAX, LEVELS, WAIT_S_MAX
from replog.http.schema_parts import Schema, reference

_POINT_HEADERS = {
    "Log-Committed": "The last id that this answer could show: `1042`.",
    "Log-Head": "The durable head of this node, and the hash of the log there: `1042;9c2a…`. It "
    "may be ahead of what is committed.",
    "Log-First": "The first id of the log: `1`.",
    "Log-Level": "What the read was checked against: `committed` or `master`.",
    "Log-Lag": "Seconds since this node was last level with its master; missing where it was not "
    "since it started. `0.000` on a master.",
    "Log-Master": "`unreachable` on a secondary that does not hear its master: the answer may "
    "lack what was acknowledged elsewhere.",
    "Vary": "`Accept, Accept-Encoding`.",
    "Cache-Control": "`no-cache` where there is an ETag: keep it, and ask whether it still "
    "holds. Else `no-store`.",
    "ETag": "Of what never changes: one entry, and a page of `limit` entries that is full. Names "
    "the log, the ids, the hash of the log there, the form and the content coding.",
}

_CONTENT_HEADERS = {
    "Content-Encoding": "`gzip`, where Accept-Encoding takes it and it is worth it."
}

_LINK = {
    "Link": 'With limit, where more follows: `</logs?from=…&limit=…>; rel="next"`.',
}

_ID: Schema = {"type": "integer", "minimum": 1, "maximum": NUMBER_MAX}
_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX}

_FRESHNESS_PARAMETERS = [
    parameter(
        "min_id",
        "Answer once this node shows this entry: with the id that an append was answered, a "
        "client reads its own writes on any node.",
        _COUNT,
    ),
    parameter(
        "max_lag_ms",
        "How long ago this node may have been level with its master, in monotonic time.",
        _COUNT,
    ),
    parameter(
        "level",
        "`committed`: what this node knows to be committed. `master`: checked with the master "
        "now, so that the read is linearizable.",
        {"type": "string", "enum": list(LEVELS), "default": LEVELS[0]},
    ),
    parameter(
        "timeout",
        "Seconds to wait for the three above; 0 answers at once.",
        {"type": "number", "minimum": 0, "maximum": FRESH_WITHIN_S_MAX, "default": 10},
    ),
]

_READ_PARAMETERS = [
    parameter(
        "from", "The first id to read. Beyond the end the list is empty.", {**_ID, "default": 1}
    ),
    parameter("limit", "How many entries at the most.", _COUNT),
    parameter("last", "The last so many committed entries; without from, since and wait.", _COUNT),
    parameter(
        "since",
        "What was stored at or after this time, by the master's clock; without from and wait.",
        {"type": "string", "format": "date-time", "example": "2026-11-22T22:10:00Z"},
    ),
    parameter(
        "wait",
        "Seconds to wait until entry `from` is there; then, or when they passed, the answer comes.",
        {"type": "number", "minimum": 0, "maximum": WAIT_S_MAX},
    ),
    *_FRESHNESS_PARAMETERS,
]

_ID_PARAMETER = parameter("id", "The id of the entry.", _ID, place="path")

_FRESHNESS_PROBLEMS = ("not-acceptable", "too-far-behind", "no-master", "not-fresh")
_EXAMPLE = {"id": 1, "message": "This is a test log entry."}
_LINES: Schema = {
    "type": "string",
    "description": "One entry a line, as it stands in the array.",
    "contentMediaType": "application/x-ndjson",
}


def _headers(*, has_link: bool) -> dict[str, str]:
    return {**_POINT_HEADERS, **(_LINK if has_link else {})}


def _described(
    description: str, schema: Schema | None, *names: str, example: object = None, has_link: bool
) -> dict[str, object]:
    """Return the responses of a read; of HEAD where there is no schema."""
    headers = {**_headers(has_link=has_link), **_CONTENT_HEADERS}
    success: dict[str, object] = {"description": description, "headers": headers_of(headers)}
    if schema is not None:
        success["content"] = {
            "application/json": {"schema": schema, "example": example},
            "application/x-ndjson": {
                "schema": _LINES,
                "example": '{"id":1,"message":"This is a test log entry."}\n',
            },
        }
    described = responses(success, *_FRESHNESS_PROBLEMS, *names, has_body=schema is not None)
    described[304] = {
        "description": "If-None-Match names what would be sent: the client has it.",
        "headers": headers_of(_headers(has_link=has_link)),
    }
    return text_keys(dict(sorted(described.items(), key=lambda one: int(one[0]))))


READ: dict[str, object] = {
    "tags": ["log"],
    "summary": "Read the log",
    "description": "What was committed when the read began, in order, streamed as one array, or "
    "one entry a line. Where the disk turns out damaged in the middle, the connection breaks off: "
    "the array never ends early and valid.",
    "operationId": "read_log",
    "parameters": _READ_PARAMETERS,
    "responses": _described(
        "The entries; `[]` where there are none.",
        {"type": "array", "items": reference("Entry")},
        "damaged",
        "stopping",
        "overloaded",
        example=[_EXAMPLE],
        has_link=True,
    ),
}

HEAD: dict[str, object] = {
    "tags": ["log"],
    "summary": "How far the log goes",
    "description": "The headers of GET /logs with the same parameters.",
    "operationId": "head_log",
    "parameters": _READ_PARAMETERS,
    "responses": _described(
        "The headers.", None, "damaged", "stopping", "overloaded", has_link=True
    ),
}

READ_ENTRY: dict[str, object] = {
    "tags": ["log"],
    "summary": "Read one entry",
    "description": "One committed entry by its id. It never changes: it has an ETag.",
    "operationId": "read_entry",
    "parameters": [_ID_PARAMETER, *_FRESHNESS_PARAMETERS],
    "responses": _described(
        "The entry.",
        reference("Entry"),
        "unknown-id",
        "damaged",
        "stopping",
        "overloaded",
        example=_EXAMPLE,
        has_link=False,
    ),
}

HEAD_ENTRY: dict[str, object] = {
    "tags": ["log"],
    "summary": "Whether an entry is here",
    "description": "The headers of GET /logs/{id}.",
    "operationId": "head_entry",
    "parameters": [_ID_PARAMETER, *_FRESHNESS_PARAMETERS],
    "responses": _described(
        "The headers.", None, "unknown-id", "damaged", "stopping", has_link=False
    ),
}
