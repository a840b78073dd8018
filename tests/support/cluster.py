"""A master and its secondaries as real `replog serve` processes on free loopback ports.

SHELL. Tests own what they start: everything is ended, with `kill -9` if need be, by `close`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import httpx2

from replog.testing import free_ports
from tests.support.launching import REPLOG, Process, launch
from tests.support.waiting import DEADLINE_S, wait_until

MASTER = "master"
S1 = "secondary-1"
S2 = "secondary-2"

SOURCE = Path(__file__).parents[2] / "src"


class Cluster(Protocol):
    """What a story needs of a cluster, whether of processes or of containers."""

    nodes: tuple[str, ...]
    """The master first."""

    def url(self, node: str) -> str: ...

    def start(self, node: str, *, delay_s: float | None = None) -> None:
        """Start a node that does not run, without waiting for it.

        Args:
            delay_s: the secondary's delay (R12) in place of what it was made with.
        """

    def stop(self, node: str) -> None:
        """End a node by SIGTERM and wait for its end."""

    def kill(self, node: str) -> None:
        """End a node by SIGKILL and wait for its end."""

    def empty(self, node: str) -> None:
        """Empty the data directory of a node that does not run."""

    def memory_bytes(self, node: str) -> int:
        """Return the resident memory of a node that runs."""

    def segments(self, node: str) -> dict[str, str]:
        """Return SHA-256 of each segment file, by name."""

    def verify(self) -> None:
        """Assert that `replog verify` passes over all data directories together."""

    def explain(self) -> str:
        """Return what a person needs to see when a wait failed: the ends of the nodes' logs."""


def resident_bytes(status: str) -> int:
    """Return the resident memory that the text of Linux's /proc/PID/status tells."""
    [kib] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return 1024 * int(kib)


