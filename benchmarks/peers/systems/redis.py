"""Redis: a stream on one server with two replicas, each client waiting for both.

SHELL.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.install import path_of, said_version
from benchmarks.peers.processes import Processes
from benchmarks.peers.systems.system import HOST, MESSAGE, Endpoint, Portrait
from replog.testing import free_ports

NAME = "Redis"
PROGRAM = "redis-server"


class AppendExchange:
    """XADD and WAIT in one write: two answers, the second of which counts the replicas."""

    _request = (
        f"*5\r\n$4\r\nXADD\r\n$3\r\nlog\r\n$1\r\n*\r\n$1\r\nm\r\n${len(MESSAGE)}\r\n{MESSAGE}\r\n"
        "*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$1\r\n0\r\n"
    ).encode()

    def greeting(self) -> bytes:
        return b""

    def next_request(self) -> bytes:
        return self._request

    def end_of_answer(self, received: bytes) -> int:
        """An id is two lines, an error one; the count of replicas is one more."""
        stop = 0
        for _ in range(3 if received.startswith(b"$") else 2):
            stop = received.find(b"\r\n", stop) + 2
            if stop == 1:
                return 0
        return stop

    def is_good(self, answer: bytes) -> bool:
        return answer.startswith(b"$") and answer.endswith(b":2\r\n")


class Redis:
    portrait = Portrait(
        name=NAME,
        program=PROGRAM,
        settings=(
            "a server and two replicas, `appendonly yes`, `appendfsync always`, no snapshots; "
            "`XADD` and `WAIT 2 0` in one write"
        ),
        promise=(
            "The server has fsynced the entry, both replicas have received it. That they fsynced "
            "it is not promised (`WAITAOF` of Redis 7.2 waits for that). By its own documentation "
            "`WAIT` does not make Redis strongly consistent: a failover may still lose the entry."
        ),
        source="[WAIT](https://redis.io/docs/latest/commands/wait/)",
        is_synced=False,
    )

    def version(self) -> str:
        return said_version(PROGRAM).partition("v=")[2].split(" ", 1)[0]

    @contextmanager
    def run(self, directory: Path) -> Iterator[Endpoint]:
        first, *replicas = free_ports(3)
        with Processes(directory) as processes:
            processes.start("a", _command(directory / "a", first))
            processes.wait_until(lambda: _info(first) != "", "an answer of Redis")
            for name, port in zip(["b", "c"], replicas, strict=True):
                of = ["--replicaof", f"{HOST} {first}"]
                processes.start(name, [*_command(directory / name, port), *of])
            processes.wait_until(
                lambda: _info(first).count("state=online") == len(replicas), "Redis's replicas"
            )
            yield Endpoint(first, AppendExchange)


def _command(directory: Path, port: int) -> list[str]:
    directory.mkdir()
    settings = {
        "port": str(port),
        "bind": HOST,
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "repl-diskless-sync-delay": "0",
    }
    return [
        path_of(PROGRAM),
        *(word for name, to in settings.items() for word in (f"--{name}", to)),
    ]


def _info(port: int) -> str:
    with socket.create_connection((HOST, port), timeout=2) as connection:
        connection.sendall(b"*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n")
        return connection.recv(65536).decode()
