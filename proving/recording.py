"""Clients that append and read at a cluster and write down what they asked and were told.

NETWORK. What they write is a history for `replog check`: see `replog.history.lines`.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Literal, Self

import msgspec

from replog.history.lines import Append, Disk, Fault, Line, Nodes, Read

Outcome = Literal["ok", "pending", "refused", "unknown"]


class Recording:
    """One history file, written by many threads; times are seconds since it was made."""

    def __init__(self, path: Path, nodes: Sequence[str]) -> None:
        self.path = path
        self.nodes = list(nodes)
        self._file = path.open("wb")
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._encode = msgspec.json.Encoder().encode
        self.counts: dict[str, int] = {}
        self.write(Nodes(self.nodes))

    def now(self) -> float:
        return time.monotonic() - self._began

    def write(self, line: Line) -> None:
        data = self._encode(line) + b"\n"
        with self._lock:
            self._file.write(data)
            if isinstance(line, Append | Read):
                name = f"{type(line).__name__.lower()} {line.outcome}"
                self.counts[name] = self.counts.get(name, 0) + 1

    def fault(self, what: str, node: str | None = None, *, within_s: float | None = None) -> None:
        """Note that something was just done to `node`, or to all nodes."""
        self.write(Fault(self.now(), what, node, within_s))

    def disk(self, snapshot: str, node: str, messages: Sequence[str]) -> None:
        """Note what a node's disk holds while no process uses it."""
        self.write(Disk(self.now(), snapshot, node, list(messages)))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class RecordingClient:
    """One client, on one thread: one operation at a time, each written down as it ends."""

    def __init__(self, recording: Recording, number: int, *, timeout_s: float = 10.0) -> None:
        self.recording = recording
        self.number = number
        self._timeout_s = timeout_s
        self._connections: dict[str, http.client.HTTPConnection] = {}

    def append(
        self,
        messages: Sequence[str],
        *,
        w: int,
        key: str | None = None,
        timeout: float | None = None,
    ) -> Append:
        """Append at the master, and return the line that was written.

        Args:
            timeout: seconds after which the master answers "pending".
        """
        recording = self.recording
        query = f"?w={w}" + ("" if timeout is None else f"&timeout={timeout}")
        each = [{"message": message} for message in messages]
        body = json.dumps(each[0] if len(each) == 1 else each)
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["idempotency-key"] = json.dumps(key)
        invoked = recording.now()
        answer = self._call(recording.nodes[0], "POST", f"/logs{query}", body, headers)
        line = Append(self.number, invoked, "unknown", list(messages), w, key=key)
        if answer is None:
            line.given_up = recording.now()
        else:
            status, data, _ = answer
            line.returned = recording.now()
            line.outcome = _outcome(status)
            if line.outcome in {"ok", "pending"}:
                line.first_id = _first_id(data)
        recording.write(line)
        return line

    def read(self, node: str, *, first: int = 1, limit: int | None = None) -> Read:
        """Read at `node` from `first` on, and return the line that was written."""
        recording = self.recording
        query = f"?from={first}" + ("" if limit is None else f"&limit={limit}")
        invoked = recording.now()
        answer = self._call(node, "GET", f"/logs{query}", None, {})
        line = Read(self.number, invoked, node, "unknown", first=first, is_whole=limit is None)
        if answer is not None:
            status, data, headers = answer
            line.returned = recording.now()
            line.outcome = "ok" if status == 200 else "refused"
            line.has_master = "log-master" not in headers
            if status == 200:
                entries = json.loads(data)
                ids = [entry["id"] for entry in entries]
                line.messages = [entry["message"] for entry in entries]
                line.is_whole = limit is None or len(ids) < limit
                if ids != list(range(first, first + len(ids))):
                    line.ids = ids
        recording.write(line)
        return line

    def _call(
        self, node: str, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Mapping[str, str]] | None:
        """Return status, body and headers of an answer that came whole; else None."""
        connection = self._connections.get(node)
        if connection is None:
            host = node.removeprefix("http://")
            connection = http.client.HTTPConnection(host, timeout=self._timeout_s)
            self._connections[node] = connection
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        return response.status, data, {k.lower(): v for k, v in response.getheaders()}

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


def _outcome(status: int) -> Outcome:
    """Return what an answer to an append means: see docs/http.md."""
    named: dict[int, Outcome] = {200: "ok", 202: "pending", 500: "unknown"}
    return named.get(status, "refused")


def _first_id(data: bytes) -> int:
    answer = json.loads(data)
    return int(answer["log"]["id"] if "log" in answer else answer["first"])


class Clients:
    """Clients on threads that append and read at random until they are stopped.

    Args:
        concerns: write concerns, one of which each append draws.
        reads: the part of operations that are reads, at a node drawn at random.
        pause_s: how long a client waits after each operation, and after one that failed.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        seed: int,
        clients: int = 8,
        concerns: Sequence[int] = (1, 2, 3),
        reads: float = 0.2,
        pause_s: float = 0.0,
        timeout_s: float = 10.0,
    ) -> None:
        self.recording = recording
        self._seed = seed
        self._concerns = tuple(concerns)
        self._reads = reads
        self._pause_s = pause_s
        self._timeout_s = timeout_s
        self._stopping = threading.Event()
        self.error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"client {number}")
            for number in range(1, clients + 1)
        ]

    @property
    def acknowledged(self) -> int:
        """How many appends were answered "ok" so far."""
        return self.recording.counts.get("append ok", 0)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is None and self.error is not None:
            raise self.error

    def stop(self) -> None:
        """Begin nothing more, and wait until what is under way has ended or timed out."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        random = Random(f"{self._seed} {number}")
        client = RecordingClient(self.recording, number, timeout_s=self._timeout_s)
        made = 0
        shown: dict[str, int] = {}
        try:
            while not self._stopping.is_set():
                if random.random() < self._reads:
                    node = random.choice(self.recording.nodes)
                    first = max(1, shown.get(node, 0) - random.randrange(20))
                    read = client.read(node, first=first)
                    failed = read.outcome != "ok"
                    shown[node] = first + len(read.messages or ())
                else:
                    count = random.choice((1, 1, 1, 5))
                    messages = [f"{self._seed}-{number}-{made + one}" for one in range(count)]
                    made += count
                    append = client.append(messages, w=random.choice(self._concerns))
                    failed = append.outcome != "ok"
                self._stopping.wait(max(self._pause_s, 0.05 if failed else 0.0))
        except BaseException as error:
            self.error = error
            raise
        finally:
            client.close()