def replog(
    *arguments: str | Path, stdin: str | None = None, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run one `replog` command to its end."""
    command = [sys.executable, "-m", "replog", *map(str, arguments)]
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=clean_environment(),
    )


def clean_environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without any setting of a node, plus `settings`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REPLOG_")}
    return {**kept, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1", **(settings or {})}


class Node:
    """One `replog serve`, which may be started many times on one port and data directory.

    Attributes:
        host: the address that it listens on.
        program: what is run in place of `replog`: see `launch`.
        settings: variables of the environment that it is started with.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        port: int,
        *,
        role: str,
        options: Sequence[str] = (),
        imports: bool = False,
    ) -> None:
        self.name = name
        self.imports = imports
        self.port = port
        self.role = role
        self.options = tuple(options)
        self.data = directory / name
        self.log_path = directory / f"{name}.log"
        self.process: Process | None = None
        self.host = "127.0.0.1"
        self.program = REPLOG
        self.settings: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self, *more: str) -> None:
        assert self.process is None or self.process.poll() is not None, f"{self.name} runs"
        arguments = ["serve", "--role", self.role]
        arguments += ["--host", self.host, "--port", str(self.port), "--data-dir", str(self.data)]
        arguments += [*self.options, *more]
        self.process = launch(
            arguments,
            clean_environment(self.settings),
            self.log_path,
            imports=self.imports,
            program=self.program,
        )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait_ended(self, deadline_s: float = DEADLINE_S) -> int:
        """Return the exit status once the process ended."""
        assert self.process is not None
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end\n{self.said()[-4000:]}") from None

    def end(self, number: signal.Signals) -> int:
        self.send(number)
        return self.wait_ended()

    def said(self) -> str:
        """Return everything that the node wrote, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def memory_bytes(self) -> int:
        """Return the resident memory. Linux need not have `ps`, macOS has it."""
        status = Path(f"/proc/{self.pid}/status")
        if status.exists():
            return resident_bytes(status.read_text())
        command = ["ps", "-o", "rss=", "-p", str(self.pid)]
        return 1024 * int(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout
        )

    def segment_files(self) -> list[Path]:
        return sorted((self.data / "segments").glob("*"))


class ProcessCluster:
    """A `Cluster` of processes. Nothing runs until it is started.

    Args:
        imports: as in `launch`: for measurements of starts and of memory.
    """

    def __init__(
        self,
        directory: Path,
        *,
        secondaries: int = 2,
        master_options: Sequence[str] = (),
        secondary_options: Mapping[str, Sequence[str]] | None = None,
        imports: bool = False,
    ) -> None:
        ports = free_ports(secondaries + 1)
        options = secondary_options or {}
        names = [f"secondary-{number}" for number in range(1, secondaries + 1)]
        followers = [
            Node(
                name,
                directory,
                port,
                role="secondary",
                options=options.get(name, ()),
                imports=imports,
            )
            for name, port in zip(names, ports[1:], strict=True)
        ]
        known = [word for node in followers for word in ("--secondary", node.url)]
        master = Node(
            MASTER,
            directory,
            ports[0],
            role="master",
            options=[*known, *master_options],
            imports=imports,
        )
        self.node = {node.name: node for node in (master, *followers)}
        self.nodes = tuple(self.node)

    @property
    def master(self) -> Node:
        return self.node[MASTER]

    @property
    def urls(self) -> tuple[str, ...]:
        """Return the URLs of all nodes, the master's first: what a `Client` takes."""
        return tuple(map(self.url, self.nodes))

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
        for node in self.node.values():
            if node.process is not None:
                with suppress(ProcessLookupError):
                    node.process.send_signal(signal.SIGCONT)
                    node.process.kill()
                node.process.wait()

    # --- what every story uses --------------------------------------------------------------

    def url(self, node: str) -> str:
        return self.node[node].url

    def start(self, node: str, *, delay_s: float | None = None) -> None:
        self.node[node].start(*([] if delay_s is None else ["--delay", str(delay_s)]))

    def stop(self, node: str) -> None:
        status = self.node[node].end(signal.SIGTERM)
        assert status == 0, f"{node} ended with {status}\n{self.node[node].said()[-4000:]}"

    def kill(self, node: str) -> None:
        self.node[node].end(signal.SIGKILL)

    def empty(self, node: str) -> None:
        assert not self.node[node].is_running
        shutil.rmtree(self.node[node].data)

    def memory_bytes(self, node: str) -> int:
        return self.node[node].memory_bytes()

    def segments(self, node: str) -> dict[str, str]:
        files = self.node[node].segment_files()
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    @contextmanager
    def directories(self) -> Iterator[Mapping[str, Path]]:
        """Give the nodes' data directories."""
        yield {name: node.data for name, node in self.node.items()}

    def verify(self) -> None:
        directories = [node.data for node in self.node.values() if node.data.exists()]
        checked = replog("verify", *directories)
        assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}"

    def explain(self) -> str:
        return "\n".join(
            f"--- {node.name} ({'runs' if node.is_running else 'ended'})\n{node.said()[-2500:]}"
            for node in self.node.values()
        )

    # --- conveniences -----------------------------------------------------------------------

    def start_all(self) -> Self:
        """Start every node and wait until each of them answers."""
        for node in reversed(self.nodes):
            self.start(node)
        for node in self.nodes:
            wait_live(self, node)
        return self


def call(
    method: str, url: str, *, body: str | bytes | None = None, timeout_s: float = DEADLINE_S
) -> httpx2.Response:
    """Make one request on a connection of its own."""
    headers = {"content-type": "application/json"} if body is not None else {}
    with httpx2.Client(timeout=timeout_s, trust_env=False, verify=False) as client:
        return client.request(method, url, content=body, headers=headers)


def answers(url: str, *, status: int = 200) -> bool:
    """Return whether `url` answers with `status` now."""
    try:
        return call("GET", url, timeout_s=5).status_code == status
    except httpx2.TransportError:
        return False


def wait_live(cluster: Cluster, node: str) -> None:
    """Return when the node answers `GET /livez`: it serves, whoever else is there."""
    wait_until(
        lambda: answers(f"{cluster.url(node)}/livez"), f"{node} answers", explain=cluster.explain
    )
