"""Servers that cannot prove who they are: nothing is sent to them.

`self_signed.pem` is a certificate and its key for 127.0.0.1, made for this test alone.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest

from replog.client import UnreachableError, tls
from tests.client.both import MakeClient

CERTIFICATE = Path(__file__).with_name("self_signed.pem")


class Server(ThreadingHTTPServer):
    """Answers every append as stored.

    Attributes:
        names: where it says that the master is, in place of an answer.
    """

    def __init__(self, *, is_secure: bool, names: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[bytes] = []
        self.names = names
        if is_secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """A refused handshake is what is tested."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append(body)
        status, kind = 200, "application/json"
        value: dict[str, object]
        value = {"status": "success", "log": {"id": 1, "message": "x"}}
        if self.server.names is not None:
            status, kind = 405, "application/problem+json"
            value = {"type": "/problems/not-the-master", "master": self.server.names}
        answer = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[Server]:
    """A server whose certificate nobody vouches for."""
    with Server(is_secure=True) as server:
        yield server


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "Https"])
def test_a_server_that_nobody_vouches_for_gets_no_append(
    stranger: Server, make_client: MakeClient, scheme: str
) -> None:
    url = f"{scheme}://127.0.0.1:{stranger.server_port}"
    with (
        make_client(url, retry_for=0) as client,
        pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.append("secret")
    assert stranger.received == []


def test_a_master_that_a_node_names_has_to_prove_itself_too(
    stranger: Server, make_client: MakeClient
) -> None:
    with (
        Server(is_secure=False, names=f"https://127.0.0.1:{stranger.server_port}") as node,
        make_client(f"http://127.0.0.1:{node.server_port}", retry_for=0) as client,
        pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.append("secret")
    assert stranger.received == []


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_a_server_that_somebody_vouches_for_is_talked_to(
    stranger: Server, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(tls, "make_context", lambda: ssl.create_default_context(cafile=CERTIFICATE))
    with make_client(f"{scheme}://127.0.0.1:{stranger.server_port}", retry_for=0) as client:
        assert client.append("x").id == 1
        assert client.append("y").id == 1
    assert len(stranger.received) == 2


def test_certificates_are_loaded_only_where_somebody_needs_them(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "make_context", lambda: pytest.fail("40 ms for nothing"))
    with (
        Server(is_secure=False) as node,
        make_client(f"HTTP://127.0.0.1:{node.server_port}", retry_for=0) as client,
    ):
        assert client.append("x").id == 1
