"""The way to the nodes: plain connections at once, secure ones when the first https URL is asked.

NETWORK. Loading certificates takes 40 ms, which is not for programs whose nodes are all at http
URLs; but a node may name a master at an https one later. Nothing here ever trusts a server whose
certificate was not checked.
"""

from __future__ import annotations

import ssl
import threading

import httpx2

from replog.client import http

HTTPS = "https://"
"""What `mounts` of the library calls the URLs of this scheme."""


def make_context() -> ssl.SSLContext:
    """Return what this machine trusts. The environment is not asked, as for proxies."""
    return httpx2.create_ssl_context(trust_env=False)


def trusting_nobody() -> ssl.SSLContext:
    """Return a context without certificates, for connections that are plain."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def transport(context: ssl.SSLContext) -> httpx2.HTTPTransport:
    return httpx2.HTTPTransport(
        verify=context,
        trust_env=False,
        limits=http.LIMITS,
        socket_options=http.SOCKET_OPTIONS,
    )


def async_transport(context: ssl.SSLContext) -> httpx2.AsyncHTTPTransport:
    return httpx2.AsyncHTTPTransport(
        verify=context,
        trust_env=False,
        limits=http.LIMITS,
        socket_options=http.SOCKET_OPTIONS,
    )


class SecureTransport(httpx2.BaseTransport):
    """Connections to https URLs, which load certificates when the first is wanted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: httpx2.HTTPTransport | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        with self._lock:
            if self._made is None:
                self._made = transport(make_context())
        return self._made.handle_request(request)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()


class AsyncSecureTransport(httpx2.AsyncBaseTransport):
    """As `SecureTransport`, awaited."""

    def __init__(self) -> None:
        self._made: httpx2.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._made is None:
            self._made = async_transport(make_context())
        return await self._made.handle_async_request(request)

    async def aclose(self) -> None:
        if self._made is not None:
            await self._made.aclose()
