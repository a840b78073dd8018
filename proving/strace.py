"""A running process under strace, which traces it and answers some of its calls itself.

SHELL.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from proving.calls import Trace, parse_trace
from tests.support.waiting import wait_until

ON_DISK = (
    "openat", "close", "mkdir", "pwrite64", "pread64", "ftruncate", "fdatasync", "fsync",
    "rename", "unlink", "newfstatat", "getdents64", "lseek", "flock", "write",
)  # fmt: skip
"""What a log asks of the kernel, and how a program of ours tells what it has done."""


class Strace:
    """strace, attached to a thread, or to all threads of a process that there will ever be.

    Args:
        target: a process, or one thread.
        trace: the file that it writes.
        calls: what is traced.
        inject: what is done to some of them: "fdatasync:error=EIO:when=3".
        all_threads: those that exist and those that are to come; else `target` alone.
    """

    def __init__(
        self,
        target: int,
        trace: Path,
        *,
        calls: Sequence[str] = ON_DISK,
        inject: str | None = None,
        all_threads: bool = False,
    ) -> None:
        self._trace = trace
        command = ["strace", "-T", "-y", "-s", "1000000", "-o", str(trace), "-p", str(target)]
        command += ["--absolute-timestamps=format:unix,precision:ns", "-e", "signal=none"]
        command += ["-e", f"trace={','.join(calls)}"]
        command += ["-f"] if all_threads else []
        command += [] if inject is None else ["-e", f"inject={inject}"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        if "attached" not in line:
            self.close()
            raise AssertionError(f"strace did not attach: {line}")

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
        """Let the process go, if it still runs, and end the trace."""
        self._process.send_signal(signal.SIGINT)
        self._process.communicate()

    def read(self) -> Trace:
        """Return what was traced so far; all of it after `close`."""
        with self._trace.open(errors="replace") as lines:
            return parse_trace(lines)


def hold() -> None:
    """Stop this process until somebody has attached to it and sends it a SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


def wait_held(pid: int) -> None:
    """Return when a process has come to `hold`."""
    stat = Path(f"/proc/{pid}/stat")
    wait_until(
        lambda: stat.read_text().rpartition(")")[2].split()[0] in {"T", "t"},
        f"process {pid} holds still",
    )
