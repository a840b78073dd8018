"""etcd: three members, driven through the JSON gateway of the leader.

SHELL.
"""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.load import HttpExchange
from benchmarks.peers.install import path_of, said_version
from benchmarks.peers.processes import Processes
from benchmarks.peers.systems.system import HOST, MESSAGE, Endpoint, Portrait
from replog.testing import free_ports

NAME = "etcd"
PROGRAM = "etcd"


class _Header(msgspec.Struct):
    member_id: str


class _Status(msgspec.Struct):
    header: _Header
    leader: str = ""


class Etcd:
    portrait = Portrait(
        name=NAME,
        program=PROGRAM,
        settings=(
            "three members, default settings; `POST /v3/kv/put` of one key at the leader's JSON "
            "gateway"
        ),
        promise=(
            "A majority (two of three) has fsynced the write to its log: it survives power loss of "
            "all at once. Fails over by itself."
        ),
        source="[API guarantees](https://etcd.io/docs/v3.4/learning/api_guarantees/)",
        is_synced=True,
    )

    def version(self) -> str:
        return said_version(PROGRAM).split("\n", 1)[0].rpartition(" ")[2]

    @contextmanager
    def run(self, directory: Path) -> Iterator[Endpoint]:
        clients, peers = free_ports(3), free_ports(3)
        names = ["a", "b", "c"]
        members = ",".join(
            f"{name}=http://{HOST}:{port}" for name, port in zip(names, peers, strict=True)
        )
        with Processes(directory) as processes:
            for name, client, peer in zip(names, clients, peers, strict=True):
                processes.start(name, _command(directory, name, client, peer, members))
            leader = 0

            def is_led() -> bool:
                nonlocal leader
                leader = next((port for port in clients if _leads(port)), 0)
                return leader > 0

            processes.wait_until(is_led, "a leader of etcd")
            request = _put()
            yield Endpoint(leader, lambda: HttpExchange(lambda: request))


def _command(directory: Path, name: str, client: int, peer: int, members: str) -> list[str]:
    urls = {
        "--listen-client-urls": client,
        "--advertise-client-urls": client,
        "--listen-peer-urls": peer,
        "--initial-advertise-peer-urls": peer,
    }
    return [
        path_of(PROGRAM),
        *("--name", name, "--data-dir", str(directory / name), "--initial-cluster", members),
        *(word for flag, port in urls.items() for word in (flag, f"http://{HOST}:{port}")),
    ]


def _leads(port: int) -> bool:
    request = urllib.request.Request(f"http://{HOST}:{port}/v3/maintenance/status", data=b"{}")
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - it is http
        status = msgspec.json.decode(answer.read(), type=_Status)
    return status.leader == status.header.member_id


def _put() -> bytes:
    key, value = (base64.b64encode(text.encode()).decode() for text in ("log", MESSAGE))
    body = json.dumps({"key": key, "value": value}).encode()
    return (
        "POST /v3/kv/put HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body
