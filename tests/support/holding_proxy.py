"""A TCP proxy between a master and one secondary, which can hold bytes back and let them go.

NETWORK. One thread for each direction of each connection.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Passage:
    """One connection through the proxy: both its ends, and what is held back."""

    def __init__(self, dialler: socket.socket, listener: socket.socket) -> None:
        self.dialler = dialler
        self.listener = listener
        self.held: list[bytes] = []
        self.is_holding = False
        self.is_silent = False
        self._lock = threading.Lock()

    def hold(self) -> None:
        """Keep what the dialler sends from now on, and show the listener nothing of its end."""
        with self._lock:
            self.is_holding = True

    def release(self) -> None:
        """Hand over all that was held, in order."""
        with self._lock:
            self.is_holding = False
            with suppress(OSError):
                self.listener.sendall(b"".join(self.held))
            self.held.clear()

    def hang_up_dialler(self) -> None:
        """Break the dialler's end only: the listener does not learn of it."""
        self.is_silent = True
        with suppress(OSError):
            self.dialler.shutdown(socket.SHUT_RDWR)

    def forward(self, data: bytes) -> None:
        with self._lock:
            if self.is_holding:
                self.held.append(data)
            else:
                self.listener.sendall(data)

    def pump_to_listener(self) -> None:
        with suppress(OSError):
            while data := self.dialler.recv(1 << 16):
                self.forward(data)
        if not self.is_silent:
            self._close(self.listener)

    def pump_to_dialler(self) -> None:
        with suppress(OSError):
            while data := self.listener.recv(1 << 16):
                self.dialler.sendall(data)
        self._close(self.dialler)

    def _close(self, end: socket.socket) -> None:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Listens on a port of its own and passes every connection on to `port`."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.holds_new = False
        """Whether connections that come hold back what their dialler sends, from the start."""
        self.passages: list[Passage] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._socket.close()
        for passage in self.passages:
            for end in (passage.dialler, passage.listener):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for passage in self.passages:
            passage.dialler.close()
            passage.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                dialler, _ = self._socket.accept()
                try:
                    listener = socket.create_connection(self._target)
                except OSError:
                    dialler.close()
                    continue
                passage = Passage(dialler, listener)
                passage.is_holding = self.holds_new
                self.passages.append(passage)
                for pump in (passage.pump_to_listener, passage.pump_to_dialler):
                    thread = threading.Thread(target=pump, daemon=True)
                    thread.start()
                    self._threads.append(thread)
