"""The network that tests hurt does what it says: what passes, what does not, what is changed.

NETWORK.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial

import pytest

from tests.support.network import Network, Proxy
from tests.support.waiting import wait_until

SILENT_S = 0.2
"""What has not come by then was not passed: it would have been there in a hundredth of that."""


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network
    assert open_ends(network) == 0


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets, and closes when it has nothing more to send."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while data := connection.recv(4096):
                    connection.sendall(data)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def open_ends(network: Network) -> int:
    """Return how many transports nobody closed."""
    ends = [
        transport
        for proxy in network.proxies
        for passage in proxy.passages
        for transport in (passage.onward.source, passage.back.source)
    ]
    return sum(transport is not None and not transport.is_closing() for transport in ends)


def connect(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])))
    connection.settimeout(30)
    return connection


def says(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return hears(connection, len(data))


def hears(connection: socket.socket, size: int) -> bytes:
    heard = b""
    while len(heard) < size and (data := connection.recv(size - len(heard))):
        heard += data
    return heard


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(SILENT_S)
    try:
        return connection.recv(1) is None
    except TimeoutError:
        return True
    finally:
        connection.settimeout(30)


def test_what_is_not_hurt_passes_at_any_size_and_an_end_is_told(
    network: Network, echo: int
) -> None:
    with closing(connect(network.proxy(echo))) as connection:
        data = bytes(range(256)) * 8192
        writer = threading.Thread(target=connection.sendall, args=(data,))
        writer.start()
        assert hears(connection, len(data)) == data
        writer.join()
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


@pytest.mark.parametrize("way", ["onward", "back", "both"])
def test_what_a_partition_holds_back_comes_when_it_is_healed(
    network: Network, echo: int, way: str
) -> None:
    proxy = network.proxy(echo)
    with closing(connect(proxy)) as connection:
        assert says(connection, b"before") == b"before"
        proxy.hold(onward=way != "back", back=way != "onward")
        connection.sendall(b"meanwhile")
        with closing(connect(proxy)) as other:
            other.sendall(b"new")
            assert is_silent(connection)
            assert is_silent(other)
            proxy.pass_all()
            assert hears(connection, 9) == b"meanwhile"
            assert hears(other, 3) == b"new"


@pytest.mark.parametrize("way", ["onward", "back", "both"])
def test_a_black_hole_resets_nothing_and_never_gives_back_what_it_took(
    network: Network, echo: int, way: str
) -> None:
    proxy = network.proxy(echo)
    with closing(connect(proxy)) as old:
        assert says(old, b"before") == b"before"
        proxy.lose(onward=way != "back", back=way != "onward")
        old.sendall(b"lost")
        with closing(connect(proxy)) as new:
            new.sendall(b"lost")
            assert is_silent(new)
            proxy.pass_all()
            for dead in (old, new):
                dead.sendall(b"also lost: a byte is missing before it")
                assert is_silent(dead)
        with closing(connect(proxy)) as healed:
            assert says(healed, b"passes") == b"passes"


def test_a_forgetful_network_loses_what_stands_and_lets_new_connections_pass(
    network: Network, echo: int
) -> None:
    proxy = network.proxy(echo)
    with closing(connect(proxy)) as old:
        assert says(old, b"before") == b"before"
        proxy.lose(new=False)
        with closing(connect(proxy)) as new:
            assert says(new, b"passes") == b"passes"
        old.sendall(b"lost")
        assert is_silent(old)


@pytest.mark.parametrize("hurt", [Proxy.cut, Proxy.refuse], ids=["cut", "refuse"])
def test_a_reset_is_one(network: Network, echo: int, hurt: Callable[[Proxy], None]) -> None:
    proxy = network.proxy(echo)
    with closing(connect(proxy)) as connection:
        assert says(connection, b"before") == b"before"
        hurt(proxy)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    proxy.pass_all()
    with closing(connect(proxy)) as connection:
        assert says(connection, b"after") == b"after"


def test_one_bit_is_turned_over_where_it_was_asked_for(network: Network, echo: int) -> None:
    proxy = network.proxy(echo)

    def corrupt(proxy: Proxy) -> None:
        proxy.back.corrupt_after, proxy.back.bit = 3, 5

    proxy.change(corrupt)
    with closing(connect(proxy)) as connection:
        assert says(connection, b"abcdef") == b"abcDef"
        assert says(connection, b"abcdef") == b"abcdef"
    assert (proxy.onward.corrupted, proxy.back.corrupted) == (0, 1)


def test_an_end_can_be_kept_from_the_other_one(network: Network, echo: int) -> None:
    proxy = network.proxy(echo)

    def keep(proxy: Proxy) -> None:
        proxy.onward.keeps_ends = proxy.back.keeps_ends = True

    with closing(connect(proxy)) as connection:
        assert says(connection, b"before") == b"before"
        proxy.change(keep)
        connection.shutdown(socket.SHUT_WR)
        assert is_silent(connection)
        proxy.pass_all()
        assert connection.recv(1) == b""


def test_a_delay_is_latency_and_a_slow_line_is_slow(network: Network, echo: int) -> None:
    proxy = network.proxy(echo)

    def delay(proxy: Proxy) -> None:
        proxy.onward.delay_s = proxy.back.delay_s = 0.1

    def slow(proxy: Proxy) -> None:
        proxy.onward.bytes_per_s = 20_000

    with closing(connect(proxy)) as connection:
        proxy.change(delay)
        began = time.monotonic()
        assert says(connection, b"there and back") == b"there and back"
        assert time.monotonic() - began >= 0.2
        proxy.pass_all()
        proxy.change(slow)
        began = time.monotonic()
        assert says(connection, b"x" * 5_000) == b"x" * 5_000
        assert time.monotonic() - began >= 0.15


def test_what_nobody_takes_is_not_kept_without_end(network: Network, echo: int) -> None:
    proxy = network.proxy(echo)
    proxy.hold()
    with closing(connect(proxy)) as connection:
        connection.settimeout(SILENT_S)
        with pytest.raises(TimeoutError):
            connection.sendall(bytes(64 << 20))
        wait_until(lambda: proxy.passages[-1].onward.held > 1 << 20, "it holds something")
        assert proxy.passages[-1].onward.held < 8 << 20


def test_an_end_that_was_told_nothing_is_closed_with_the_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Network() as network:
        proxy = network.proxy(server.getsockname()[1])
        with closing(connect(proxy)) as connection:
            connection.sendall(b"x")
            accepted, _ = server.accept()
            with closing(accepted):
                assert accepted.recv(1) == b"x"
                proxy.lose()
                connection.shutdown(socket.SHUT_WR)
                (passage,) = proxy.passages
                wait_until(lambda: passage.onward.has_ended, "the dialler has said all")
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wait_until(lambda: passage.back.has_ended, "the listener is gone")
    assert open_ends(network) == 0


def test_what_both_ends_have_ended_is_closed_before_the_network(network: Network) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = network.proxy(server.getsockname()[1])
        with closing(connect(proxy)) as connection:
            connection.sendall(b"x")
            accepted, _ = server.accept()
            with closing(accepted):
                connection.shutdown(socket.SHUT_WR)
                accepted.shutdown(socket.SHUT_WR)
                wait_until(lambda: open_ends(network) == 0, "both ends are closed")


def test_a_network_that_ends_while_it_dials_leaves_nothing_open() -> None:
    for _ in range(50):
        with socket.create_server(("127.0.0.1", 0)) as server, Network() as network:
            proxy = network.proxy(server.getsockname()[1])
            with closing(connect(proxy)) as connection:
                connection.sendall(b"x")
                wait_until(partial(bool, proxy.passages), "it dials")
        assert open_ends(network) == 0
