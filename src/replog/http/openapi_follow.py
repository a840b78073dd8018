"""`GET` and `HEAD /logs/stream` in the OpenAPI document.

PURE.
"""

from __future__ import annotations

from replog.http.openapi_parts import headers_of, parameter, responses, text_keys
from replog.http.query import NUMBER_MAX
from replog.http.schema_parts import Schema

_HEADERS = {
    "Log-Committed": "The last id that this node showed when the stream began: `1042`.",
    "Vary": "`Accept`.",
    "X-Accel-Buffering": "`no`: a proxy must not hold entries back.",
}

_PARAMETERS = [
    parameter(
        "from",
        "The first entry to send; it may be ahead of the log. Without it, what becomes visible "
        "after the request came.",
        {"type": "integer", "minimum": 1, "maximum": NUMBER_MAX},
    ),
    parameter(
        "Last-Event-ID",
        "The last entry that was received: the stream goes on after it, whatever from says. A "
        "browser sends it by itself. 0 is none.",
        {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX},
        place="header",
    ),
]

_EVENTS: Schema = {
    "type": "string",
    "description": "`id` is the entry's id, `data` the entry as GET /logs has it. The event `bye` "
    "ends the stream: its data has `reason` (stopping, slow, damaged) and `next`, the id to go on "
    "with. A comment is sent where nothing came for 5 to 10 seconds.",
    "contentMediaType": "text/event-stream",
}

_LINES: Schema = {
    "type": "string",
    "description": "One entry a line. An empty line where nothing came for 5 to 10 seconds.",
    "contentMediaType": "application/x-ndjson",
}

_CONTENT: dict[str, object] = {
    "text/event-stream": {
        "schema": _EVENTS,
        "example": 'retry: 1000\n\nid: 1\ndata: {"id":1,"message":"This is a test log entry."}\n\n'
        'event: bye\ndata: {"reason":"stopping","next":2}\n\n',
    },
    "application/x-ndjson": {
        "schema": _LINES,
        "example": '{"id":1,"message":"This is a test log entry."}\n',
    },
}

_SUCCESS: dict[str, object] = {
    "description": "The entries, without an end.",
    "headers": headers_of(_HEADERS),
}

FOLLOW: dict[str, object] = {
    "tags": ["log"],
    "summary": "Follow the log",
    "description": "Entries as they become visible on this node, in order, none twice: as "
    "Server-Sent Events, or one a line. Nothing is lost where a client goes on behind the last "
    "entry that it has.",
    "operationId": "follow_log",
    "parameters": _PARAMETERS,
    "responses": text_keys(
        responses(
            {**_SUCCESS, "content": _CONTENT},
            "bad-header",
            "not-acceptable",
            "overloaded",
            "stopping",
        )
    ),
}

HEAD_FOLLOW: dict[str, object] = {
    "tags": ["log"],
    "summary": "The headers of GET /logs/stream",
    "description": "Nothing is followed.",
    "operationId": "head_stream",
    "parameters": _PARAMETERS,
    "responses": text_keys(responses(_SUCCESS, "bad-header", "not-acceptable", has_body=False)),
}
