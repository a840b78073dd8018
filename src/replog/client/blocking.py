"""`Client`: the calls for programs without an event loop.

NETWORK. What is asked of which node, and when again, is decided in the flows of `calls`; here
they are performed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
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
) -> Callable[Concatenate[Client, P], T]:
    @performs(flow)
    def perform(client: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client.run(flow(client.calls, *args, **kwargs))

    return perform


def _iteration(
    steps: Callable[Concatenate[Calls, P], Steps],
) -> Callable[Concatenate[Client, P], Generator[Entry, None, None]]:
    @performs(steps, returns=Generator[Entry, None, None])
    def perform(
        client: Client, /, *args: P.args, **kwargs: P.kwargs
    ) -> Generator[Entry, None, None]:
        return client.iterate(steps(client.calls, *args, **kwargs))

    return perform


class Client:
    """A client of a replicated log. Threads may share one.

    Args:
        urls: of one node or of several; appends find the master, reads take any.
        retry_for: how many seconds a call goes on after its first failure; None is for ever,
            0 tries each node once. Waiting for `w` is no failure.
        connect_timeout: seconds.
        headers: sent with each request, for a proxy in front of the nodes.
        transport: in place of the network, for tests.
    """

    def __init__(
        self,
        urls: str | Sequence[str] = DEFAULT_URL,
        *,
        retry_for: float | None = 30.0,
        connect_timeout: float = 5.0,
        headers: Mapping[str, str] | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.urls = urls_of(urls)
        self.calls = http.make_calls(self.urls, retry_for=retry_for)
        self._connect_timeout_s = connect_timeout
        # trust_env is off: a proxy of the desktop is not the way to a node.
        self._http = httpx2.Client(
            headers={"Accept-Encoding": "identity", **(headers or {})},
            trust_env=False,
            transport=transport or tls.transport(tls.trusting_nobody()),
            mounts=None if transport else {tls.HTTPS: tls.SecureTransport()},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client can do nothing more then."""
        self._http.close()

    append = _call(Calls.append)
    append_many = _call(Calls.append_many)
    acks = _call(Calls.acks)
    wait_for = _call(Calls.wait_for)
    get = _call(Calls.get)
    status = _call(Calls.status)
    read = _iteration(Calls.read)
    follow = _iteration(Calls.follow)

    # --- performing flows -----------------------------------------------------------------------

    def run(self, flow: Flow[T]) -> T:
        """Perform a flow of `calls` to its result."""
        driver = _Driver(self._http, self._connect_timeout_s)
        outcome: Outcome = None
        try:
            while True:
                wanted = flow.send(outcome)
                try:
                    outcome = driver.perform(wanted)
                except ClosedError as error:
                    flow.throw(error)  # it knows whether anything left before
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            driver.shut()

    def iterate(self, steps: Steps) -> Generator[Entry, None, None]:
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
                    yield from wanted.entries
                else:
                    outcome = driver.perform(wanted)
        finally:
            driver.shut()


class _Driver:
    """Performs the ops of one flow."""

    def __init__(self, client: httpx2.Client, connect_timeout_s: float) -> None:
        self._http = client
        self._connect_timeout_s = connect_timeout_s
        self._stream: httpx2.Response | None = None
        self._url = ""
        self._chunks: Iterator[bytes] = iter(())

    def perform(self, wanted: Op) -> Outcome:
        match wanted:
            case Call():
                return self._answer(wanted)
            case Open():
                return self._open(wanted)
            case More():
                return self._more()
            case Shut():
                self.shut()
                return None
            case Pause():
                time.sleep(wanted.seconds)
                return None

    def shut(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _answer(self, wanted: Call) -> Answer | Failed:
        try:
            response = self._send(wanted.url, wanted.request, wanted.answer_within_s)
            body, is_cut = bytearray(), False
            with closing(response):
                for chunk in response.iter_bytes():
                    body += chunk
                    if is_cut := http.is_full(body, wanted.bytes_max):
                        break
        except http.ERRORS as error:
            return http.failure_of(wanted.url, error)
        return http.answer_of(wanted.url, response, body, is_cut=is_cut)

    def _open(self, wanted: Open) -> Opened | Answer | Failed:
        try:
            response = self._send(wanted.url, wanted.request, wanted.silence_s)
            if response.status_code == 200:
                self._stream, self._url = response, wanted.url
                self._chunks = response.iter_bytes()
                return Opened(wanted.url)
            with closing(response):
                body = response.read()
        except http.ERRORS as error:
            return http.failure_of(wanted.url, error)
        return http.answer_of(wanted.url, response, body)

    def _more(self) -> Chunk | Failed:
        try:
            return Chunk(next(self._chunks, b""))
        except http.ERRORS as error:
            return http.failure_of(self._url, error)

    def _send(self, url: str, request: Request, silence_s: float | None) -> httpx2.Response:
        made = http.ready(
            self._http, url, request, connect_s=self._connect_timeout_s, silence_s=silence_s
        )
        return self._http.send(made, stream=True)
