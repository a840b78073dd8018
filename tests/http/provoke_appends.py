"""Requests that provoke every answer of the routes that append, and of receipts.

NETWORK.
"""

from __future__ import annotations

from typing import Protocol

from replog.core.effects import RefusalReason
from tests.http.raw import Answer
from tests.http.served import Served

JSON = {"Content-Type": "application/json"}
BATCH = b'[{"message":"a"},{"message":"b"}]'

REASONS: dict[str, set[RefusalReason]] = {
    "/logs": set(RefusalReason) - {RefusalReason.UNKNOWN_ID},
    "/logs/{id}/acks": {
        RefusalReason.UNKNOWN_ID,
        RefusalReason.BAD_WRITE_CONCERN,
        RefusalReason.DAMAGED,
    },
}
"""Why a node may refuse what comes by these paths."""


class Notes(Protocol):
    """One operation, and a way to hold an answer against its description."""

    method: str
    path: str

    def note(self, answer: Answer, why: str) -> None: ...


def ask_for_appends(served: Served, seen: Notes) -> None:
    """Provoke what only these routes answer; the node's log is empty afterwards."""
    if (seen.method, seen.path) == ("POST", "/logs"):
        _ask_for_batches(served, seen)
        _ask_for_texts(served, seen)
        _ask_on_conditions(served, seen)
        served.node.is_disk_broken = True
        _ask(served, seen, b'{"message":"x"}', JSON)
        served.node.is_disk_broken = False
    elif seen.path == "/logs/{id}/acks":
        _ask_for_receipts(served, seen)
    served.node.lines = []
    served.node.keys = {}
    served.node.reachable = 3


def _ask_for_batches(served: Served, seen: Notes) -> None:
    lines = {"Content-Type": "application/x-ndjson"}
    _ask(served, seen, BATCH, JSON)
    _ask(served, seen, BATCH[1:-1].replace(b"},", b"}\n"), lines)
    served.node.reachable = 1
    _ask(served, seen, BATCH, JSON, "?timeout=0")
    served.node.reachable = 3
    for bad in (
        b'{"message":1}',
        b'{"message":"%b"}' % (b"x" * 2000),
        b"{",
        b'{"message":"\\ud800"}',
    ):
        _ask(served, seen, b"[%b]" % bad, JSON)
        _ask(served, seen, bad, lines)
    _ask(served, seen, b"[%b]" % b",".join([b'{"message":""}'] * 20_000), JSON)


def _ask_for_texts(served: Served, seen: Notes) -> None:
    for body in (b"text", b"", b"\xff", b"x" * 2000):
        _ask(served, seen, body, {"Content-Type": "text/plain"})


def _ask_on_conditions(served: Served, seen: Notes) -> None:
    for body in (b'{"message":"x"}', BATCH):
        for _ in range(2):  # the second one is a replay
            _ask(served, seen, body, {**JSON, "Idempotency-Key": body.decode()[:5]})
    _ask(served, seen, b'{"message":"y"}', JSON, "?key={%22mes")
    for expect in ("0", '"999"', "*", "-1"):
        _ask(served, seen, b'{"message":"x"}', {**JSON, "If-Match": expect})
    _ask(served, seen, b'{"message":"x","key":"a"}', {**JSON, "Idempotency-Key": '"b'})
    _ask(served, seen, b'{"message":"x","key":"a"}', {**JSON, "Idempotency-Key": "b"})
    for field in (b'"key":""', b'"key":1', b'"expect":-1', b'"expect":999'):
        _ask(served, seen, b'{"message":"x",%b}' % field, JSON)


def _ask_for_receipts(served: Served, seen: Notes) -> None:
    _ask(served, seen, None, {})
    served.node.lines = [b'{"id":1,"message":"a"}\n']
    for query in ("", "?w=1", "?w=9", "?w=x", "?wait=0.01"):
        _ask(served, seen, None, {}, query)
    served.node.reachable = 1
    _ask(served, seen, None, {}, "?w=all&wait=0")
    appends_max = served.app.log_routes.acks.waiting_max
    served.app.log_routes.acks.waiting_max = 0
    _ask(served, seen, None, {})
    served.app.log_routes.acks.waiting_max = appends_max


def _ask(
    served: Served, seen: Notes, body: bytes | None, headers: dict[str, str], query: str = ""
) -> None:
    with served.connect() as connection:
        target = seen.path.replace("{id}", "1") + query
        answer = connection.request(seen.method, target, body, headers)
        seen.note(answer, f"an append: {query} {headers} {(body or b'')[:60]!r}")
