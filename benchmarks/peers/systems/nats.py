"""NATS JetStream: a stream with three replicas in files, published to over the raw protocol.

SHELL.
"""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.peers.install import path_of, said_version
from benchmarks.peers.processes import Processes
from benchmarks.peers.systems.system import HOST, MESSAGE, Endpoint, Portrait
from replog.testing import free_ports

NAME = "JetStream"
PROGRAM = "nats-server"
STREAM = "log"
CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'

_REPLICAS = 3


class PublishExchange:
    """Publishes and waits for the acknowledgement, in an inbox of its own."""

    def __init__(self) -> None:
        self._inbox = f"_INBOX.{uuid.uuid4().hex}"
        self._request = publish(self._inbox)

    def greeting(self) -> bytes:
        return CONNECT + f"SUB {self._inbox} 1\r\n".encode()

    def next_request(self) -> bytes:
        return self._request

    def end_of_answer(self, received: bytes) -> int:
        start = received.find(b"MSG ")  # also an HMSG; what stands before is the greeting's
        line_stop = received.find(b"\r\n", start) if start >= 0 else -1
        if line_stop < 0:
            return 0
        size = int(received[received.rindex(b" ", start, line_stop) : line_stop])
        stop = line_stop + 2 + size + 2
        return stop if stop <= len(received) else 0

    def is_good(self, answer: bytes) -> bool:
        return b'"seq":' in answer and b'"error"' not in answer


def publish(inbox: str) -> bytes:
    """Return the bytes that publish `MESSAGE` and ask for the acknowledgement in `inbox`."""
    return f"PUB {STREAM} {inbox} {len(MESSAGE)}\r\n{MESSAGE}\r\n".encode()


class _Cluster(msgspec.Struct):
    leader: str = ""


class _Created(msgspec.Struct):
    """The answer to the making of a stream; without `cluster` it was refused."""

    cluster: _Cluster | None = None


class Nats:
    portrait = Portrait(
        name=NAME,
        program=PROGRAM,
        settings=(
            "three servers, a stream of three replicas in files, default settings; `PUB` with a "
            "reply inbox over the raw protocol at the stream's leader"
        ),
        promise=(
            "A majority (two of three) has written the message, **not fsynced** it: the files are "
            "synced every two minutes by default, so power loss of all at once may lose what was "
            "acknowledged. Fails over by itself."
        ),
        source="[JetStream, syncing data to disk](https://docs.nats.io/nats-concepts/jetstream)",
        is_synced=False,
    )

    def version(self) -> str:
        return said_version(PROGRAM).rpartition(" ")[2].removeprefix("v")

    @contextmanager
    def run(self, directory: Path) -> Iterator[Endpoint]:
        clients, routes = free_ports(_REPLICAS), free_ports(_REPLICAS)
        ports = dict(zip(["a", "b", "c"], clients, strict=True))
        with Processes(directory) as processes:
            for (name, client), route in zip(ports.items(), routes, strict=True):
                settings = directory / f"{name}.conf"
                settings.write_text(_configuration(directory, name, client, route, routes))
                processes.start(name, [path_of(PROGRAM), "-c", settings])
            leader = ""

            def is_led() -> bool:
                nonlocal leader
                leader = leader or _create_stream(clients[0])
                return bool(leader)

            processes.wait_until(is_led, "a leader of JetStream's stream")
            yield Endpoint(ports[leader], PublishExchange)


def _configuration(directory: Path, name: str, client: int, route: int, routes: list[int]) -> str:
    others = ", ".join(f"nats://{HOST}:{port}" for port in routes)
    return (
        f'server_name: {name}\nlisten: "{HOST}:{client}"\n'
        f'jetstream {{ store_dir: "{directory / name}" }}\n'
        f'cluster {{ name: bench, listen: "{HOST}:{route}", routes: [{others}] }}\n'
    )


def _create_stream(port: int) -> str:
    """Make the stream; return the name of its leader, or "" where there is none yet."""
    body = json.dumps(
        {"name": STREAM, "subjects": [STREAM], "num_replicas": _REPLICAS, "storage": "file"}
    )
    created = msgspec.json.decode(
        _ask(port, f"$JS.API.STREAM.CREATE.{STREAM}", body), type=_Created
    )
    return created.cluster.leader if created.cluster is not None else ""


def _ask(port: int, subject: str, body: str) -> bytes:
    """Publish a request, return the payload of its answer; "{}" where nobody answers."""
    exchange = PublishExchange()
    inbox = exchange.greeting().split(b" ")[-2].decode()
    request = f"PUB {subject} {inbox} {len(body)}\r\n{body}\r\n".encode()
    with socket.create_connection((HOST, port), timeout=2) as connection:
        connection.sendall(exchange.greeting() + request)
        received = b""
        while not (stop := exchange.end_of_answer(received)):
            more = connection.recv(65536)
            if not more:
                return b"{}"
            received += more
    head, _, payload = received[received.index(b"MSG ") : stop].partition(b"\r\n")
    return payload if payload.startswith(b"{") and head else b"{}"
