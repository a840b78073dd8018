"""`POST /logs` and `GET /logs/{id}/acks` in the OpenAPI document.

PURE.
"""

from __future__ import annotations

from replog.http.limits import ACKS_WAIT_S_MAX
from replog.http.log_schemas import EXPECT, KEY, TIMEOUT
from replog.http.openapi_parts import (
    JSON_TEXT,
    answer,
    parameter,
    responses,
    text_body,
    text_keys,
)
from replog.http.query import NUMBER_MAX
from replog.http.schema_parts import Schema, reference

# --- appending -----------------------------------------------------------------------------

_HEADERS = {
    "Idempotency-Replayed": "`true` where an earlier append with the same key stored this.",
}

_RESPONSES = responses(
    answer(
        "Stored on w nodes.",
        {"oneOf": [reference("Appended"), reference("AppendedBatch")]},
        {"Log-Acks": "How many of how many nodes hold it on disk: `3/3`.", **_HEADERS},
    ),
    "malformed-json",
    "malformed-text",
    "bad-field",
    "bad-header",
    "bad-write-concern",
    "not-the-master",
    "precondition-failed",
    "too-large",
    "unsupported-media-type",
    "idempotency-key-reused",
    "outcome-unknown",
    "no-quorum",
    "superseded",
    "log-found-elsewhere",
    "damaged",
    "overloaded",
    "not-ready",
    "stopping",
    "disk-full",
)
_RESPONSES[202] = answer(
    "Stored, not yet on w nodes.",
    {"oneOf": [reference("Pending"), reference("PendingBatch")]},
    _HEADERS,
)

_OTHER_SPELLING = "Another spelling of w. Only one may be used."

_PARAMETERS = [
    parameter("w", "As in the body; where both say it, they agree.", reference("Concern")),
    parameter("timeout", "As in the body.", TIMEOUT),
    parameter("key", "As in the body; for a batch the key of all its entries together.", KEY),
    parameter("expect", "As in the body.", EXPECT),
    parameter("write_concern", _OTHER_SPELLING, reference("Concern")),
    parameter("writeConcern", _OTHER_SPELLING, reference("Concern")),
    parameter(
        "Idempotency-Key",
        "The parameter key as a header: printable text, which may stand in double quotes.",
        {"type": "string", "minLength": 1, "maxLength": 255},
        place="header",
    ),
    parameter(
        "If-Match",
        "The parameter expect as a header, with or without double quotes.",
        {"type": "string", "pattern": '^("(0|[1-9][0-9]{0,14})"|(0|[1-9][0-9]{0,14}))$'},
        place="header",
    ),
]

_LINES: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "A batch: each line is a JSON object as in `BatchEntry`.",
    "example": '{"message":"order 17 paid"}\n{"message":"order 17 shipped"}\n',
}

_JSON: Schema = {"oneOf": [reference("Append"), reference("Batch")]}

APPEND: dict[str, object] = {
    "tags": ["log"],
    "summary": "Append one message, or several together (master)",
    "description": "Answers when `w` nodes hold the entries on disk. Three honest outcomes: 200, "
    "done; 202, stored and not yet at w; a problem, refused and not stored. A batch, sent as a "
    "JSON array or as lines, is stored whole or not at all, and one bad entry refuses all.",
    "operationId": "append",
    "parameters": _PARAMETERS,
    "requestBody": {
        "description": f"{JSON_TEXT} Of the other types only text/plain is refused from there.",
        "required": True,
        "content": {
            "application/json": {
                "schema": _JSON,
                "examples": {
                    "one message": {"value": {"message": "This is a test log entry."}},
                    "a batch": {"value": [{"message": "one"}, {"message": "two"}]},
                },
            },
            "application/x-www-form-urlencoded": text_body(_JSON),
            "application/x-ndjson": {"schema": _LINES},
            "application/ndjson": {"schema": _LINES},
            "application/jsonl": {"schema": _LINES},
            "text/plain": {
                "schema": {
                    "type": "string",
                    "minLength": 1,
                    "description": "One message, as it stands, in UTF-8.",
                    "example": "order 17 paid",
                }
            },
        },
    },
    "responses": text_keys(dict(sorted(_RESPONSES.items(), key=lambda one: int(one[0])))),
}

# --- receipts ------------------------------------------------------------------------------

_ACKS_PROBLEMS = ("bad-write-concern", "unknown-id", "ask-the-master", "overloaded", "damaged")

_ACKS_PARAMETERS = [
    parameter(
        "id",
        "The id of the entry.",
        {"type": "integer", "minimum": 1, "maximum": NUMBER_MAX},
        place="path",
    ),
    parameter("w", "How many nodes are to hold it, as for an append.", reference("Concern")),
    parameter(
        "wait",
        "Seconds to wait for that many at the most; 0, the default, answers at once.",
        {"type": "number", "minimum": 0, "maximum": ACKS_WAIT_S_MAX, "default": 0},
    ),
]

ACKS: dict[str, object] = {
    "tags": ["log"],
    "summary": "Which nodes hold an entry (master)",
    "description": "With `wait` it answers as soon as `w` nodes hold the entry on disk, or when "
    "the time has passed: `met` says which. So a client that was answered 202, or never, waits "
    "for its entry without appending it again.",
    "operationId": "read_acks",
    "parameters": _ACKS_PARAMETERS,
    "responses": text_keys(responses(answer("The nodes.", reference("Receipt")), *_ACKS_PROBLEMS)),
}

ACKS_HEAD: dict[str, object] = {
    "tags": ["log"],
    "summary": "The headers of GET /logs/{id}/acks",
    "description": "200 where the entry is in the log; with `wait` it waits as GET does.",
    "operationId": "head_acks",
    "parameters": _ACKS_PARAMETERS,
    "responses": text_keys(
        responses({"description": "The entry is there."}, *_ACKS_PROBLEMS, has_body=False)
    ),
}
