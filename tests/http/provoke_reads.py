"""Requests that provoke every answer of the routes that read entries.

NETWORK.
"""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Protocol

from replog.http.large_reads import LargeReads
from tests.http.raw import Answer
from tests.http.served import Served


class Notes(Protocol):
    """One operation, and a way to hold an answer against its description."""

    method: str
    path: str

    def note(self, answer: Answer, why: str) -> None: ...


def is_read(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and path in ("/logs", "/logs/{id}")


def ask_for_reads(served: Served, seen: Notes) -> None:
    """Provoke what only these routes answer; the node is as it was afterwards."""
    node = served.node
    node.lines = [b'{"id":1,"message":"%b"}\n' % (b"a" * 2000), b'{"id":2,"message":"b"}\n']
    for at_hand in (0, 1000):
        node.at_hand_entries = at_hand
        for query in ("", "?limit=1", "?last=1", "?min_id=1", "?level=master"):
            for headers in (
                {},
                {"Accept": "application/x-ndjson", "Accept-Encoding": "gzip"},
                {"If-None-Match": "*"},
                {"Accept": "text/html"},
            ):
                _ask(served, seen, query, headers)
    _ask_one_that_is_not_fresh(served, seen)
    _ask_one_that_is_overloaded(served, seen)
    node.lines = []
    node.at_hand_entries = 0


def _ask_one_that_is_not_fresh(served: Served, seen: Notes) -> None:
    node = served.node
    _ask(served, seen, "?min_id=9&timeout=0")
    node.is_fresh = False
    _ask(served, seen, "?level=master")
    for lag_s in (2.0, None):
        node.lag_s = lag_s
        _ask(served, seen, "?max_lag_ms=1000")
    node.is_fresh, node.lag_s = True, 0.0


def _ask_one_that_is_overloaded(served: Served, seen: Notes) -> None:
    """One more large read than may be on their way."""
    node, routes = served.node, served.app.log_routes
    whole, large = node.lines, routes.reads.large_reads
    node.lines = [b'{"id":1,"message":"%b"}\n' % (b"x" * 300_000)]
    node.at_hand_entries = 0
    routes.reads.large_reads = LargeReads(limit=1)
    one = routes.reads.large_reads.one()
    served.on_loop(one.__enter__)
    _ask(served, seen, "")
    served.on_loop(lambda: one.__exit__(None, None, None))
    routes.reads.large_reads = large
    node.lines = whole


def _ask(served: Served, seen: Notes, query: str, headers: dict[str, str] | None = None) -> None:
    with served.connect() as connection:
        target = seen.path.replace("{id}", "1") + query
        answer = connection.request(seen.method, target, None, headers)
        if answer.body and answer.headers.get("content-encoding") == "gzip":
            answer = replace(answer, body=gzip.decompress(answer.body))
        seen.note(answer, f"a read: {query} {headers}")
