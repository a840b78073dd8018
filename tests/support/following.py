"""One who follows a node's log over a bare socket: bytes as they come, cut into events.

NETWORK.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.support.waiting import DEADLINE_S


@dataclass(frozen=True)
class Event:
    """One Server-Sent Event, or a comment, whose `kind` is a colon."""

    kind: str
    id: int | None
    data: str


class Stream:
    """One `GET /logs/stream`, read at the test's own pace."""

    def __init__(
        self,
        port: int,
        query: str = "",
        headers: dict[str, str] | None = None,
        *,
        version: str = "1.1",
        receive_buffer: int | None = None,
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._raw = b""
        self._body = b""
        self.is_whole = False
        """The end of the answer came."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        request = f"GET /logs/stream{query} HTTP/{version}\r\nHost: x\r\n{fields}\r\n"
        try:
            self.socket.settimeout(DEADLINE_S)
            self.socket.connect(("127.0.0.1", port))
            self.socket.sendall(request.encode())
            head = self._raw_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        except BaseException:
            self.socket.close()
            raise
        self.status = int(head[0].split(" ")[1])
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        self.headers = {name.lower(): value for name, value in pairs}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def hang_up(self) -> None:
        """End the connection, from any thread."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    # --- events -------------------------------------------------------------------------

    def event(self) -> Event:
        """Return the next one. Raises: EOFError."""
        kind, entry_id, data = "message", None, []
        for line in self._body_until(b"\n\n").decode().splitlines():
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match name:
                case "event" | "retry":
                    kind = value if name == "event" else "retry"
                case "id":
                    entry_id = int(value)
                case "data":
                    data.append(value)
                case "":
                    kind = ":" if line else kind
                case _:
                    raise AssertionError(line)
        return Event(kind, entry_id, "\n".join(data))

    def message(self) -> tuple[int, str]:
        """Return id and message of the next event that is an entry, checked against itself."""
        while True:
            event = self.event()
            if event.kind == "message":
                entry = json.loads(event.data)
                assert entry == {"id": event.id, "message": entry["message"]}, event
                return entry["id"], entry["message"]
            assert event.kind in (":", "retry"), event

    def ids(self, count: int) -> list[int]:
        return [self.message()[0] for _ in range(count)]

    def ids_to_the_end(self) -> list[int]:
        """Return the ids of all entries until the stream ends or breaks, whatever follows."""
        ids: list[int] = []
        try:
            while True:
                event = self.event()
                if event.kind == "message":
                    assert event.id is not None
                    ids.append(event.id)
        except (EOFError, ConnectionResetError):
            return ids

    def ids_to_the_bye(self) -> tuple[list[int], dict[str, object]]:
        """Return the ids of all entries until the node says bye, and what it says."""
        ids: list[int] = []
        while (event := self.event()).kind != "bye":
            if event.kind == "message":
                assert event.id is not None
                ids.append(event.id)
        said = json.loads(event.data)
        assert isinstance(said, dict)
        return ids, said

    def bye(self) -> dict[str, object]:
        """Return what the last event says, after heartbeats, and that the stream ended."""
        event = self.event()
        while event.kind in (":", "retry"):
            event = self.event()
        assert event.kind == "bye", event
        said = json.loads(event.data)
        assert isinstance(said, dict)
        assert self.rest() == b""
        return said

    # --- lines and bytes ----------------------------------------------------------------

    def line(self) -> bytes:
        """Return the next line of NDJSON, empty where it is a heartbeat. Raises: EOFError."""
        return self._body_until(b"\n")[:-1]

    def rest(self) -> bytes:
        """Return what comes until the end of the answer, or of the connection."""
        try:
            while True:
                self._more_body()
        except (EOFError, ConnectionResetError):
            return self._body

    def _body_until(self, mark: bytes) -> bytes:
        while mark not in self._body:
            self._more_body()
        found, _, self._body = self._body.partition(mark)
        return found + mark

    def _more_body(self) -> None:
        if self.is_whole:
            raise EOFError("the stream ended")
        if self.headers.get("transfer-encoding") != "chunked":
            self._more_raw()
            self._body, self._raw = self._body + self._raw, b""
            return
        size = int(self._raw_until(b"\r\n"), 16)
        while len(self._raw) < size + 2:
            self._more_raw()
        self._body += self._raw[:size]
        self._raw = self._raw[size + 2 :]
        self.is_whole = size == 0

    def _raw_until(self, mark: bytes) -> bytes:
        while mark not in self._raw:
            self._more_raw()
        found, _, self._raw = self._raw.partition(mark)
        return found + mark

    def _more_raw(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError("the connection ended")
        self._raw += data


def opened(connect: Callable[[], Stream]) -> Stream:
    """Return a stream that is known to follow: its first bytes came."""
    stream = connect()
    assert stream.event().kind == "retry"
    return stream


class Following:
    """Follows a node in a thread of its own, from the first entry on, as a browser would.

    Where the stream ends or breaks, it connects again with the last id that it had.

    Attributes:
        entries: id and message of all that came, in the order in which it came.
        byes: reasons that the node gave.
        connections: how often the node answered with a stream.
    """

    def __init__(self, port: int) -> None:
        self.entries: list[tuple[int, str]] = []
        self.byes: list[str] = []
        self.connections = 0
        self.failure: BaseException | None = None
        self._port = port
        self._is_stopping = False
        self._stream: Stream | None = None
        self._thread = threading.Thread(target=self._run, name=f"following {port}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_stopping = True
        stream = self._stream
        if stream is not None:
            stream.hang_up()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "it still follows"
        if self.failure is not None:
            raise self.failure

    @property
    def last_id(self) -> int:
        return self.entries[-1][0] if self.entries else 0

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                try:
                    self._follow_once()
                except OSError:  # nobody listens yet, or the connection broke
                    time.sleep(0.02)
        except BaseException as error:
            self.failure = error
            raise

    def _follow_once(self) -> None:
        try:
            with Stream(self._port, headers={"Last-Event-ID": str(self.last_id)}) as self._stream:
                assert self._stream.status in (200, 503), self._stream.status
                self.connections += self._stream.status == 200
                while True:
                    event = self._stream.event()
                    if event.kind == "message":
                        entry = json.loads(event.data)
                        self.entries.append((entry["id"], entry["message"]))
                    elif event.kind == "bye":
                        said = json.loads(event.data)
                        assert said["next"] == self.last_id + 1, said
                        self.byes.append(said["reason"])
        except EOFError:
            return
