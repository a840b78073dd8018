"""Every problem that a node answers: its name, status, cause and fix, in one table.

PURE. RFC 9457. `type` is a path that the node itself serves, see `operations_routes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from replog.core.effects import RefusalReason

type_path = "/problems/{}".format


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem.

    Attributes:
        is_retryable: nothing was stored, and the same request may succeed at this node later
            without anybody changing it.
        members: what its answers carry beside the five of every problem.
        retry_after_s: what `Retry-After` says; None where waiting alone does not help.
    """

    name: str
    status: int
    title: str
    cause: str
    fix: str
    is_retryable: bool = False
    retry_after_s: int | None = None
    members: tuple[str, ...] = ()


# The one table of statuses: what can go wrong, in the order of the status. The names of
# `RefusalReason` stand in it as they are, so that no second table maps them.
_TYPES = (
    ProblemType(
        "bad-request",
        400,
        "Not an HTTP request",
        "What arrived on the connection is not HTTP/1.1, so the node cannot know where the next "
        "request begins, and closes the connection.",
        "Send HTTP/1.1. A URL with spaces or raw non-ASCII characters must be percent-encoded.",
    ),
    ProblemType(
        "malformed-json",
        400,
        "The body is not strict JSON",
        "The body is empty, not UTF-8, not JSON, or JSON that cannot be written back strictly: "
        "NaN, Infinity, a lone surrogate, a key given twice. In a batch one such line is enough, "
        "and the member `line` names it. Nothing was stored.",
        'Send one JSON object in UTF-8, such as {"message": "hello"}. In a shell, put it in '
        'single quotes: curl -d \'{"message": "hello"}\' …',
        members=("line",),
    ),
    ProblemType(
        "malformed-text",
        400,
        "The body is no text",
        "The body was sent as text/plain, and is empty or not UTF-8. Nothing was stored.",
        "Send text in UTF-8. An empty message, and any other characters, can be sent as JSON.",
    ),
    ProblemType(
        "bad-field",
        400,
        "A field of the body is wrong",
        "A field is missing, unknown, or has the wrong type or value. Unknown fields are refused "
        "by name, so that a misspelt write concern is never ignored.",
        'POST /logs takes "message" (a string), and may take "w", "timeout", "key" and "expect"; '
        'an entry of a batch takes "message" and "key". PUT /delay takes "seconds" (a number).',
        members=("field", "line"),
    ),
    ProblemType(
        "bad-parameter",
        400,
        "A query parameter is wrong",
        "A parameter is unknown, given twice, or has a value that it cannot have. Unknown "
        "parameters are refused by name, so that a misspelt one is never ignored.",
        "docs/http.md and /docs list the parameters of each call.",
        members=("parameter",),
    ),
    ProblemType(
        "bad-header",
        400,
        "A header is wrong",
        "A header that this call reads has a value that it cannot have, is given twice, or "
        "contradicts what the body or the query says.",
        'Idempotency-Key takes 1 to 255 bytes of printable text, If-Match an id such as "7". Say '
        "each of them once.",
        members=("header",),
    ),
    ProblemType(
        RefusalReason.BAD_WRITE_CONCERN.value,
        400,
        "The write concern cannot be met",
        "`w` says how many nodes must hold the entry on disk before the answer: 1 (the master) "
        'to n (all configured nodes, those that are down included), "majority" or "all". '
        "Something else was given, or w was given twice. Nothing was stored.",
        'Give w once, as 1 … n, "majority" or "all", or leave it out for the default. '
        "GET /health lists the configured nodes.",
    ),
    ProblemType(
        RefusalReason.UNKNOWN_ID.value,
        404,
        "There is no such entry",
        "The id is not in the log, or this node does not show it yet.",
        "GET /logs?last=1 shows the last entry; min_id waits for one that is on its way.",
        members=("committed",),
    ),
    ProblemType(
        "not-found",
        404,
        "Nothing is there",
        "The path is none of this node's.",
        "The log is at /logs, all routes are described at /docs.",
    ),
    ProblemType(
        "method-not-allowed",
        405,
        "The path does not take this method",
        "The path exists, and the method is none of those that it takes.",
        "Use a method of the Allow header.",
    ),
    ProblemType(
        "not-the-master",
        405,
        "Only the master takes appends",
        "This node is a secondary: it follows the master's log and serves reads.",
        "Append at the URL in the member `master`. It is null as long as this secondary has not "
        "been found by its master.",
        members=("master",),
    ),
    ProblemType(
        "not-acceptable",
        406,
        "No form of the answer is acceptable",
        "The header Accept takes none of the media types that the path answers with.",
        "Leave Accept out, or name application/json or application/x-ndjson for GET /logs, "
        "text/event-stream or application/x-ndjson for GET /logs/stream.",
    ),
    ProblemType(
        "request-timeout",
        408,
        "The request did not arrive in time",
        "The headers or the body of the request stopped arriving, and the connection was closed. "
        "Nothing was stored.",
        "Send the request again, without pauses.",
        is_retryable=True,
    ),
    ProblemType(
        "not-a-secondary",
        409,
        "Only a secondary has a delay",
        "An injected delay is held at a secondary, before it stores what it received; this node "
        "is the master.",
        "Send the request to a secondary. GET /health lists them.",
    ),
    ProblemType(
        RefusalReason.PRECONDITION_FAILED.value,
        412,
        "The log has moved on",
        "The append was to be stored only behind a certain entry (`If-Match` or `expect`), and the "
        "log does not end there. Nothing was stored.",
        "Read what came since, and append again with the id in the member `last_id`.",
        members=("last_id",),
    ),
    ProblemType(
        "too-large",
        413,
        "The message or the batch is too large",
        "A message is limited to 1 MiB of UTF-8 by default, and a body to what such a message "
        "can take as JSON; a batch to 10,000 entries and a body of 16 MiB. Nothing was stored.",
        "Split the message, or store it elsewhere and append its address; send several batches. "
        "The operator sets the limits.",
        members=("limit", "line"),
    ),
    ProblemType(
        "unsupported-media-type",
        415,
        "The body is not sent as JSON or text",
        "The body's content type is none that this call takes, or the body is compressed. The "
        "type that `curl -d` sends by itself, and no type at all, are taken as JSON. These and "
        "text/plain are not taken from a browser page: a form on a foreign site must not be able "
        "to append.",
        "Send the header Content-Type: application/json; for a batch of lines "
        "application/x-ndjson, for a message as it is text/plain.",
    ),
    ProblemType(
        "ask-the-master",
        421,
        "Only the master knows that",
        "Which nodes hold an entry is counted by the master; this node is a secondary.",
        "Ask at the URL in the member `master`. It is null as long as this secondary has not "
        "been found by its master.",
        members=("master",),
    ),
    ProblemType(
        RefusalReason.KEY_REUSED.value,
        422,
        "The idempotency key was used for something else",
        "An entry with this key is stored, and it is not the one that was sent: another message, "
        "or not the same entries together. Nothing was stored.",
        "Send the same request again only as it was, and a new one under a new key. The member "
        "`id` is the entry that has the key.",
        members=("id",),
    ),
    ProblemType(
        "upgrade-required",
        426,
        "This path speaks WebSocket",
        "A master opens its link to a secondary here; it is not for clients.",
        "Use GET /logs to read, GET /health to see links.",
    ),
    ProblemType(
        "headers-too-large",
        431,
        "The headers are too large",
        "The request line and headers together are limited to 64 KiB.",
        "Send fewer or shorter headers; cookies of the host are a common cause.",
    ),
    ProblemType(
        "internal-error",
        500,
        "The node made an error",
        "This is a defect of the node, and stands in its log with a traceback. If the request "
        "was an append, it may be stored.",
        "Look with GET /logs before you append again, and report the defect.",
    ),
    ProblemType(
        "outcome-unknown",
        500,
        "It is unknown whether the append was stored",
        "The master's disk failed while the append was being stored: it may be there or not. The "
        "node ends, and finds out when it is started again.",
        "When the node is back, look with GET /logs before you append again, or send it again "
        "under the same idempotency key. Look at the disk.",
        members=("id",),
    ),
    ProblemType(
        RefusalReason.NO_QUORUM.value,
        503,
        "The master cannot reach enough nodes",
        "The master is configured with a quorum and does not hear that many nodes, so it refuses "
        "appends before it stores anything. It recovers by itself. Reads go on.",
        "Wait and send it again; GET /health shows which nodes are not heard.",
        is_retryable=True,
        retry_after_s=1,
    ),
    ProblemType(
        RefusalReason.SUPERSEDED.value,
        503,
        "Another master reigns",
        "This master heard of an epoch that another one opened, so it takes no appends: two "
        "masters must never order one log.",
        "Append at the other master. If this one is to reign, stop the other one and start this "
        "one with --take-over.",
    ),
    ProblemType(
        RefusalReason.LOG_FOUND_ELSEWHERE.value,
        503,
        "A secondary holds the log that this master lacks",
        "This master started with an empty directory while another node holds a log. It does not "
        "begin a new one over it.",
        "Stop the master, run `replog restore --from URL DATA_DIR`, and start it again.",
    ),
    ProblemType(
        RefusalReason.DAMAGED.value,
        503,
        "Part of the log does not verify",
        "Bytes of the log on this node's disk are not what was written. They are never served. "
        "A master takes no appends until the range is repaired from a secondary, which it asks "
        "by itself.",
        "GET /health and `replog verify` name segment, id and byte offset. Start a secondary "
        "that holds the range, or read at another node meanwhile.",
        is_retryable=True,
        retry_after_s=5,
    ),
    ProblemType(
        RefusalReason.OVERLOADED.value,
        503,
        "Too much is waiting",
        "One of the node's limits is reached: of appends that wait, of clients that wait for a "
        "receipt, of the bytes of requests in flight, of large reads on their way, or of clients "
        "that follow the log. Nothing was stored.",
        "Wait for the Retry-After seconds and send it again; wait for answers before sending more. "
        "Read and follow at another node, and read pages with limit.",
        is_retryable=True,
        retry_after_s=1,
    ),
    ProblemType(
        RefusalReason.STOPPING.value,
        503,
        "The node is stopping",
        "The node was told to stop. Nothing of this request was stored.",
        "Send it again when the node is back.",
        is_retryable=True,
        retry_after_s=2,
    ),
    ProblemType(
        RefusalReason.NOT_READY.value,
        503,
        "The node is not ready",
        "The node runs, and does not serve in full. The member `reasons`, or else the detail, "
        "says why. Nothing of this request was stored.",
        "Wait, or do what the reasons say. GET /livez says whether the process itself is well.",
        is_retryable=True,
        retry_after_s=1,
        members=("reasons",),
    ),
    ProblemType(
        "too-far-behind",
        503,
        "This node is further behind than max_lag_ms allows",
        "This node was last level with its master longer ago than the read allows, or has no "
        "master now.",
        "Read at another node, allow more, or wait until it has caught up.",
        is_retryable=True,
        retry_after_s=1,
        members=("committed", "lag_ms"),
    ),
    ProblemType(
        "no-master",
        503,
        "This node cannot ask its master",
        "The read is to be checked with the master (`level=master`), and there is none that "
        "answers: the link is down, or another master reigns.",
        "Read with level=committed, or at the master itself.",
        is_retryable=True,
        retry_after_s=1,
        members=("committed",),
    ),
    ProblemType(
        "not-fresh",
        504,
        "The entry did not get here in time",
        "The read was to wait until this node shows a certain entry (`min_id`), and the timeout "
        "passed.",
        "Wait longer, or read at another node; the member `committed` is what this node shows.",
        is_retryable=True,
        members=("committed",),
    ),
    ProblemType(
        RefusalReason.DISK_FULL.value,
        507,
        "The disk is full",
        "The write found no space and left nothing behind. The node goes on serving reads, and "
        "takes appends again by itself when there is space.",
        "Free some space on the master's disk.",
        is_retryable=True,
        retry_after_s=5,
    ),
)

PROBLEMS: Mapping[str, ProblemType] = MappingProxyType({kind.name: kind for kind in _TYPES})
"""All kinds by name."""

assert all(reason.value in PROBLEMS for reason in RefusalReason)
