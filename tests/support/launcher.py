"""A program that has all of a node in memory, and forks one whenever it is asked to.

SHELL. Started by `tests.support.launching`. A line of JSON asks for a node and is answered by
`{"started": PID}`; `{"ended": PID, "status": N}` follows in time, N as in `Popen.returncode`.
A node is a process of its own that runs `replog serve` from its command line to its end. It is
only spared importing, which is four fifths of the processor time of a start. Other programs of
this repository may be asked for in its place.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import threading
from typing import TypedDict

import replog.__main__
import replog.cli.main
import replog.cli.node_process  # noqa: F401 - for the nodes


class Wish(TypedDict):
    """The node that is asked for.

    Attributes:
        program: the module whose `main` it runs.
        arguments: of `replog`, where that is the program; the first one is "serve".
        environment: all of it.
        output: the file that what it prints is added to.
    """

    program: str
    arguments: list[str]
    environment: dict[str, str]
    output: str


class Launcher:
    """Forks nodes and tells their ends; kills those that outlive whoever asked for them."""

    def __init__(self, asker: socket.socket) -> None:
        self._asker = asker
        self._wishes = asker.makefile("rb", 0)
        self._woken, self._wake = socket.socketpair()
        self._running: set[int] = set()

    def run(self) -> Wish | None:
        """Return in each forked process what it is to be; here None, when nobody asks any more."""
        for end in (self._woken, self._wake):
            end.setblocking(False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks ends what it asked for
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._wishes, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._woken in ready:
                    self._woken.recv(4096)
                    self._tell_ends()
                if self._wishes in ready:
                    line = self._wishes.readline()
                    if not line:
                        self._end_all()
                        return None
                    if self._is_forked():
                        wish: Wish = json.loads(line)
                        return wish

    def close(self) -> None:
        """Let go, in a forked process, of what is between the launcher and its asker."""
        for each in (self._wishes, self._asker, self._woken, self._wake):
            each.close()

    def _is_forked(self) -> bool:
        assert threading.active_count() == 1, "a fork would lose the other threads"
        pid = os.fork()
        if pid == 0:
            return True
        self._running.add(pid)
        self._tell(started=pid)
        return False

    def _tell_ends(self) -> None:
        for pid in list(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._running.remove(pid)
                self._tell(ended=pid, status=os.waitstatus_to_exitcode(status))

    def _end_all(self) -> None:
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _tell(self, **news: int) -> None:
        self._asker.sendall(json.dumps(news).encode() + b"\n")


def become(wish: Wish) -> None:
    """Be in this process as if a shell had started the program with what is wished for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(wish["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    os.environ.clear()
    os.environ.update(wish["environment"])
    sys.argv = ["replog", *wish["arguments"]]


def main() -> None:
    asker = socket.socket(fileno=int(sys.argv[1]))
    gc.collect()
    gc.freeze()  # what is imported stays shared between the nodes
    launcher = Launcher(asker)
    wish = launcher.run()
    if wish is not None:
        signal.set_wakeup_fd(-1)
        launcher.close()
        become(wish)
        importlib.import_module(wish["program"]).main()


if __name__ == "__main__":
    main()
