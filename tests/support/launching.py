"""Starts nodes as processes: forked from one that has imported everything, where that works.

SHELL. `launch` is `subprocess.Popen` of `replog ARGUMENTS`, as far as tests use one. Where a test
is about the start itself, it starts `replog` by `subprocess`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]
CAN_FORK = sys.platform == "linux"
"""Elsewhere what is imported may not survive a fork (macOS: anything that met Objective-C)."""


class Process(Protocol):
    """What tests use of a process."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Return the exit status as `subprocess.Popen.poll` does, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status at the end. Raises: subprocess.TimeoutExpired."""

    def send_signal(self, number: int, /) -> None: ...

    def kill(self) -> None: ...


REPLOG = "replog.__main__"
FROM_START = (
    "LD_PRELOAD",
    "FAKETIME_NO_CACHE",
    "FAKETIME_DONT_FAKE_MONOTONIC",
    "FAKETIME_FORCE_MONOTONIC_FIX",
)
"""Variables that a process must have from its start: a fork has those of its parent."""


def launch(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: Path,
    *,
    imports: bool = False,
    program: str = REPLOG,
) -> Process:
    """Start `replog ARGUMENTS`; what it prints is added to `output`, and it reads nothing.

    Args:
        imports: it is to import everything itself, as what a shell starts does.
        program: a module with a `main` to run in place of `replog`'s.
    """
    if CAN_FORK and not imports:
        from_start = {name: environment[name] for name in FROM_START if name in environment}
        launcher = _launcher(tuple(from_start.items()))
        return launcher.start(program, arguments, environment, output)
    with output.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=dict(environment),
        )


@cache
def _launcher(environment: tuple[tuple[str, str], ...]) -> _Launcher:
    """Return the one of this process for nodes that have `environment`; it ends with it."""
    launcher = _Launcher(dict(environment))
    atexit.register(launcher.close)
    return launcher


class _Launcher:
    """The asking end of `tests.support.launcher`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair()
        self._news = self._socket.makefile("rb", 0)
        self._statuses: dict[int, int] = {}
        command = [sys.executable, "-u", "-m", "tests.support.launcher", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **environment},
                pass_fds=[theirs.fileno()],
            )

    def close(self) -> None:
        """End the launcher, and with it the nodes that a test forgot."""
        self._news.close()
        self._socket.close()
        self._process.wait()

    def start(
        self,
        program: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: Path,
    ) -> Process:
        wish = {
            "program": program,
            "arguments": list(arguments),
            "environment": dict(environment),
            "output": str(output.absolute()),
        }
        self._socket.sendall(json.dumps(wish).encode() + b"\n")
        while (pid := self._hear()) is None:
            pass
        self._statuses.pop(pid, None)  # of an earlier process, where the kernel gave its id again
        return _Forked(pid, self)

    def status(self, pid: int, *, timeout_s: float | None) -> int | None:
        """Return the exit status of a node, None where it runs on for `timeout_s`."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while pid not in self._statuses:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._news], [], [], left)[0]:
                return None
            self._hear()
        return self._statuses[pid]

    def _hear(self) -> int | None:
        """Take in one piece of news; return the process where one was started."""
        line = self._news.readline()
        assert line, "the launcher of nodes has died; what it printed stands above"
        news: dict[str, int] = json.loads(line)
        if "started" in news:
            return news["started"]
        self._statuses[news["ended"]] = news["status"]
        return None


class _Forked:
    """A process that the launcher forked, in the shape of a `subprocess.Popen`."""

    def __init__(self, pid: int, launcher: _Launcher) -> None:
        self.pid = pid
        self._launcher = launcher

    def poll(self) -> int | None:
        return self._launcher.status(self.pid, timeout_s=0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._launcher.status(self.pid, timeout_s=timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(f"replog, process {self.pid}", timeout)
        return status

    def send_signal(self, number: int, /) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended this moment
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
