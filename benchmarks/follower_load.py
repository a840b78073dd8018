"""Followers in a process of their own, which note when each entry came.

NETWORK. Bytes are searched, not parsed: a thousand followers share two cores with the nodes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias, cast

import uvloop

if TYPE_CHECKING:
    Pipe: TypeAlias = Connection[object, object]

REQUEST = b"GET /logs/stream HTTP/1.1\r\nhost: localhost\r\n\r\n"
DEADLINE_S = 30.0

_ID = re.compile(rb"^id: (\d+)\n(?!\n)", re.MULTILINE)
"""Of an entry: the beginning of a stream has an id without data."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Entries that came together."""

    at: float
    ids: tuple[int, ...]


class _Follower(asyncio.Protocol):
    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.follows: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rest = b""

    @property
    def last_id(self) -> int:
        return self.arrivals[-1].ids[-1] if self.arrivals else 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(REQUEST)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        at = time.monotonic()
        data = self._rest + data
        stop = data.rfind(b"\n\n") + 2
        if stop == 1:
            self._rest = data
            return
        self._rest = data[stop:]
        if not self.follows.done() and b"retry:" in data:
            self.follows.set_result(None)
        ids = tuple(map(int, _ID.findall(data, 0, stop)))
        if ids:
            self.arrivals.append(Arrival(at, ids))


async def _follow(port: int, count: int, pipe: Pipe) -> None:
    loop = asyncio.get_running_loop()
    followers: list[_Follower] = []
    for _ in range(count):
        _, follower = await loop.create_connection(_Follower, "127.0.0.1", port)
        followers.append(follower)
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*(follower.follows for follower in followers))
    pipe.send(None)
    last_id = cast(int, await loop.run_in_executor(None, pipe.recv))
    end = loop.time() + DEADLINE_S
    while loop.time() < end and any(  # noqa: ASYNC110
        one.last_id < last_id for one in followers
    ):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)  # what comes twice would come now
    pipe.send([follower.arrivals for follower in followers])


def _run(port: int, count: int, pipe: Pipe) -> None:
    uvloop.run(_follow(port, count, pipe))


class FollowerLoad:
    """`count` followers of the node at `port`, from the moment that the context is entered."""

    def __init__(self, port: int, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, self._theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(port, count, self._theirs))

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()  # so that its end is seen here
        self._pipe.recv()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.join()

    def collect(self, *, last_id: int) -> list[list[Arrival]]:
        """Return what each follower got, once all have `last_id` or will never have it."""
        self._pipe.send(last_id)
        return cast(list[list[Arrival]], self._pipe.recv())
