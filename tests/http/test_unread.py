"""Clients that do not take their answers: cut off in the end, with what was held for them (P10)."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from functools import partial

import pytest
from websockets.sync.client import connect

from replog.core.entry import EntryId
from replog.http.limits import Deadlines
from replog.http.protocol import NodeProtocol
from replog.replication.endpoint import FrameProtocol
from replog.storage.batch import encode_message, entry_line
from tests.http.raw import request_bytes
from tests.http.served import Served
from tests.support.waiting import DEADLINE_S, wait_until

READ = request_bytes("GET", "/logs")
PATIENT_S = 3600.0
SIZE = 16_000_000


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a connection is gone at the server, whatever its client knows of that."""
    lost = threading.Event()
    original = NodeProtocol.connection_lost

    def note(self: NodeProtocol, exc: Exception | None) -> None:
        original(self, exc)
        lost.set()

    monkeypatch.setattr(NodeProtocol, "connection_lost", note)
    return lost


by_the_kernel = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's TCP_USER_TIMEOUT")


def _served(*, unread_s: float, idle_s: float = PATIENT_S) -> Served:
    return Served(
        deadlines=Deadlines(
            headers_s=PATIENT_S, body_s=PATIENT_S, idle_s=idle_s, unread_s=unread_s
        ),
        sweep_interval_s=0.02,
    )


def _fill(served: Served) -> None:
    """Let a read be one answer at hand, far beyond the sockets' buffers."""
    served.node.at_hand_entries = 1
    served.node.lines = [entry_line(EntryId(1), encode_message("x" * SIZE))]


def test_answers_that_nobody_takes_end_the_connection_of_the_next_request(
    lost: threading.Event,
) -> None:
    with _served(unread_s=0.1) as served, served.connect() as connection:
        _fill(served)
        connection.send(READ * 3)
        assert lost.wait(DEADLINE_S)
        assert len(connection.read_to_end()) < SIZE


def test_an_append_behind_answers_that_nobody_takes_is_stored_and_its_connection_ended(
    lost: threading.Event,
) -> None:
    with _served(unread_s=0.1) as served, served.connect() as connection:
        _fill(served)
        connection.send(READ + request_bytes("POST", "/logs", b'{"message":"x"}'))
        assert lost.wait(DEADLINE_S)
        assert len(served.node.lines) == 2


def test_an_idle_connection_whose_last_answer_nobody_takes_is_ended(lost: threading.Event) -> None:
    with _served(unread_s=0.1, idle_s=0.1) as served, served.connect() as connection:
        _fill(served)
        connection.send(READ)
        assert lost.wait(DEADLINE_S)
        assert len(connection.read_to_end()) < SIZE


@pytest.mark.parametrize("target", ["/logs", "/logs/1", "/logs/stream?from=1"])
def test_an_answer_that_streams_and_is_not_taken_is_cut_off_and_gives_its_place_back(
    lost: threading.Event, target: str
) -> None:
    with _served(unread_s=0.1) as served, served.connect() as connection:
        _fill(served)
        served.node.at_hand_entries = 0
        served.on_loop(lambda: served.node.feed.show(EntryId(1)))
        connection.send(request_bytes("GET", target))
        assert lost.wait(DEADLINE_S)
        routes = served.app.log_routes
        wait_until(lambda: len(routes.reads.large_reads) == 0, "it counts no more")
        wait_until(lambda: len(routes.follows.followers) == 0, "it follows no more")
        assert len(connection.read_to_end()) < SIZE


def test_a_follower_to_whom_the_same_comes_again_and_again_is_not_taken_for_stuck() -> None:
    with _served(unread_s=0.1) as served, served.connect() as connection:
        connection.send(request_bytes("GET", "/logs/stream?from=1"))
        assert connection.answer(is_endless=True).status == 200
        for number in range(1, 200):
            served.node.lines.append(entry_line(EntryId(number), encode_message("same")))
            served.on_loop(partial(served.node.feed.show, EntryId(number)))
            assert b"same" in connection._chunk()


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}])
def test_a_client_that_takes_its_answer_slowly_gets_all_of_it(headers: dict[str, str]) -> None:
    """It is idle, or closed, for longer than the deadlines all the while."""
    with _served(unread_s=0.6, idle_s=0.1) as served, served.connect() as connection:
        _fill(served)
        connection.send(request_bytes("GET", "/logs", None, headers))
        connection.socket.settimeout(DEADLINE_S)
        taken = 0
        pause = threading.Event()
        while data := connection.socket.recv(1 << 18):
            taken += len(data)
            pause.wait(0.02)
        assert taken > SIZE


@by_the_kernel
def test_a_client_for_whom_nothing_waits_but_in_the_kernel_is_cut_off(
    lost: threading.Event,
) -> None:
    """Its answers fit between the two sockets, so that no sweep could see that none is taken."""
    deadlines = Deadlines(unread_s=0.3)
    with (
        Served(deadlines=deadlines, sweep_interval_s=PATIENT_S) as served,
        socket.socket() as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(DEADLINE_S)
        client.connect(("127.0.0.1", served.port))
        served.node.lines = [entry_line(EntryId(1), encode_message("x" * 20_000))]
        client.sendall(READ * 3)
        assert lost.wait(DEADLINE_S)


@by_the_kernel
def test_a_link_has_heartbeats_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts: list[int] = []
    original = FrameProtocol.connection_made

    def note(self: FrameProtocol, transport: asyncio.Transport) -> None:
        accepted = transport.get_extra_info("socket")
        timeouts.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        original(self, transport)

    monkeypatch.setattr(FrameProtocol, "connection_made", note)
    with (
        _served(unread_s=0.1) as served,
        connect(f"ws://127.0.0.1:{served.port}/replication") as link,
    ):
        link.send(b"frame")
        assert link.recv() == b"frame"
    assert timeouts == [0]
