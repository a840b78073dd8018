"""What both drivers share of the HTTP library: its settings, and its answers as values.

NETWORK.
"""

from __future__ import annotations

import random
import socket
import threading
import time
import uuid
from collections.abc import Sequence

import httpx2

from replog.client.asking import Asking
from replog.client.calls import Calls
from replog.client.errors import ClosedError
from replog.client.ops import Answer, Failed, Request
from replog.client.policy import Nodes, Surroundings

WRITE_WITHIN_S = 30.0
CONNECTIONS_KEPT = 32

LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=CONNECTIONS_KEPT)
"""A follower takes a connection for itself: a bound on all would let them starve appends."""


def _keep_alive() -> list[tuple[int, int, int]]:
    """Return socket options that find a machine which is gone within half a minute.

    An append may wait for its nodes without limit (docs/decisions/0008), so silence must not
    end it; a connection whose other end vanished without a word must.
    """
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    ]
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPALIVE", 15), ("TCP_KEEPINTVL", 5),
                        ("TCP_KEEPCNT", 3)):  # fmt: skip
        number: object = getattr(socket, name, None)
        if isinstance(number, int):  # macOS says TCP_KEEPALIVE for TCP_KEEPIDLE
            options.append((socket.IPPROTO_TCP, number, value))
    return options


SOCKET_OPTIONS = _keep_alive()


def make_calls(urls: Sequence[str], *, retry_for: float | None) -> Calls:
    nodes = Nodes(urls, lock=threading.Lock(), first_to_read=random.randrange(len(urls)))  # noqa: S311 - not for secrets
    surroundings = Surroundings(
        clock=time.monotonic,
        jitter=random.random,
        new_key=lambda: uuid.uuid4().hex,
    )
    return Calls(Asking(nodes, surroundings, retry_for_s=retry_for))


def ready(
    client: httpx2.Client | httpx2.AsyncClient,
    url: str,
    request: Request,
    *,
    connect_s: float,
    silence_s: float | None,
) -> httpx2.Request:
    """Return a request as the library sends it.

    Args:
        silence_s: how long the node may be silent; None is without limit.

    Raises:
        ClosedError: the client is closed.
        httpx2.InvalidURL: one of `ERRORS`.
    """
    if client.is_closed:
        raise ClosedError("the client is closed")
    return client.build_request(
        request.method,
        url + request.path,
        content=request.body,
        headers=list(request.headers),
        timeout=httpx2.Timeout(connect=connect_s, read=silence_s, write=WRITE_WITHIN_S, pool=None),
    )


def answer_of(
    url: str, response: httpx2.Response, body: bytes | bytearray, *, is_cut: bool = False
) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(url, response.status_code, headers, bytes(body), is_cut)


def is_full(body: bytearray, bytes_max: int | None) -> bool:
    return bytes_max is not None and len(body) > bytes_max


ERRORS = (httpx2.HTTPError, httpx2.InvalidURL)
"""What the library raises of a request; `failure_of` says what it means."""

_BEFORE_A_CONNECTION = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_CANNOT_BE_SENT = (httpx2.InvalidURL, httpx2.LocalProtocolError, httpx2.UnsupportedProtocol)
"""The library refuses to write it: a header of the user with a line end, for one."""


def failure_of(url: str, error: Exception) -> Failed:
    """Return what became of a request; only before a connection stands it cannot have left.

    Args:
        error: one of `ERRORS`.
    """
    is_hopeless = isinstance(error, _CANNOT_BE_SENT)
    has_left = not (is_hopeless or isinstance(error, _BEFORE_A_CONNECTION))
    return Failed(url, _why(error), has_left, is_hopeless)


def _why(error: Exception) -> str:
    """Return what went wrong in words; the library tells it by the error's causes."""
    if isinstance(error, httpx2.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx2.ReadTimeout):
        return "no answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused: nothing listens there"
        if isinstance(cause, socket.gaierror):
            return f"the name does not resolve: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return f"{type(error).__name__} {error}".rstrip()
