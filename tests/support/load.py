"""Many clients that append at once, and what each of them was told.

NETWORK. The event loop of each load runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.support.connection import Connection, append_request, batch_request


@dataclass(slots=True)
class Acknowledged:
    """What clients were answered: `message` of each id; `statuses` counts every answer."""

    messages: dict[int, str] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    doubles: list[int] = field(default_factory=list)
    """Ids that were given to two different appends: must stay empty."""


class Load:
    """Appends `prefix-0`, `prefix-1`, … over `clients` connections until stopped.

    A client whose connection breaks stays away; the load ends when all are away, when
    `total` messages were sent and answered, or at `stop`.

    Args:
        batch: messages a request; `total` is a multiple of it.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        clients: int,
        query: str = "",
        total: int | None = None,
        padding: str = "",
        batch: int = 1,
    ) -> None:
        assert total is None or total % batch == 0, (total, batch)
        host, port = url.removeprefix("http://").split(":")
        self._address = (host, int(port))
        self._prefix = prefix
        self._clients = clients
        self._query = query
        self._total = total
        self._padding = padding
        self._batch = batch
        self._sent = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"load {prefix}")
        self.acknowledged = Acknowledged()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    @property
    def count(self) -> int:
        """How many messages were answered 200 so far."""
        return len(self.acknowledged.messages)

    def stop(self) -> None:
        """Send nothing more, give up what is still unanswered, and wait for the end."""
        self._stopping.set()
        self._thread.join()

    def wait(self) -> None:
        """Wait until everything was answered, or every connection broke."""
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._append_all())

    async def _append_all(self) -> None:
        loop = asyncio.get_running_loop()
        connections: list[Connection] = []
        for _ in range(self._clients):
            try:
                _, connection = await loop.create_connection(self._connection, *self._address)
            except OSError:
                continue
            connections.append(connection)
        ends = [asyncio.ensure_future(connection.ended) for connection in connections]
        while ends and not self._stopping.is_set():
            _, pending = await asyncio.wait(ends, timeout=0.05)
            ends = list(pending)
        for connection in connections:
            connection.close()

    def _connection(self) -> Connection:
        return Connection(self._next, self._answered)

    def _next(self) -> tuple[bytes, str] | None:
        if self._stopping.is_set() or self._sent == self._total:
            return None
        numbers = range(self._sent, self._sent + self._batch)
        messages = [f"{self._prefix}-{number}{self._padding}" for number in numbers]
        self._sent += self._batch
        if self._batch == 1:
            return append_request(messages[0], query=self._query), messages[0]
        return batch_request(messages, query=self._query), "\n".join(messages)

    def _answered(self, label: str, status: int, body: bytes, latency_s: float) -> None:
        told = self.acknowledged
        told.statuses[status] = told.statuses.get(status, 0) + 1
        if status != 200:
            return
        answer = json.loads(body)
        if self._batch == 1:
            assert answer["log"]["message"] == label, body
            first, messages = answer["log"]["id"], [label]
        else:
            first, messages = answer["first"], label.split("\n")
            assert answer["count"] == len(messages), body
        for id_, message in enumerate(messages, first):
            if told.messages.setdefault(id_, message) != message:
                told.doubles.append(id_)
