"""Both clients behind one face, so that each test tries both.

SHELL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from types import TracebackType
from typing import Concatenate, ParamSpec, Protocol, Self, TypeVar

import httpx2

from replog.client import AsyncClient, Client, Entry

P = ParamSpec("P")
T = TypeVar("T")


def _wait(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[object, None, T]],
) -> Callable[Concatenate[AnyClient, P], T]:
    def call(face: AnyClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return face.runner.run(method(face.client, *args, **kwargs))

    return call


def _step(
    method: Callable[Concatenate[AsyncClient, P], AsyncGenerator[Entry, None]],
) -> Callable[Concatenate[AnyClient, P], Generator[Entry, None, None]]:
    def call(face: AnyClient, /, *args: P.args, **kwargs: P.kwargs) -> Generator[Entry, None, None]:
        return _advance(face.runner, method(face.client, *args, **kwargs))

    return call


def _advance(
    runner: asyncio.Runner, entries: AsyncGenerator[Entry, None]
) -> Generator[Entry, None, None]:
    async def advance() -> Entry | None:
        return await anext(entries, None)

    try:
        while (entry := runner.run(advance())) is not None:
            yield entry
    finally:
        runner.run(entries.aclose())


class AnyClient:
    """An `AsyncClient` that is called as a `Client`, each call on its own event loop."""

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        retry_for: float | None = 30.0,
        transport: httpx2.MockTransport | None = None,
    ) -> None:
        self.runner = asyncio.Runner()
        self.client = AsyncClient(urls, retry_for=retry_for, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.runner.run(self.client.close())
        self.runner.close()

    append = _wait(AsyncClient.append)
    append_many = _wait(AsyncClient.append_many)
    acks = _wait(AsyncClient.acks)
    wait_for = _wait(AsyncClient.wait_for)
    get = _wait(AsyncClient.get)
    status = _wait(AsyncClient.status)
    read = _step(AsyncClient.read)
    follow = _step(AsyncClient.follow)


class MakeClient(Protocol):
    """Makes a client of the kind that a test is tried with."""

    def __call__(
        self,
        urls: str | Sequence[str],
        *,
        retry_for: float | None = 30.0,
        transport: httpx2.MockTransport | None = None,
    ) -> Client | AnyClient: ...
