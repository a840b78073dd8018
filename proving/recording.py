"""Clients that append and read at a cluster and write down what they asked and were told.

NETWORK. What they write is a history for `replog check`: see `replog.history.lines`.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Literal, Self

import msgspec

from replog.history.lines import Append, Disk, Fault, Line, Nodes, Read
from replog.http.problem_types import PROBLEMS

Outcome = Literal["ok", "pending", "refused", "unknown"]

DEFECT = 500
REFUSALS = frozenset(kind.status for kind in PROBLEMS.values()) - {DEFECT}
"""The statuses by which a node says that it does not do something, and stored nothing."""


@dataclass(frozen=True, slots=True)
class Defect:
    """An answer that a node gives only over a defect of the program, or as its disk fails."""

    node: str
    text: str


class Recording:
    """One history file, written by many threads; times are seconds since it was made.

    Attributes:
        counts: operations by kind and outcome, and what else was counted.
        cut_off: appends that were sent, and whose connections ended without an answer.
        defects: answers of 500, and of any other status from 500 on that is not documented.
    """

    def __init__(self, path: Path, nodes: Sequence[str]) -> None:
        self.path = path
        self.nodes = list(nodes)
        self._file = path.open("wb")
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._encode = msgspec.json.Encoder().encode
        self.counts: dict[str, int] = {}
        self.cut_off: list[Append] = []
        self.defects: list[Defect] = []
        self.write(Nodes(self.nodes))

    def now(self) -> float:
        return time.monotonic() - self._began

    def write(self, line: Line) -> None:
        data = self._encode(line) + b"\n"
        with self._lock:
            self._file.write(data)
            if isinstance(line, Append | Read):
                self._count(f"{type(line).__name__.lower()} {line.outcome}")

    def count(self, what: str) -> None:
        """Count what no line of a history tells."""
        with self._lock:
            self._count(what)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def heard(self, node: str, asked: Append | Read, status: int, data: bytes) -> None:
        """Note an answer of `node` where it speaks of a defect."""
        if status >= DEFECT and status not in REFUSALS:
            what = f"{type(asked).__name__.lower()} of client {asked.client}"
            text = f"{node} answered {status} to the {what} at {asked.invoked:.6f}: {data[:500]!r}"
            self.defects.append(Defect(node, text))

    def fault(self, what: str, node: str | None = None, *, within_s: float | None = None) -> None:
        """Note that something was just done to `node`, or to all nodes."""
        self.write(Fault(self.now(), what, node, within_s))

    def disk(self, snapshot: str, node: str, messages: Sequence[str]) -> None:
        """Note what a node's disk holds while no process uses it."""
        self.write(Disk(self.now(), snapshot, node, list(messages)))

    def flush(self) -> None:
        """Return when all that was written so far can be read from the file."""
        with self._lock:
            self._file.flush()

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
    """One client, on one thread: one operation at a time, each written down as it ends.

    Attributes:
        was_connected: a node took the connection of the last operation.
        told: status, body and headers of the last answer; None where none came whole.
    """

    def __init__(self, recording: Recording, number: int, *, timeout_s: float = 10.0) -> None:
        self.recording = recording
        self.number = number
        self._timeout_s = timeout_s
        self._connections: dict[str, http.client.HTTPConnection] = {}
        self.was_connected = False
        self._is_cut_off = False
        self.told: tuple[int, bytes, Mapping[str, str]] | None = None

    def append(
        self,
        messages: Sequence[str],
        *,
        w: int,
        key: str | None = None,
        timeout: float | None = None,
        give_up_s: float | None = None,
    ) -> Append:
        """Append at the master, and return the line that was written.

        Args:
            timeout: seconds after which the master answers "pending".
            give_up_s: seconds after which this client hangs up, instead of its own.
        """
        recording = self.recording
        post = Post.of(messages, w=w, key=key, timeout=timeout)
        line = Append(self.number, recording.now(), "unknown", list(messages), w, key=key)
        answer = self._call(
            recording.nodes[0], "POST", post.path, post.body, post.headers, give_up_s=give_up_s
        )
        if answer is not None:
            status, data, headers = answer
            answered(recording, line, status, data, headers)
        else:
            line.given_up = recording.now()
            if self._is_cut_off:
                recording.cut_off.append(line)
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
            recording.heard(node, line, status, data)
            line.has_master = "log-master" not in headers
            if status == 200:
                entries = json.loads(data)
                ids = [entry["id"] for entry in entries]
                line.messages = [entry["message"] for entry in entries]
                line.is_whole = limit is None or len(ids) < limit
                if ids != list(range(first, first + len(ids))):
                    line.ids = ids
        else:
            line.given_up = recording.now()
        recording.write(line)
        return line

    def _call(
        self,
        node: str,
        method: str,
        path: str,
        body: str | None,
        headers: Mapping[str, str],
        *,
        give_up_s: float | None = None,
    ) -> tuple[int, bytes, Mapping[str, str]] | None:
        """Return status, body and headers of an answer that came whole; else None."""
        self.told = None
        connection = self._connections.get(node)
        if connection is None:
            host = node.removeprefix("http://")
            connection = http.client.HTTPConnection(host, timeout=self._timeout_s)
            self._connections[node] = connection
        self.was_connected = self._is_cut_off = False
        try:
            if connection.sock is None:
                connection.connect()
            self.was_connected = self._is_cut_off = True
            connection.sock.settimeout(self._timeout_s if give_up_s is None else give_up_s)
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, TimeoutError):
                self._is_cut_off = False
                self.recording.count("no answer in time" if give_up_s is None else "gave up")
            connection.close()
            return None
        self.told = response.status, data, {k.lower(): v for k, v in response.getheaders()}
        return self.told

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


