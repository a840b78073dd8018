"""Producers that end before an answer: what is in doubt can be repeated as a whole, once."""

from __future__ import annotations

import asyncio
import threading

import httpx2
import pytest

from replog.client import (
    AsyncClient,
    AsyncProducer,
    Client,
    ClosedError,
    InDoubtError,
    NotSentError,
    Producer,
)
from tests.client.fake_cluster import URLS, FakeCluster, break_off, refuse

A = URLS[0]
TEXTS = ["m1", "м2", 'm"3\n']


class SlowCluster:
    """Performs each append at once, and answers when it is let."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.may_answer = asyncio.Event()
        self.has_arrived = asyncio.Event()

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        response = self.cluster(request)
        self.has_arrived.set()
        await self.may_answer.wait()
        return response


def test_a_close_that_is_cancelled_loses_nothing_and_can_be_called_again() -> None:
    async def scenario() -> None:
        slow = SlowCluster()
        async with AsyncClient(A, transport=httpx2.MockTransport(slow)) as client:
            producer = AsyncProducer(client, batch_entries=2, linger=60)
            tickets = [await producer.append(text) for text in TEXTS]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(producer.close(), 0.01)
            slow.may_answer.set()
            await producer.close()
            assert [(await ticket).id for ticket in tickets] == [1, 2, 3]
        assert slow.cluster.messages == TEXTS

    asyncio.run(scenario())


def test_a_producer_whose_loop_ends_tells_what_to_repeat_and_under_which_key() -> None:
    slow: list[SlowCluster] = []
    producers: list[AsyncProducer] = []

    async def scenario() -> None:
        slow.append(SlowCluster())
        client = AsyncClient(A, transport=httpx2.MockTransport(slow[0]))
        producer = AsyncProducer(client, batch_entries=3, linger=60)
        producers.append(producer)
        for text in [*TEXTS, "behind"]:
            await producer.append(text)
        await slow[0].has_arrived.wait()

    asyncio.run(scenario())  # cancels the task that sends
    failure = producers[0]._pile.failure
    assert isinstance(failure, InDoubtError)
    assert failure.messages == tuple(TEXTS)
    with Client(A, transport=httpx2.MockTransport(slow[0].cluster)) as client:
        assert client.append_many(failure.messages, key=failure.key).is_replayed
    assert slow[0].cluster.messages == TEXTS


def test_a_producer_that_is_cancelled_says_so_to_whoever_waits() -> None:
    async def scenario() -> None:
        slow = SlowCluster()
        async with AsyncClient(A, transport=httpx2.MockTransport(slow)) as client:
            producer = AsyncProducer(client, batch_entries=2, linger=60)
            tickets = [await producer.append(text) for text in TEXTS]
            await slow.has_arrived.wait()
            assert producer._sending is not None
            producer._sending.cancel()
            with pytest.raises(InDoubtError) as caught:
                await tickets[0]
            assert caught.value.key in slow.cluster.id_of_key
            assert caught.value.messages == tuple(TEXTS[:2])
            with pytest.raises(NotSentError):
                await tickets[2]
            with pytest.raises(InDoubtError):
                await producer.close()

    asyncio.run(scenario())


def test_nothing_is_in_doubt_where_a_producer_ends_while_nothing_is_under_way() -> None:
    async def scenario() -> None:
        slow = SlowCluster()
        async with AsyncClient(A, transport=httpx2.MockTransport(slow)) as client:
            producer = AsyncProducer(client, linger=60)
            ticket = await producer.append("m1")
            await asyncio.sleep(0)
            assert producer._sending is not None
            producer._sending.cancel()
            with pytest.raises(NotSentError):
                await ticket
            with pytest.raises(ClosedError):
                await producer.close()
        assert slow.cluster.messages == []

    asyncio.run(scenario())


def test_a_batch_without_an_answer_is_repeated_as_a_whole() -> None:
    cluster = FakeCluster()
    cluster.fail(A, break_off)
    cluster.always[A] = refuse
    with Client(A, retry_for=0.1, transport=httpx2.MockTransport(cluster)) as client:
        producer = Producer(client, batch_entries=3, linger=60)
        tickets = [producer.append(text) for text in TEXTS]
        with pytest.raises(InDoubtError) as caught:
            producer.close()
        assert caught.value.messages == tuple(TEXTS)
        with pytest.raises(InDoubtError) as same:
            tickets[1].result(0)
        assert (same.value.key, same.value.messages) == (caught.value.key, caught.value.messages)
        cluster.always.clear()
        assert client.append_many(caught.value.messages, key=caught.value.key).is_replayed
    assert cluster.messages == TEXTS


def test_a_defect_of_the_sender_tells_the_key_of_what_it_was_sending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = FakeCluster()

    def defect(request: httpx2.Request) -> httpx2.Response:
        cluster(request)
        raise ZeroDivisionError

    monkeypatch.setattr(threading, "excepthook", lambda hook: None)
    with Client(A, transport=httpx2.MockTransport(defect)) as client:
        producer = Producer(client, linger=0)
        producer.append("m1")
        with pytest.raises(InDoubtError) as caught:
            producer.close()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.key in cluster.id_of_key
    assert caught.value.messages == ("m1",)
