"""An upgrade that a client offers and the node does not take: answered in HTTP/1.1 (RFC 9110, 7.8).

What follows on such a head is its body, never another request: else a body could be one.
"""

from __future__ import annotations

import json

import pytest

from tests.http.raw import request_bytes
from tests.http.served import Served
from tests.support.waiting import wait_until

OFFER = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
TEXT = {**OFFER, "Content-Type": "text/plain"}
INNER = request_bytes("POST", "/logs", b'{"message":"smuggled"}')


def messages(served: Served) -> list[str]:
    return [json.loads(line)["message"] for line in served.node.lines]


def test_a_read_that_offers_an_upgrade_is_answered(master: Served) -> None:
    with master.connect() as connection:
        assert connection.request("GET", "/logs", None, OFFER).body == b"[]"


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_append_that_offers_an_upgrade_keeps_its_body(master: Served, size: int) -> None:
    request = request_bytes("POST", "/logs", b'{"message":"x"}', OFFER)
    with master.connect() as connection:
        for start in range(0, len(request), size):
            connection.send(request[start : start + size])
        assert connection.answer().status == 200
        assert connection.append(b'{"message":"y"}').status == 200
    assert messages(master) == ["x", "y"]


@pytest.mark.parametrize("is_apart", [True, False])
def test_a_body_behind_an_offered_upgrade_is_never_a_request(
    master: Served, *, is_apart: bool
) -> None:
    request = request_bytes("POST", "/logs", INNER, TEXT)
    split = request.index(b"\r\n\r\n") + 4 if is_apart else len(request)
    with master.connect() as connection:
        connection.send(request[:split])
        connection.send(request[split:])
        assert connection.answer().status == 200
        assert connection.request("GET", "/logs?limit=0").body == b"[]"
    assert messages(master) == [INNER.decode()]


def test_a_chunked_body_behind_an_offered_upgrade_is_read_as_such(master: Served) -> None:
    head = request_bytes("POST", "/logs", None, {**TEXT, "Transfer-Encoding": "chunked"})
    with master.connect() as connection:
        connection.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER))
        assert connection.answer().status == 200
    assert messages(master) == [INNER.decode()]


def test_requests_behind_an_offered_upgrade_are_answered_in_order(master: Served) -> None:
    offers = [request_bytes("POST", "/logs", b'{"message":"%d"}' % i, OFFER) for i in range(200)]
    with master.connect() as connection:
        connection.send(b"".join(offers) + request_bytes("GET", "/logs?limit=0"))
        for place in range(1, 201):
            assert json.loads(connection.answer().body)["log"]["id"] == place
        assert connection.answer().body == b"[]"
    assert messages(master) == [str(i) for i in range(200)]


def test_an_offered_upgrade_in_http_1_0_is_answered_and_closed(master: Served) -> None:
    request = request_bytes("POST", "/logs", b'{"message":"x"}', OFFER)
    with master.connect() as connection:
        connection.send(request.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert connection.answer().status == 200
        assert connection.is_closed()


def test_bounds_hold_for_a_body_behind_an_offered_upgrade(master: Served) -> None:
    with master.connect() as connection:
        connection.send(
            request_bytes("POST", "/logs", None, {**OFFER, "Content-Length": "99999999"})
        )
        assert connection.answer().problem()["type"] == "/problems/too-large"


@pytest.mark.parametrize("known", [False, True], ids=["ordinary", "whole"])
def test_a_websocket_behind_an_append_that_waits_gives_both_up(
    master: Served, *, known: bool
) -> None:
    """The connection would be a link before the append's answer is sent on it."""
    with master.waiting_append(known=known) as connection:
        connection.send(request_bytes("GET", "/replication", None, WEBSOCKET))
        assert connection.is_closed()
        wait_until(lambda: master.on_loop(lambda: master.node.abandoned) == 1, "it is given up")
    assert master.node.links == 0
