"""Servers that show a log as a node does, as far as `replog doctor` asks: tags, pages, health.

NETWORK.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class ShownLog:
    """A log whose batches have bytes of their own beside their messages.

    Attributes:
        batches: each one its messages, and what tells it from a batch with the same ones.
    """

    batches: Sequence[tuple[Sequence[str], str]]
    log_id: str = "log"
    role: str = "secondary"
    health: dict[str, object] = field(default_factory=dict)
    url: str = ""
    tags_asked: int = 0

    @property
    def messages(self) -> list[str]:
        return [message for messages, _ in self.batches for message in messages]

    def hash_at(self, id_: int) -> str:
        """Return the hash at the end of the batch that holds an entry."""
        chain, last = hashlib.sha256(), 0
        for messages, salt in self.batches:
            chain.update(json.dumps([list(messages), salt]).encode())
            last += len(messages)
            if last >= id_:
                break
        return chain.hexdigest()

    def own_health(self) -> dict[str, object]:
        last = len(self.messages)
        return {
            "role": self.role, "status": "ok", "log_id": self.log_id, "last_id": last,
            "committed_id": last, "head": self.hash_at(last), "secondaries": [], **self.health,
        }  # fmt: skip


@contextmanager
def log_server(log: ShownLog) -> Iterator[ShownLog]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            log.tags_asked += 1
            id_ = int(self.path.rpartition("/")[2])
            self.send_response(200)
            self.send_header("ETag", f'"{log.log_id}.{id_}.{log.hash_at(id_)}"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/health":
                body = json.dumps(log.own_health())
            else:
                query = parse_qs(parts.query)
                first, limit = int(query["from"][0]), int(query["limit"][0])
                shown = list(enumerate(log.messages, 1))[first - 1 : first - 1 + limit]
                body = "".join(json.dumps({"id": i, "message": m}) + "\n" for i, m in shown)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        log.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield log
        finally:
            server.shutdown()
            thread.join()
