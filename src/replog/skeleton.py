"""The walking skeleton: the seed's two calls over one file and real processes.

DISK and NETWORK. It stands until the real node lands, and promises order and fdatasync on
every node, nothing more: no rejoin, no write concern. One file, one lock, stdlib only.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 8000
SECONDARIES = 2


class Log:
    """One ndjson file of entries; each append is durable when it returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.Lock()
        self._file = path.open("ab", buffering=0)
        self.lines = path.read_bytes().splitlines()

    def append(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        os.fsync(self._file.fileno())
        self.lines.append(line)


class Node(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, log: Log, secondaries: tuple[str, ...] | None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.log = log
        self.secondaries = secondaries


class Handler(BaseHTTPRequestHandler):
    server: Node
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path != "/logs":
            return self.answer(404, b'{"title":"not found"}')
        return self.answer(200, b"[" + b",".join(list(self.server.log.lines)) + b"]")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        log, secondaries = self.server.log, self.server.secondaries
        if self.path == "/copy" and secondaries is None:
            log.append(body)
            return self.answer(200, b"{}")
        if self.path != "/logs" or secondaries is None:
            return self.answer(405, b'{"title":"append at the master"}')
        try:
            message = json.loads(body)["message"]
        except (ValueError, KeyError, TypeError):
            return self.answer(400, b'{"title":"send {\\"message\\": \\"...\\"}"}')
        with log.lock:
            entry = {"id": len(log.lines) + 1, "message": message}
            line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()
            log.append(line)
            for url in secondaries:
                with urllib.request.urlopen(f"{url}/copy", data=line):  # noqa: S310  (own URLs)
                    pass
        return self.answer(200, b'{"status":"success","log":' + line + b"}")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing: one line a request is noise."""


def serve(name: str, port: int, directory: str) -> None:
    secondaries = tuple(f"http://127.0.0.1:{PORT + n}" for n in range(1, SECONDARIES + 1))
    log = Log(Path(directory, name, "log.ndjson"))
    node = Node(port, log, secondaries if name == "master" else None)
    threading.Thread(target=node.serve_forever, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()  # ends when the parent does


def up(directory: str) -> None:
    names = [*(f"secondary-{n}" for n in range(1, SECONDARIES + 1)), "master"]
    children = []
    for name in names:
        port = PORT + int(name.rpartition("-")[2] if "-" in name else 0)
        command = [sys.executable, "-m", "replog", "serve", name, str(port), directory]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        children.append(child)
        assert child.stdout is not None
        if child.stdout.readline() != b"ready\n":
            raise SystemExit(f"replog: {name} did not start on port {port}")
        print(f"  {name:<12} http://127.0.0.1:{port}   {directory}/{name}")
    print(
        f"""ready · try:  curl -d '{{"message":"hello"}}' http://127.0.0.1:{PORT}/logs""",
        flush=True,
    )
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    for child in children:
        child.kill()
        child.wait()
    print(f"stopped · data is in {directory}/")


def main() -> None:
    if sys.argv[1:2] == ["up"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        up("replog-data")
    elif sys.argv[1:2] == ["serve"]:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
        serve(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        raise SystemExit("usage: replog up")
