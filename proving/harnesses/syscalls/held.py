"""A node that is traced from its first call to its last, each of its two threads on its own.

SHELL.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from proving.calls import Call, Trace, merged
from proving.harnesses.syscalls.small_node import HOLDS, thread_file
from proving.strace import Strace, wait_held
from tests.support.cluster import Node, answers
from tests.support.waiting import wait_until

Thread = Literal["main", "writer"]
"""The one that opens the directory and then runs the event loop; the one that writes the log."""

CHANGES = (
    "openat", "close", "mkdir", "pwrite64", "ftruncate", "fdatasync", "fsync", "rename", "unlink",
)  # fmt: skip


class HeldNode:
    """A node that is started under strace; leaving the context lets it go.

    Args:
        node: one that runs `small_node`.
        inject: what is done to a call of `thread`, as strace takes it; None for nothing.
    """

    def __init__(
        self, node: Node, directory: Path, *, thread: Thread, inject: str | None = None
    ) -> None:
        self.node = node
        self._directory = directory
        self._inject: dict[Thread, str | None] = {"main": None, "writer": None, thread: inject}
        self._straces: dict[Thread, Strace] = {}
        self.traces: dict[Thread, Trace] = {}

    def __enter__(self) -> Self:
        fifo = self._directory / f"{self.node.name}.fifo"
        os.mkfifo(fifo)
        self.node.settings = {HOLDS: str(fifo)}
        self.node.start()
        wait_held(self.node.pid)
        self._attach("main", self.node.pid)
        os.kill(self.node.pid, signal.SIGCONT)
        number = thread_file(fifo)
        self._wait(number.exists, "its writing thread is there")
        if number.exists() and self.node.is_running:
            self._attach("writer", int(number.read_text()))
            self._wait(lambda: _has_released(fifo), "its writing thread was let go")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for thread, strace in self._straces.items():
            strace.close()
            self.traces[thread] = strace.read()
        self.node.settings = {}

    def _attach(self, thread: Thread, number: int) -> None:
        trace = self._directory / f"{self.node.name}.{thread}.trace"
        try:
            strace = Strace(number, trace, calls=CHANGES, inject=self._inject[thread])
        except AssertionError:
            if self.node.is_running:
                raise
            return  # it has ended in the meantime
        self._straces[thread] = strace

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        """Return when the condition holds, or the node has ended."""
        wait_until(
            lambda: condition() or not self.node.is_running,
            f"{self.node.name}: {what}",
            explain=self.node.said,
        )

    def wait_serving(self) -> bool:
        """Return whether it serves now, or has ended."""
        self._wait(lambda: answers(f"{self.node.url}/livez"), "it answers")
        return self.node.is_running

    # --- afterwards ---------------------------------------------------------------------------

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls of both threads."""
        return merged(list(self.traces.values()))

    @property
    def faulted(self) -> tuple[Call, ...]:
        """The calls that strace answered, or in which it killed the node."""
        threads = [thread for thread, inject in self._inject.items() if inject is not None]
        kills = any("KILL" in (inject or "") for inject in self._inject.values())
        return tuple(
            call
            for thread in threads
            if thread in self.traces
            for call in self.traces[thread].calls
            if call.is_injected or (kills and call.result is None)
        )

    def left_after_s(self, call: Call) -> float | None:
        """Return how long the node lived on after a call; None where that is not known."""
        ends = [trace.left.at_s for trace in self.traces.values() if trace.left is not None]
        return max(ends) - call.at_s if ends else None


def _has_released(fifo: Path) -> bool:
    """Return whether a thread that reads the FIFO has come to its end."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno != errno.ENXIO:  # nobody reads it yet
            raise
        return False
    return True
