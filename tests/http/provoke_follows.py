"""Requests that provoke every answer of the route that follows the log.

NETWORK.
"""

from __future__ import annotations

from typing import Protocol

from tests.http.raw import Answer, request_bytes
from tests.http.served import Served

STREAM_PATH = "/logs/stream"


class Notes(Protocol):
    """One operation, and a way to hold an answer against its description."""

    method: str
    path: str

    def note(self, answer: Answer, why: str) -> None: ...


def is_endless(method: str, path: str) -> bool:
    """Whether an answer goes on for as long as its client listens."""
    return (method, path) == ("GET", STREAM_PATH)


def ask_for_follows(served: Served, seen: Notes) -> None:
    """Provoke what only this route answers; the node is as it was afterwards."""
    if seen.path != STREAM_PATH:
        return
    served.node.lines = [b'{"id":1,"message":"a"}\n']
    served.on_loop(lambda: served.node.feed.show(served.node.head.last_id))
    for headers in (
        {},
        {"Accept": "application/x-ndjson"},
        {"Accept": "application/json"},
        {"Last-Event-ID": "0"},
        {"Last-Event-ID": "x"},
    ):
        _ask(served, seen, headers)
    followers = served.app.log_routes.follows.followers
    limit, followers._followers_max = followers._followers_max, 0
    _ask(served, seen, {})
    followers._followers_max = limit
    served.node.lines = []


def _ask(served: Served, seen: Notes, headers: dict[str, str]) -> None:
    with served.connect() as connection:
        connection.send(request_bytes(seen.method, f"{STREAM_PATH}?from=1", None, headers))
        answer = connection.answer(
            is_head=seen.method == "HEAD", is_endless=is_endless(seen.method, seen.path)
        )
        seen.note(answer, f"a stream: {headers}")
