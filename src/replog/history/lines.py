"""The lines of a history: what clients asked, what they were told, what was done to the nodes.

PURE. A history is a text file of one JSON object a line, written by whoever drives a log, in
whatever language; `replog check` judges it. Times are seconds of one monotonic clock that all
lines share, from any zero. An operation is one line, written once it ended or was given up.

    {"op":"nodes","format":1,"nodes":["http://127.0.0.1:8000","http://127.0.0.1:8001"]}
    {"op":"append","client":1,"invoked":0.1,"returned":0.2,"outcome":"ok","messages":["a"],"w":2,"first_id":1}
    {"op":"read","client":2,"invoked":0.3,"returned":0.4,"outcome":"ok","node":"…","first":1,"messages":["a"]}
    {"op":"fault","at":0.5,"what":"kill","node":"…"}
    {"op":"disk","at":0.9,"snapshot":"end","node":"…","messages":["a"]}
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FORMAT = 1

Id = Annotated[int, Meta(ge=1)]


class Nodes(msgspec.Struct, tag_field="op", tag="nodes", forbid_unknown_fields=True):
    """The first line: the URLs of all nodes, the master's first."""

    nodes: list[str]
    format: int = FORMAT


class Append(msgspec.Struct, tag_field="op", tag="append", forbid_unknown_fields=True, gc=False):
    """One append of one message or more. No two appends share a message, but retries of a key.

    Attributes:
        outcome: "ok" (answered at `w`), "pending" (stored, not yet at `w`), "refused" (proved
            not stored) or "unknown" (no answer came, or the client gave up).
        w: how many nodes, the master counted, must hold it before it is answered "ok".
        key: the idempotency key; who retries uses it, and the messages, again.
        first_id: the id of the first message, where an answer told it.
        returned: None where no answer came.
        given_up: when the client stopped waiting, where no answer came.
    """

    client: int
    invoked: float
    outcome: Literal["ok", "pending", "refused", "unknown"]
    messages: Annotated[list[str], Meta(min_length=1)]
    w: Id
    returned: float | None = None
    key: str | None = None
    first_id: Id | None = None
    given_up: float | None = None


class Read(msgspec.Struct, tag_field="op", tag="read", forbid_unknown_fields=True, gc=False):
    """One read of a stretch of the log at one node, up to all that the node showed.

    Attributes:
        first: the id that was asked for first.
        messages: what came, or None where `sha256` stands for it.
        last, sha256: the last id that came (`first - 1` for none), and SHA-256, in hex, over
            the entry lines that came, each with its line end.
        ids: what ids came, where they are not `first`, `first + 1`, and so on.
        has_master: False where the answer said that the node has no master now.
        is_whole: False where a limit ended the read: more may have been there.
        is_conditional: the node may refuse it, or keep it waiting, though all is well.
        given_up: when the client stopped waiting, where no answer came.
    """

    client: int
    invoked: float
    node: str
    outcome: Literal["ok", "refused", "unknown"]
    returned: float | None = None
    first: Id = 1
    messages: list[str] | None = None
    last: Annotated[int, Meta(ge=0)] | None = None
    sha256: str | None = None
    ids: list[int] | None = None
    has_master: bool = True
    is_whole: bool = True
    is_conditional: bool = False
    given_up: float | None = None


class Fault(msgspec.Struct, tag_field="op", tag="fault", forbid_unknown_fields=True):
    """What was done to the nodes, at the moment when it had been done.

    `what` is any word. These mean something to the judge: "lost-power" (of `node`, or of all: a
    node may show less afterwards than before), "wiped" (its disk is new: it counts no more for
    what was answered before), "rotted" (nothing counts that it holds or shows, until it is
    "repaired"), "healed" (no fault is left, nothing is rotten any more; with `within_s`: within so
    many seconds appends and reads are answered "ok" again).
    """

    at: float
    what: str
    node: str | None = None
    within_s: float | None = None


class Disk(msgspec.Struct, tag_field="op", tag="disk", forbid_unknown_fields=True):
    """What one node's disk holds, read from its files while no process used them.

    Disks of one `snapshot` were all taken at once: after every answer above them, and before
    any below. The snapshot "end" is the last, when all nodes had come right again.
    """

    at: float
    snapshot: str
    node: str
    messages: list[str] | None = None
    last: Annotated[int, Meta(ge=0)] | None = None
    sha256: str | None = None


Line = Nodes | Append | Read | Fault | Disk
