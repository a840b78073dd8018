"""A real cluster on this machine, for the tests of programs that use a log.

SHELL. It needs the extra `server`: pip install 'replog[server]'.
"""

from __future__ import annotations

import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
PORTS = range(15_000, 32_000)
"""Below the ports that a kernel hands to outgoing connections, which could take ours while a
node restarts."""
LANE_PORTS = 500
"""How many of them one process has to itself while it runs."""
READY_WITHIN_S = 30.0
STOP_WITHIN_S = 10.0
POLL_INTERVAL_S = 0.02


class LocalCluster:
    """A master and secondaries as processes, on free ports and with real disks.

    They end with the `with` block, and with this process however it dies. Between these any of
    them can be stopped, killed and started again: `cluster.kill("master")`.

    Args:
        secondaries: how many, besides the master: "secondary-1", "secondary-2" …
        directory: where the data goes and stays; None is a directory that goes with the cluster.
        master_options: further options of `replog serve` for the master.
        secondary_options: the same for each secondary, ["--delay", "0.5"] for one.
    """

    def __init__(
        self,
        secondaries: int = 2,
        *,
        directory: str | Path | None = None,
        master_options: Sequence[str] = (),
        secondary_options: Sequence[str] = (),
    ) -> None:
        self._is_temporary = directory is None
        made = tempfile.mkdtemp(prefix="replog-") if directory is None else directory
        self.directory = Path(made)
        ports = free_ports(secondaries + 1)
        names = ["master", *(f"secondary-{number}" for number in range(1, secondaries + 1))]
        self._ports = dict(zip(names, ports, strict=True))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        links = [word for port in ports[1:] for word in ("--secondary", f"http://{HOST}:{port}")]
        self._options = {name: ["--role", "secondary", *secondary_options] for name in names}
        self._options["master"] = ["--role", "master", *links, *master_options]

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes, the master first."""
        return tuple(self._ports)

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs of all nodes, the master's first: what a `Client` takes."""
        return tuple(map(self.url, self._ports))

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self._ports[name]}"

    # --- all nodes ------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            for name in reversed(self.names):
                self.start(name, wait=False)
            for name in self.names:
                self.wait_ready(name)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every node at once, and remove the data where the directory is a temporary one."""
        for name in self._processes:
            self._signal(name, signal.SIGCONT)
            self._signal(name, signal.SIGKILL)
        for name in list(self._processes):
            self._wait(name)
        if self._is_temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    # --- one node -------------------------------------------------------------------------------

    def start(self, name: str, *, wait: bool = True) -> None:
        """Start a node that does not run, on the data it has; `wait` until it is ready.

        Raises:
            RuntimeError: it did not become ready; the text is the end of its log.
        """
        if self.is_running(name):
            raise RuntimeError(f"{name} runs already")
        data = self.directory / name
        data.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "replog", "serve", *self._options[name]]
        command += ["--host", HOST, "--port", str(self._ports[name]), "--data-dir", str(data)]
        with self._log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - our own command
                [*command, "--name", name, "--until-stdin-ends"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,  # Ctrl-C ends the tests, and they end the nodes
            )
        if wait:
            self.wait_ready(name)

    def stop(self, name: str) -> None:
        """End a node by SIGTERM."""
        self._signal(name, signal.SIGTERM)
        self._wait(name)

    def kill(self, name: str) -> None:
        """End a node by SIGKILL, as a power failure would."""
        self._signal(name, signal.SIGKILL)
        self._wait(name)

    def is_running(self, name: str) -> bool:
        return name in self._processes and self._processes[name].poll() is None

    def wait_ready(self, name: str, *, within_s: float = READY_WITHIN_S) -> None:
        """Wait until a node that was started serves."""
        end = time.monotonic() + within_s
        while not self._is_ready(name):
            if not self.is_running(name) or time.monotonic() > end:
                raise RuntimeError(f"{name} is not ready\n{self.log(name)[-4000:]}")
            time.sleep(POLL_INTERVAL_S)

    def log(self, name: str) -> str:
        """Return what a node wrote, over all its starts."""
        path = self._log(name)
        return path.read_text(errors="replace") if path.exists() else ""

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _is_ready(self, name: str) -> bool:
        connection = http.client.HTTPConnection(HOST, self._ports[name], timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _signal(self, name: str, number: signal.Signals) -> None:
        if name not in self._processes:
            raise RuntimeError(f"{name} was not started, or was ended already")
        with suppress(ProcessLookupError):
            self._processes[name].send_signal(number)

    def _wait(self, name: str) -> None:
        process = self._processes.pop(name)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on right now.

    Each process takes them from a lane of its own, in turn: so no other cluster is given the
    port of a node that is stopped for a while.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = next(_lane())
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((HOST, port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


@cache
def _lane() -> Iterator[int]:
    """Return the ports of this process in turn, without end.

    A UDP socket on the number of the first, which no node uses, claims them on this machine
    until the process ends. Where all lanes are claimed, one is shared.
    """
    starts = PORTS[::LANE_PORTS]
    for start in random.sample(starts, len(starts)):
        with suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as claim:
            claim.bind((HOST, start))
            claim.detach()  # stays open
            break
    return cycle(range(start, start + LANE_PORTS))


os.register_at_fork(after_in_child=_lane.cache_clear)


def _environment() -> dict[str, str]:
    """Return this process's environment without settings of a node, and with this package."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REPLOG_")}
    source = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, (source, kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
