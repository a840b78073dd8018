"""What appends and reads of the log take and answer, as schemas of the OpenAPI document.

PURE.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from types import MappingProxyType

from replog.http.query import NUMBER_MAX
from replog.http.schema_parts import (
    Schema,
    an_object,
    count,
    list_of,
    or_null,
    reference,
    text,
)

CONCERN: Schema = {
    "description": "How many nodes, the master counted, must hold the entry on disk before the "
    "answer: 1 to n (all configured nodes), majority, or all. The default is all, unless the "
    "node is configured otherwise.",
    "oneOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "enum": ["majority", "all"]},
    ],
}

TIMEOUT: Schema = {
    "description": "Seconds after which a waiting append is answered 202; 0 answers as soon as "
    "the master has stored it. Without it there is no limit, unless the node is configured "
    "with one.",
    "type": "number",
    "minimum": 0,
}

KEY: Schema = {
    "description": "An idempotency key: the same append sent again with it is stored once, and "
    "answered as the first time with `Idempotency-Replayed: true`. At most 255 bytes of UTF-8.",
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
}

EXPECT: Schema = {
    "description": "The id that the log is to end with; 0 is an empty log. Where it ends "
    "elsewhere, nothing is stored, and the answer is 412.",
    "type": "integer",
    "minimum": 0,
    "maximum": NUMBER_MAX,
}

_ENTRY: Schema = {
    "type": "object",
    "description": "One message of the log.",
    "required": ["id", "message"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": 1, "description": "Its place: 1, 2, 3 … no gaps."},
        "message": {"type": "string", "description": "As it was appended."},
    },
}

_APPEND: Schema = {
    "type": "object",
    "description": "What POST /logs takes.",
    "required": ["message"],
    "additionalProperties": False,
    "properties": {
        "message": text("At most 1 MiB of UTF-8 by default."),
        "w": reference("Concern"),
        "timeout": TIMEOUT,
        "key": KEY,
        "expect": EXPECT,
        "write_concern": {
            "description": "Another spelling of w. Only one may be used.",
            **reference("Concern"),
        },
        "writeConcern": {
            "description": "Another spelling of w. Only one may be used.",
            **reference("Concern"),
        },
    },
    "not": {
        "anyOf": [
            {"required": list(pair)}
            for pair in combinations(("w", "write_concern", "writeConcern"), 2)
        ]
    },
    "example": {"message": "This is a test log entry."},
}

_BATCH_ENTRY: Schema = {
    "type": "object",
    "description": "One entry of a batch. What is said of the whole batch stands in the query or "
    "in headers.",
    "required": ["message"],
    "additionalProperties": False,
    "properties": {"message": text("At most 1 MiB of UTF-8 by default."), "key": KEY},
    "example": {"message": "order 17 paid", "key": "order-17-paid"},
}

_BATCH: Schema = {
    "type": "array",
    "description": "Entries to append together: all or none, with consecutive ids. At most "
    "10,000 entries and 16 MiB by default. No key stands in it twice.",
    "items": reference("BatchEntry"),
    "minItems": 1,
    "example": [{"message": "order 17 paid"}, {"message": "order 17 shipped"}],
}

_IDS: Mapping[str, Schema] = MappingProxyType(
    {
        "first": count("The id of the first entry."),
        "last": count("The id of the last entry; there are no gaps."),
        "count": count("How many entries were appended."),
    }
)

_APPENDED = an_object(
    "Stored on w nodes.",
    {"status": {"type": "string", "const": "success"}, "log": reference("Entry")},
)

_PROGRESS: Mapping[str, Schema] = MappingProxyType(
    {
        "required": count("Nodes that w asks for."),
        "acks": list_of(
            {"type": "string"}, "URLs of the nodes that hold it on disk, the master's first."
        ),
    }
)

_PENDING = an_object(
    "Stored, not yet on w nodes; it gets there by itself.",
    {
        "status": {"type": "string", "const": "pending"},
        "log": reference("Entry"),
        **_PROGRESS,
    },
)

_APPENDED_BATCH = an_object(
    "All stored on w nodes.", {"status": {"type": "string", "const": "success"}, **_IDS}
)

_PENDING_BATCH = an_object(
    "All stored, not yet on w nodes; they get there by themselves.",
    {"status": {"type": "string", "const": "pending"}, **_IDS, **_PROGRESS},
)

_HOLDER = an_object(
    "A node that holds an entry on disk.",
    {
        "url": text("Of the node; the master's own comes first."),
        "node_id": text("Made with its data directory."),
        "since": or_null(
            text(
                "When the master learnt it (RFC 3339); its own: when the entry was made. Null "
                "where that is longer ago than the master remembers."
            )
        ),
        "last_id": count("Where the node's log ended when it was heard last."),
        "head": {
            **text("Hash of that log: equal heads mean byte-identical logs."),
            "pattern": "^[0-9a-f]{64}$",
        },
    },
)

_RECEIPT = an_object(
    "Which nodes hold an entry.",
    {
        "id": count("Of the entry."),
        "required": count("Nodes that w asks for."),
        "met": {"type": "boolean", "description": "So many hold it."},
        "acks": list_of(reference("Holder"), "The nodes that hold it now, the master's first."),
    },
)

_URLS = ["http://127.0.0.1:8000", "http://127.0.0.1:8001"]

_A_HOLDER = {
    "url": "http://127.0.0.1:8000",
    "node_id": "6f0c8f6f3c5f4b6c9f1ad1f0b2b9e2a1",
    "since": "2026-11-22T22:10:00.123Z",
    "last_id": 10,
    "head": "9c" * 32,
}


def _with_example(schema: Schema, example: object) -> Schema:
    return {**schema, "example": example}


LOG_SCHEMAS: Mapping[str, Schema] = MappingProxyType(
    {
        "Entry": _ENTRY,
        "Append": _APPEND,
        "Concern": CONCERN,
        "Batch": _BATCH,
        "BatchEntry": _BATCH_ENTRY,
        "Appended": _with_example(
            _APPENDED, {"status": "success", "log": {"id": 1, "message": "order 17 paid"}}
        ),
        "AppendedBatch": _with_example(
            _APPENDED_BATCH, {"status": "success", "first": 4, "last": 5, "count": 2}
        ),
        "Pending": _with_example(
            _PENDING,
            {
                "status": "pending",
                "log": {"id": 3, "message": "order 17 paid"},
                "required": 3,
                "acks": _URLS,
            },
        ),
        "PendingBatch": _with_example(
            _PENDING_BATCH,
            {
                "status": "pending",
                "first": 4,
                "last": 5,
                "count": 2,
                "required": 3,
                "acks": _URLS,
            },
        ),
        "Receipt": _with_example(
            _RECEIPT, {"id": 7, "required": 1, "met": True, "acks": [_A_HOLDER]}
        ),
        "Holder": _with_example(_HOLDER, _A_HOLDER),
    }
)
"""All of them by name."""
