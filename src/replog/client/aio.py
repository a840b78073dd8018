"""`AsyncClient`: the calls for programs on asyncio.

NETWORK. What is asked of which node, and when again, is decided in the flows of `calls`; here
they are performed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx2

from replog.client import http, tls
from replog.client.calls import Calls
from replog.client.errors import ClosedError
from replog.client.methods import performs
from replog.client.model import Entry
from replog.client.ops import (
    Answer,
    Call,
    Chunk,
    Emit,
    Failed,
    Flow,
    More,
    Op,
    Open,
    Opened,
    Outcome,
    Pause,
    Request,
    Shut,
    Steps,
)
from replog.client.urls import DEFAULT_URL, urls_of

P = ParamSpec("P")
T = TypeVar("T")


def _call(
    flow: Callable[Concatenate[Calls, P], Flow[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[object, None, T]]:
    @performs(flow)
    async def perform(client: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await client.run(flow(client.calls, *args, **kwargs))

    return perform


def _iteration(
    steps: Callable[Concatenate[Calls, P], Steps],
) -> Callable[Concatenate[AsyncClient, P], AsyncGenerator[Entry, None]]:
    @performs(steps, returns=AsyncGenerator[Entry, None])
    def perform(
        client: AsyncClient, /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[Entry, None]:
        return client.iterate(steps(client.calls, *args, **kwargs))

    return perform


class AsyncClient:
    """A client of a replicated log, as `Client`: the same calls, awaited.

    `read` and `follow` are asynchronous iterators: `async for entry in client.follow():`.
    Its arguments are those of `Client`.
    """

    def __init__(
        self,
        urls: str | Sequence[str] = DEFAULT_URL,
        *,
        retry_for: float | None = 30.0,
        connect_timeout: float = 5.0,
        headers: Mapping[str, str] | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.urls = urls_of(urls)
        self.calls = http.make_calls(self.urls, retry_for=retry_for)
        self._connect_timeout_s = connect_timeout
        # trust_env is off: a proxy of the desktop is not the way to a node.
        self._http = httpx2.AsyncClient(
            headers={"Accept-Encoding": "identity", **(headers or {})},
            trust_env=False,
            transport=transport or tls.async_transport(tls.trusting_nobody()),
            mounts=None if transport else {tls.HTTPS: tls.AsyncSecureTransport()},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. The client can do nothing more then."""
        await self._http.aclose()

    append = _call(Calls.append)
    append_many = _call(Calls.append_many)
    acks = _call(Calls.acks)
    wait_for = _call(Calls.wait_for)
    get = _call(Calls.get)
    status = _call(Calls.status)
    read = _iteration(Calls.read)
    follow = _iteration(Calls.follow)

    # --- performing flows -----------------------------------------------------------------------

    async def run(self, flow: Flow[T]) -> T:
        """Perform a flow of `calls` to its result."""
        driver = _Driver(self._http, self._connect_timeout_s)
        outcome: Outcome = None
        try:
            while True:
                try:
                    wanted = flow.send(outcome)
                except StopIteration as end:
                    result: T = end.value
                    return result
                try:
                    outcome = await driver.perform(wanted)
                except ClosedError as error:
                    flow.throw(error)  # it knows whether anything left before
        finally:
            await driver.shut()

    async def iterate(self, steps: Steps) -> AsyncGenerator[Entry, None]:
        """Perform the steps of an iteration as far as somebody asks for entries."""
        driver = _Driver(self._http, self._connect_timeout_s)
        outcome: Outcome = None
        try:
            while True:
                try:
                    wanted = steps.send(outcome)
                except StopIteration:
                    return
                if isinstance(wanted, Emit):
                    outcome = None
                    for entry in wanted.entries:
                        yield entry
                else:
                    outcome = await driver.perform(wanted)
        finally:
            await driver.shut()


class _Driver:
    """Performs the ops of one flow."""

    def __init__(self, client: httpx2.AsyncClient, connect_timeout_s: float) -> None:
        self._http = client
        self._connect_timeout_s = connect_timeout_s
        self._stream: httpx2.Response | None = None
        self._url = ""
        self._chunks: AsyncIterator[bytes] | None = None

    async def perform(self, wanted: Op) -> Outcome:
        match wanted:
            case Call():
                return await self._answer(wanted)
            case Open():
                return await self._open(wanted)
            case More():
                return await self._more()
            case Shut():
                await self.shut()
                return None
            case Pause():
                await asyncio.sleep(wanted.seconds)
                return None

    async def shut(self) -> None:
        if self._stream is not None:
            stream, self._stream, self._chunks = self._stream, None, None
            await stream.aclose()

    async def _answer(self, wanted: Call) -> Answer | Failed:
        try:
            response = await self._send(wanted.url, wanted.request, wanted.answer_within_s)
            body, is_cut = bytearray(), False
            async with aclosing(response):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if is_cut := http.is_full(body, wanted.bytes_max):
                        break
        except http.ERRORS as error:
            return http.failure_of(wanted.url, error)
        return http.answer_of(wanted.url, response, body, is_cut=is_cut)

    async def _open(self, wanted: Open) -> Opened | Answer | Failed:
        try:
            response = await self._send(wanted.url, wanted.request, wanted.silence_s)
            if response.status_code == 200:
                self._stream, self._url = response, wanted.url
                self._chunks = response.aiter_bytes()
                return Opened(wanted.url)
            async with aclosing(response):
                body = await response.aread()
        except http.ERRORS as error:
            return http.failure_of(wanted.url, error)
        return http.answer_of(wanted.url, response, body)

    async def _more(self) -> Chunk | Failed:
        assert self._chunks is not None
        try:
            return Chunk(await anext(self._chunks, b""))
        except http.ERRORS as error:
            return http.failure_of(self._url, error)

    async def _send(self, url: str, request: Request, silence_s: float | None) -> httpx2.Response:
        made = http.ready(
            self._http, url, request, connect_s=self._connect_timeout_s, silence_s=silence_s
        )
        return await self._http.send(made, stream=True)