@dataclass(frozen=True, slots=True)
class Post:
    """The request of an append."""

    path: str
    body: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, messages: Sequence[str], *, w: int, key: str | None, timeout: float | None) -> Self:
        query = f"?w={w}" + ("" if timeout is None else f"&timeout={timeout}")
        each = [{"message": message} for message in messages]
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["idempotency-key"] = json.dumps(key)
        return cls(f"/logs{query}", json.dumps(each[0] if len(each) == 1 else each), headers)


def answered(
    recording: Recording, line: Append, status: int, data: bytes, headers: Mapping[str, str]
) -> None:
    """Put into `line` what the answer to an append that just came means: see docs/http.md."""
    named: dict[int, Outcome] = {200: "ok", 202: "pending", 500: "unknown"}
    line.returned = recording.now()
    line.outcome = named.get(status, "refused")
    if line.outcome in {"ok", "pending"}:
        answer = json.loads(data)
        line.first_id = int(answer["log"]["id"] if "log" in answer else answer["first"])
    recording.count(f"answers of status {status}")
    recording.heard(recording.nodes[0], line, status, data)
    if "idempotency-replayed" in headers:
        recording.count("answers replayed")


def brief(line: Append) -> str:
    """Return an append for people, who need not see all of long messages."""
    messages = [message[:40] for message in line.messages]
    return str(msgspec.structs.replace(line, messages=messages))


Life = Callable[[RecordingClient, Random, threading.Event], None]
"""What one client does until the event is set."""


class Clients:
    """Clients on threads that append and read at random until they are stopped.

    Args:
        clients: how many of them.
        lives: of clients that do something else, besides.
        concerns: write concerns, one of which each append draws.
        timeouts: what each append draws its `timeout` from; None for none.
        reads: the part of operations that are reads, at a node drawn at random.
        padding_max: the most bytes by which a message is made longer, drawn at random.
        pause_s: how long a client waits after each operation, and after one that failed.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        seed: int,
        clients: int = 8,
        lives: Sequence[Life] = (),
        concerns: Sequence[int] = (1, 2, 3),
        timeouts: Sequence[float | None] = (None,),
        reads: float = 0.2,
        padding_max: int = 0,
        pause_s: float = 0.0,
        timeout_s: float = 10.0,
    ) -> None:
        self.recording = recording
        self._seed = seed
        self._concerns = tuple(concerns)
        self._timeouts = tuple(timeouts)
        self._reads = reads
        self._padding_max = padding_max
        self._pause_s = pause_s
        self._timeout_s = timeout_s
        self._stopping = threading.Event()
        self.error: Exception | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(number, life), name=f"client {number}")
            for number, life in enumerate([self._append_and_read] * clients + [*lives], start=1)
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
        if self.error is not None:
            if error is None:
                raise self.error
            error.add_note(f"and a client had met {self.error!r}")

    def stop(self) -> None:
        """Begin nothing more, and wait until what is under way has ended or timed out."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int, life: Life) -> None:
        random = Random(f"{self._seed} {number}")
        client = RecordingClient(self.recording, number, timeout_s=self._timeout_s)
        try:
            life(client, random, self._stopping)
        except Exception as error:  # noqa: BLE001 - it is raised where the clients end
            self.error = error
        finally:
            client.close()

    def _append_and_read(
        self, client: RecordingClient, random: Random, stopping: threading.Event
    ) -> None:
        made = 0
        shown: dict[str, int] = {}
        while not stopping.is_set():
            if random.random() < self._reads:
                node = random.choice(self.recording.nodes)
                first = max(1, shown.get(node, 0) - random.randrange(20))
                read = client.read(node, first=first)
                failed = read.outcome != "ok"
                shown[node] = first + len(read.messages or ())
            else:
                count = random.choice((1, 1, 1, 5))
                messages = [f"{self._seed}-{client.number}-{made + one}" for one in range(count)]
                made += count
                if self._padding_max:
                    length = random.randint(0, self._padding_max)
                    messages = [f"{message} {length * 'x'}" for message in messages]
                w, timeout = random.choice(self._concerns), random.choice(self._timeouts)
                append = client.append(messages, w=w, timeout=timeout)
                failed = append.outcome != "ok"
            stopping.wait(max(self._pause_s, 0.05 if failed else 0.0))
