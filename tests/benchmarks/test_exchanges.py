"""Where an answer ends, and whether it is a good one, in each protocol of the comparison.

PURE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from benchmarks.load import Exchange, HttpExchange
from benchmarks.peers.pipelined import _Publisher
from benchmarks.peers.systems.nats import PublishExchange
from benchmarks.peers.systems.redis import AppendExchange


def http() -> Exchange:
    return HttpExchange(lambda: b"")


@dataclass(frozen=True, slots=True)
class Case:
    exchange: Callable[[], Exchange]
    answer: bytes
    is_good: bool


INFO = b'INFO {"server_id":"N","max_payload":1048576}\r\n'
CASES = {
    "http": Case(http, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", is_good=True),
    "http, the length amidst": Case(
        http, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: now\r\n\r\n{}", is_good=True
    ),
    "http, in chunks": Case(
        http,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
        is_good=True,
    ),
    "http, in no chunk": Case(
        http, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", is_good=True
    ),
    "http, pending": Case(
        http, b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}", is_good=False
    ),
    "nats": Case(PublishExchange, b'MSG _INBOX.a 1 9\r\n{"seq":7}\r\n', is_good=True),
    "nats, the first": Case(
        PublishExchange, INFO + b'PING\r\nMSG _INBOX.a 1 9\r\n{"seq":7}\r\n', is_good=True
    ),
    "nats, refused": Case(
        PublishExchange, b'MSG _INBOX.a 1 20\r\n{"error":{},"seq":0}\r\n', is_good=False
    ),
    "nats, nobody there": Case(
        PublishExchange, b"HMSG _INBOX.a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", is_good=False
    ),
    "redis": Case(AppendExchange, b"$3\r\n1-0\r\n:2\r\n", is_good=True),
    "redis, a replica away": Case(AppendExchange, b"$3\r\n1-0\r\n:1\r\n", is_good=False),
    "redis, refused": Case(AppendExchange, b"-ERR no\r\n:2\r\n", is_good=False),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_answer_ends_where_it_is_whole_however_it_is_cut(case: Case) -> None:
    exchange = case.exchange()
    for stop in range(len(case.answer)):
        assert exchange.end_of_answer(case.answer[:stop]) == 0, case.answer[:stop]
    assert exchange.end_of_answer(case.answer) == len(case.answer)
    assert exchange.end_of_answer(case.answer + case.answer[:5]) == len(case.answer)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_only_what_says_that_it_is_done_is_good(case: Case) -> None:
    assert case.exchange().is_good(case.answer) is case.is_good


def test_a_pipeline_ends_with_the_first_refusal_of_many() -> None:
    async def story() -> None:
        publisher = _Publisher(seconds=1.0)
        for _ in range(2):
            publisher.data_received(CASES["nats, refused"].answer.replace(b',"seq":0', b""))
        with pytest.raises(ConnectionError, match="JetStream refused"):
            await publisher.ended

    asyncio.run(story())
