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
from urllib.parse import urlsplit

import httpx2

from replog.client.asking import Asking
from replog.client.calls import Calls
from replog.client.ops import Answer, Failed
from replog.client.policy import Nodes, Surroundings

DEFAULT_URL = "http://127.0.0.1:8000"
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


def urls_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the URLs of nodes, their scheme in small letters, without a slash at the end.

    Raises:
        ValueError: one of them is no URL of a node, or there is none.
    """
    urls = tuple(map(_url_of, [given] if isinstance(given, str) else given))
    if not urls:
        raise ValueError("give at least one URL of a node")
    return urls


def _url_of(given: str) -> str:
    parts = urlsplit(given)
    is_more = parts.query or parts.fragment or any(map(str.isspace, given))
    if parts.scheme not in {"http", "https"} or not parts.hostname or is_more:
        raise ValueError(f'got "{given}", which is no URL of a node: one is {DEFAULT_URL}')
    return parts.scheme + given[len(parts.scheme) :].rstrip("/")


def make_calls(urls: Sequence[str], *, retry_for: float | None) -> Calls:
    nodes = Nodes(urls, lock=threading.Lock(), first_to_read=random.randrange(len(urls)))  # noqa: S311 - not for secrets
    surroundings = Surroundings(
        clock=time.monotonic,
        jitter=random.random,
        new_key=lambda: uuid.uuid4().hex,
    )
    return Calls(Asking(nodes, surroundings, retry_for_s=retry_for))


def answer_of(
    url: str, response: httpx2.Response, body: bytes | bytearray, *, is_cut: bool = False
) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(url, response.status_code, headers, bytes(body), is_cut)


def is_full(body: bytearray, bytes_max: int | None) -> bool:
    return bytes_max is not None and len(body) > bytes_max


def failure_of(url: str, error: httpx2.HTTPError) -> Failed:
    """Return what became of a request; only before a connection stands it cannot have left."""
    has_left = not isinstance(
        error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout
    )
    return Failed(url, f"{type(error).__name__} {error}".rstrip(), has_left)
