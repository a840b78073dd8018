"""Large answers: so many at a time, and one that is stuck makes room (P10)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from replog.core.entry import EntryId
from replog.http.large_reads import LargeReads
from replog.http.limits import Deadlines
from replog.http.problems import ProblemError
from replog.storage.batch import encode_message, entry_line
from tests.http.raw import Connection
from tests.http.served import Served
from tests.support.waiting import wait_until

READ = b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def large() -> Iterator[Served]:
    """A log of 30 MB, far beyond the sockets' buffers; nobody is cut off for not reading."""
    message = encode_message("x" * 50_000)
    with Served(deadlines=Deadlines(unread_s=3600)) as served:
        served.node.lines = [entry_line(EntryId(place), message) for place in range(1, 601)]
        yield served


def _stuck(served: Served, count: int, stack: ExitStack) -> list[Connection]:
    """Return `count` connections whose clients asked for everything and read nothing."""
    connections = [stack.enter_context(served.connect()) for _ in range(count)]
    for connection in connections:
        connection.send(READ)
    reads = served.app.log_routes.reads.large_reads
    wait_until(lambda: len(reads) == count, "all are on their way")
    return connections


def _with(served: Served, reads: LargeReads) -> None:
    served.on_loop(lambda: setattr(served.app.log_routes.reads, "large_reads", reads))


def test_beyond_the_limit_a_large_read_is_refused_and_a_small_one_is_not(large: Served) -> None:
    _with(large, LargeReads(limit=3, patience_s=3600))
    with ExitStack() as stack:
        stuck = _stuck(large, 3, stack)
        refused = stack.enter_context(large.connect())
        answer = refused.request("GET", "/logs")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.problem()["type"] == "/problems/overloaded"
        assert answer.headers["connection"] == "close"
        assert refused.is_closed(), "else it would be idle"
        other = stack.enter_context(large.connect())
        assert other.request("HEAD", "/logs").status == 200
        assert other.request("GET", "/logs?limit=1").status == 200
        assert len(json.loads(stuck[1].answer().body)) == 600
        assert len(json.loads(other.request("GET", "/logs").body)) == 600
        assert len(json.loads(stuck[0].answer().body)) == 600
    reads = large.app.log_routes.reads.large_reads
    wait_until(lambda: len(reads) == 0 and large.node.open_reads == 0, "none is left")


def test_one_that_took_nothing_for_long_makes_room(
    large: Served, caplog: pytest.LogCaptureFixture
) -> None:
    _with(large, LargeReads(limit=2, patience_s=0.0))
    with ExitStack() as stack:
        first, second = _stuck(large, 2, stack)
        other = stack.enter_context(large.connect())
        assert len(json.loads(other.request("GET", "/logs").body)) == 600
        with pytest.raises((EOFError, ConnectionResetError)):
            first.answer()
        assert len(json.loads(second.answer().body)) == 600
    assert any("makes room" in record.getMessage() for record in caplog.records)
    assert not any(record.exc_info for record in caplog.records)


def test_one_large_entry_counts_as_well(large: Served) -> None:
    large.node.lines = [entry_line(EntryId(1), encode_message("x" * 8_000_000))]
    large.node.at_hand_entries = 0
    _with(large, LargeReads(limit=1, patience_s=3600))
    with ExitStack() as stack:
        [stuck] = _stuck(large, 1, stack)
        refused, other = (stack.enter_context(large.connect()) for _ in range(2))
        assert refused.request("GET", "/logs/1").status == 503
        assert other.request("HEAD", "/logs/1").headers["content-length"] == "8000021"
        assert len(stuck.answer().body) == 8_000_023
        wait_until(lambda: len(large.app.log_routes.reads.large_reads) == 0, "it was taken")
        assert len(other.request("GET", "/logs/1").body) == 8_000_021


@pytest.fixture
def reads() -> Iterator[LargeReads]:
    reads = LargeReads(limit=2, patience_s=3600)
    yield reads
    assert len(reads) == 0


def test_a_cancellation_that_is_not_for_room_passes_through(reads: LargeReads) -> None:
    async def hold() -> None:
        with reads.one():
            await asyncio.Event().wait()

    async def story() -> None:
        task = asyncio.ensure_future(hold())
        await asyncio.sleep(0)
        assert len(reads) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())


def test_a_failed_one_gives_its_place_back(reads: LargeReads) -> None:
    async def story() -> None:
        for _ in range(5):
            with pytest.raises(ValueError, match="planted"), reads.one():
                raise ValueError("planted")
        with reads.one(), reads.one(), pytest.raises(ProblemError), reads.one():
            raise AssertionError("a third one")

    asyncio.run(story())
