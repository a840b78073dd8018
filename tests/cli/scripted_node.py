"""A node that answers as a test says, over real HTTP; it notes what it was asked.

NETWORK.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.waiting import DEADLINE_S


@dataclass(frozen=True)
class Answer:
    """What is answered to one request.

    Attributes:
        size: the promised length where it is not the body's: the answer breaks off.
        hangs: it breaks off only when the test calls `release`.
        waits: it begins only when the test calls `release`.
        committed: the header Log-Committed.
    """

    body: bytes
    status: int = 200
    acks: str | None = None
    size: int | None = None
    hangs: bool = False
    waits: bool = False
    committed: int | None = None


@dataclass
class ScriptedNode:
    """Attributes:
    answers: in the order of the requests.
    asked: method and path, without the key of a batch, and body.
    keys: of the batches, a None for each request without one.
    health: answers to `GET /health` that come out of turn, where there are any.
    """

    url: str
    answers: list[Answer] = field(default_factory=list)
    health: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    connections: int = 0
    _released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """End the answers that hang."""
        self._released.set()

    def wait_for_release(self) -> None:
        assert self._released.wait(DEADLINE_S)

    def stored(self, *ids: int, acks: str = "3/3") -> None:
        for id_ in ids:
            entry = {"id": id_, "message": "m"}
            body = json.dumps({"status": "success", "log": entry}, separators=(",", ":"))
            self.answers.append(Answer(body.encode(), acks=acks))

    def stored_batch(self, first: int, last: int, acks: str = "3/3") -> None:
        body = {"status": "success", "first": first, "last": last, "count": last - first + 1}
        self.answers.append(Answer(json.dumps(body).encode(), acks=acks))


def _without_key(path: str) -> tuple[str, str | None]:
    """Return a path whose query has no `key` any more, and that key."""
    name, _, query = path.partition("?")
    parts = query.split("&") if query else []
    keys = [part.removeprefix("key=") for part in parts if part.startswith("key=")]
    rest = "&".join(part for part in parts if not part.startswith("key="))
    return f"{name}?{rest}" if rest else name, keys[0] if keys else None


@contextmanager
def scripted_node() -> Iterator[ScriptedNode]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            node.connections += 1

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            path, key = _without_key(self.path)
            node.asked.append((f"{self.command} {path}", body))
            node.keys.append(key)
            is_aside = self.path == "/health" and bool(node.health)
            answer = node.health.pop(0) if is_aside else node.answers.pop(0)
            if answer.waits:
                node.wait_for_release()
            size = len(answer.body) if answer.size is None else answer.size
            self.send_response(answer.status)
            if answer.status >= 400:
                self.send_header("Content-Type", "application/problem+json")
            self.send_header("Content-Length", str(size))
            if answer.acks:
                self.send_header("Log-Acks", answer.acks)
            if answer.committed is not None:
                self.send_header("Log-Committed", str(answer.committed))
            self.end_headers()
            self.wfile.write(answer.body)
            if answer.hangs:
                node.wait_for_release()
            self.close_connection |= size != len(answer.body)

        do_GET = do_POST = do_HEAD = _answer  # noqa: N815 - names of http.server

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        node = ScriptedNode(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield node
        finally:
            server.shutdown()
            thread.join()
