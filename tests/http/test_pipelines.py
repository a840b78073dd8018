"""Requests that come behind one that is being answered: in order, in bounded memory (P10)."""

from __future__ import annotations

import asyncio
import json

import pytest

from replog.http.behind import Behind, piece_end
from replog.http.parsing import MessageProtocol
from replog.http.protocol import NodeProtocol
from tests.http.raw import request_bytes
from tests.http.served import Served
from tests.support.waiting import wait_until

READ = request_bytes("GET", "/logs?limit=0")
TEXT = {"Content-Type": "text/plain"}


def _append(message: str) -> bytes:
    return request_bytes("POST", "/logs", json.dumps({"message": message}).encode())


def _chunked(message: bytes) -> bytes:
    head = request_bytes("POST", "/logs", None, {**TEXT, "Transfer-Encoding": "chunked"})
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(message), message)


def _messages(served: Served) -> list[str]:
    return [json.loads(line)["message"] for line in served.node.lines]


@pytest.fixture
def protocols(monkeypatch: pytest.MonkeyPatch) -> list[NodeProtocol]:
    """The server's connections in the order in which they were made."""
    made: list[NodeProtocol] = []
    original = NodeProtocol.connection_made

    def note(self: NodeProtocol, transport: asyncio.Transport) -> None:
        original(self, transport)
        made.append(self)

    monkeypatch.setattr(NodeProtocol, "connection_made", note)
    return made


@pytest.mark.parametrize(
    ("size", "length"), [(1, 90), (3, 90), (5, 90), (1000, 90_000), (1_000_000, 90_000)]
)
def test_all_kinds_of_requests_in_one_go_are_answered_in_order(
    master: Served, size: int, length: int
) -> None:
    """Bodies whose bytes look like ends of heads are among them; `size` is that of each write."""
    texts = ["a", "two\r\n\r\nempty\r\n\r\nlines\r\n\r\n", "in\r\n\r\nchunks", "x" * length, "z"]
    requests = [
        READ,
        _append(texts[0]),
        request_bytes("POST", "/logs", texts[1].encode(), TEXT),
        _chunked(texts[2].encode()),
        request_bytes("POST", "/logs", texts[3].encode(), TEXT),
        request_bytes("GET", "/nowhere"),
        READ,
        _append(texts[4]),
    ]
    data = b"".join(requests)
    with master.connect() as connection:
        for start in range(0, len(data), size):
            connection.send(data[start : start + size])
        statuses = [connection.answer().status for _ in requests]
    assert statuses == [200, 200, 200, 200, 200, 404, 200, 200]
    assert _messages(master) == texts


def test_thousands_of_requests_make_two_at_a_time(
    master: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    deepest = 0
    begin_cycle = MessageProtocol._begin_cycle

    def note(self: MessageProtocol, *, keep_alive: bool) -> None:
        nonlocal deepest
        begin_cycle(self, keep_alive=keep_alive)
        deepest = max(deepest, len(self.pipeline))

    monkeypatch.setattr(MessageProtocol, "_begin_cycle", note)
    with master.connect() as connection:
        connection.send(READ * 2000)
        for _ in range(2000):
            assert connection.answer().body == b"[]"
    assert deepest == 1


def test_what_waits_behind_is_given_back(master: Served, protocols: list[NodeProtocol]) -> None:
    with master.connect() as connection:
        connection.send(READ * 2000)
        for _ in range(2000):
            assert connection.answer().status == 200
        [protocol] = protocols
        assert protocol.behind.size == 0
        master.on_loop(lambda: setattr(master.node, "reachable", 1))
        connection.send(_append("waits") + READ * 100)
        wait_until(lambda: protocol.behind.size > 0, "reads wait as they came")
    wait_until(lambda: protocol.behind.size == 0, "the hang-up gives all of it back")


def test_where_too_much_waits_a_read_ends_unanswered(
    master: Served, protocols: list[NodeProtocol]
) -> None:
    master.node.holds_reads = True
    with master.connect() as connection:
        connection.send(request_bytes("GET", "/logs"))
        wait_until(lambda: master.node.waiting == 1, "the read waits")
        [protocol] = protocols
        protocol.behind.limit = 10
        connection.send(READ * 3)
        assert connection.is_closed()
    assert protocol.behind.size == 0


@pytest.mark.parametrize("framing", ["known length", "chunks"])
def test_a_body_full_of_empty_lines_is_parsed_in_large_pieces(
    master: Served, monkeypatch: pytest.MonkeyPatch, framing: str
) -> None:
    pieces = 0
    parse_piece = MessageProtocol._parse_piece

    def count(self: MessageProtocol, piece: memoryview) -> bool:
        nonlocal pieces
        pieces += 1
        return parse_piece(self, piece)

    monkeypatch.setattr(MessageProtocol, "_parse_piece", count)
    lines = b"\r\n\r\n" * 15_000
    whole = request_bytes("POST", "/logs", lines, TEXT)
    with master.connect() as connection:
        connection.send(whole if framing == "known length" else _chunked(lines))
        assert connection.answer().status == 200
    assert _messages(master) == [lines.decode()]
    assert pieces < 300


@pytest.mark.parametrize("known", [False, True], ids=["ordinary", "whole"])
def test_where_too_much_waits_an_append_is_answered_first(
    master: Served, protocols: list[NodeProtocol], *, known: bool
) -> None:
    with master.waiting_append(known=known) as connection:
        protocol = protocols[-1]
        protocol.behind.limit = 10
        connection.send(READ * 3)
        running = protocol._running
        assert running is not None
        wait_until(lambda: not running.keep_alive, "too much waits")
        master.on_loop(master.node.release)
        assert connection.answer().status == 200
        assert connection.is_closed()
    assert protocol.behind.size == 0


@pytest.mark.parametrize(
    ("data", "start", "body_left", "end"),
    [
        (b"GET / HTTP/1.1\r\n\r\nGET", 0, 0, 18),
        (b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", 18, 0, 36),
        (b"GET / HTTP/1.1\r\n", 0, 0, 16),
        (b"body\r\n\r\nGET", 0, 8, 8),
        (b"body\r\n\r\nGET", 4, 100, 11),
        (b"1\r\nx\r\n0\r\n\r\nGET", 0, None, 14),
        (b"0\r\n\r\n" * 1000, 0, None, 520),
    ],
)
def test_pieces_end_with_heads_and_with_bodies_of_known_length(
    data: bytes, start: int, body_left: int | None, end: int
) -> None:
    assert piece_end(data, start, body_left) == end


def test_room_behind_requests_is_bounded() -> None:
    behind = Behind(10)
    assert behind.take(10)
    assert not behind.take(1)
    behind.give_back(4)
    assert (behind.take(4), behind.size) == (True, 10)
