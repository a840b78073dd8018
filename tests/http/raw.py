"""HTTP over a bare socket, for tests that count bytes.

NETWORK.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.support.waiting import DEADLINE_S


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict[str, object]:
        assert self.headers["content-type"] == "application/problem+json", self
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


class Connection:
    """One TCP connection to a server on loopback."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_again_and_again(self, data: bytes) -> None:
        """Send `data` up to a thousand times: more than any server should take."""
        for _ in range(1000):
            self.socket.sendall(data)

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        self.send(request_bytes(method, target, body, headers))
        return self.answer(is_head=method == "HEAD")

    def append(self, body: bytes, target: str = "/logs") -> Answer:
        return self.request("POST", target, body, {"Content-Type": "application/json"})

    def answer(self, *, is_head: bool = False, is_endless: bool = False) -> Answer:
        """Read one whole answer, or of an endless one its first chunk.

        Raises:
            EOFError: the connection ended before the answer did.
        """
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in head[1:]:
            if line:
                name, _, value = line.partition(": ")
                headers[name.lower()] = value
        status = int(head[0].split(" ")[1])
        if is_head or status in (100, 304):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, self._chunk() if is_endless else self._chunked())
        return Answer(status, headers, self._exactly(int(headers["content-length"])))

    def read_to_end(self) -> bytes:
        """Return all that comes until the server closes; a reset counts as an end."""
        try:
            while data := self.socket.recv(65536):
                self._buffer += data
        except ConnectionResetError:
            pass
        rest, self._buffer = self._buffer, b""
        return rest

    def is_closed(self) -> bool:
        """Whether the server has closed, with nothing unread before it."""
        return self.read_to_end() == b""

    def _chunked(self) -> bytes:
        body = b""
        while chunk := self._chunk():
            body += chunk
        return body

    def _chunk(self) -> bytes:
        """Return the next chunk; the last one is empty."""
        chunk = self._exactly(int(self._until(b"\r\n"), 16))
        self._exactly(2)
        return chunk

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._more()
        found, _, self._buffer = self._buffer.partition(mark)
        return found + mark

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _more(self) -> None:
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError(f"the connection ended; unread: {self._buffer[-200:]!r}")
        self._buffer += data


def request_bytes(
    method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: x"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")
