"""Both producers, against a cluster that is made up."""

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
    KeyReusedError,
    NotSentError,
    Producer,
)
from tests.client.fake_cluster import URLS, FakeCluster, answer, break_off, problem
from tests.support.waiting import DEADLINE_S, wait_until

TEXTS = [f"m{number}" for number in range(1, 26)]


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def blocking(cluster: FakeCluster, *, retry_for: float | None = 30.0) -> Client:
    return Client(URLS, retry_for=retry_for, transport=httpx2.MockTransport(cluster))


def on_asyncio(cluster: FakeCluster) -> AsyncClient:
    return AsyncClient(URLS, transport=httpx2.MockTransport(cluster))


class Gate:
    """Holds the requests of a cluster back until it is opened."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.is_open = threading.Event()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        assert self.is_open.wait(DEADLINE_S)
        return self._cluster(request)


def test_appends_become_few_requests_in_order(cluster: FakeCluster) -> None:
    with blocking(cluster) as client:
        with Producer(client, batch_entries=10, linger=60) as producer:
            tickets = [producer.append(text) for text in TEXTS]
        assert [ticket.result(0).id for ticket in tickets] == list(range(1, 26))
        assert {ticket.result(0).key for ticket in tickets} == set(cluster.id_of_key)
    assert cluster.messages == TEXTS
    assert len(cluster.requests) == 3


def test_a_batch_that_is_not_full_leaves_when_its_time_has_come(cluster: FakeCluster) -> None:
    with blocking(cluster) as client, Producer(client, linger=0.001) as producer:
        assert producer.append("m1").result(DEADLINE_S).id == 1
        assert producer.append("m2").result(DEADLINE_S).id == 2


def test_a_flush_waits_for_everything_before_it(cluster: FakeCluster) -> None:
    with blocking(cluster) as client, Producer(client, batch_entries=10, linger=60) as producer:
        producer.flush()
        tickets = [producer.append(text) for text in TEXTS]
        producer.flush(DEADLINE_S)
        assert all(ticket.is_done for ticket in tickets)
        assert cluster.messages == TEXTS


def test_answers_that_are_lost_make_no_copies(cluster: FakeCluster) -> None:
    cluster.fail(URLS[0], break_off, break_off)
    with blocking(cluster) as client:
        with Producer(client, batch_entries=10, linger=60) as producer:
            tickets = [producer.append(text) for text in TEXTS]
        assert tickets[0].result(0).is_replayed
        assert not tickets[-1].result(0).is_replayed
    assert cluster.messages == TEXTS


def test_an_append_waits_while_the_buffer_is_full(cluster: FakeCluster) -> None:
    gate = Gate(cluster)
    taken: list[str] = []

    def append_all(producer: Producer) -> None:
        for text in TEXTS:
            producer.append(text)
            taken.append(text)

    with (
        Client(URLS, transport=httpx2.MockTransport(gate)) as client,
        Producer(client, batch_entries=1, linger=0, buffer_bytes=500) as producer,
    ):
        appending = threading.Thread(target=append_all, args=(producer,))
        appending.start()
        wait_until(lambda: len(taken) >= 5, "the buffer is full")  # 105 bytes each, all in all
        appending.join(0.1)
        assert len(taken) == 5
        gate.is_open.set()
        appending.join(DEADLINE_S)
    assert cluster.messages == TEXTS


def test_nothing_overtakes_a_batch_that_failed(cluster: FakeCluster) -> None:
    gate = Gate(cluster)
    cluster.fail(URLS[0], answer(problem("idempotency-key-reused", id=1)))
    with Client(URLS[0], transport=httpx2.MockTransport(gate)) as client:
        producer = Producer(client, batch_entries=10, linger=60)
        tickets = [producer.append(text) for text in TEXTS]
        gate.is_open.set()
        with pytest.raises(KeyReusedError):
            producer.flush(DEADLINE_S)
        with pytest.raises(KeyReusedError):
            tickets[9].result(DEADLINE_S)
        with pytest.raises(NotSentError):
            tickets[10].result(DEADLINE_S)
        with pytest.raises(KeyReusedError):
            producer.append("x")
        with pytest.raises(KeyReusedError):
            producer.close()
    assert cluster.messages == []


def test_a_defect_of_the_sender_leaves_nobody_waiting(cluster: FakeCluster) -> None:
    def defect(request: httpx2.Request) -> httpx2.Response:
        raise ZeroDivisionError

    raised: list[type[BaseException] | None] = []
    before, threading.excepthook = threading.excepthook, lambda hook: raised.append(hook.exc_type)
    try:
        with Client(URLS, transport=httpx2.MockTransport(defect)) as client:
            producer = Producer(client, linger=0)
            ticket = producer.append("x")
            with pytest.raises(InDoubtError):
                ticket.result(DEADLINE_S)
            with pytest.raises(InDoubtError):
                producer.close()
    finally:
        threading.excepthook = before
    assert raised == [ZeroDivisionError]


def test_a_closed_producer_takes_no_more(cluster: FakeCluster) -> None:
    with blocking(cluster) as client:
        producer = Producer(client)
        producer.close()
        producer.close()
        with pytest.raises(ClosedError):
            producer.append("x")


def test_a_result_that_does_not_come_in_time_is_said(cluster: FakeCluster) -> None:
    gate = Gate(cluster)
    with (
        Client(URLS, transport=httpx2.MockTransport(gate)) as client,
        Producer(client, linger=0) as producer,
    ):
        ticket = producer.append("x")
        with pytest.raises(TimeoutError):
            ticket.result(0.01)
        with pytest.raises(TimeoutError):
            producer.flush(0.01)
        gate.is_open.set()


# --- on asyncio ---------------------------------------------------------------------------------


def test_awaited_appends_become_few_requests_in_order(cluster: FakeCluster) -> None:
    async def scenario() -> list[int]:
        async with on_asyncio(cluster) as client:
            async with AsyncProducer(client, batch_entries=10, linger=60) as producer:
                tickets = [await producer.append(text) for text in TEXTS]
            return [(await ticket).id for ticket in tickets]

    assert asyncio.run(scenario()) == list(range(1, 26))
    assert cluster.messages == TEXTS
    assert len(cluster.requests) == 3


def test_an_awaited_flush_and_linger_do_what_the_blocking_ones_do(cluster: FakeCluster) -> None:
    async def scenario() -> None:
        async with on_asyncio(cluster) as client:
            async with AsyncProducer(client, linger=0.001) as producer:
                assert (await (await producer.append("m1"))).id == 1
            async with AsyncProducer(client, linger=60) as producer:
                ticket = await producer.append("m2")
                await producer.flush()
                assert ticket.is_done
            with pytest.raises(ClosedError):
                await producer.append("m3")

    asyncio.run(scenario())
    assert cluster.messages == ["m1", "m2"]


def test_an_awaited_append_waits_while_the_buffer_is_full(cluster: FakeCluster) -> None:
    async def scenario() -> None:
        async with (
            on_asyncio(cluster) as client,
            AsyncProducer(client, batch_entries=1, linger=0, buffer_bytes=500) as producer,
        ):
            tickets = [await producer.append(text) for text in TEXTS]
            assert tickets[15].is_done

    asyncio.run(scenario())
    assert cluster.messages == TEXTS


def test_nothing_overtakes_an_awaited_batch_that_failed(cluster: FakeCluster) -> None:
    cluster.fail(URLS[0], answer(problem("idempotency-key-reused", id=1)))

    async def scenario() -> None:
        async with AsyncClient(URLS[0], transport=httpx2.MockTransport(cluster)) as client:
            producer = AsyncProducer(client, batch_entries=30, linger=60)
            tickets = [await producer.append(text) for text in TEXTS]
            with pytest.raises(KeyReusedError):
                await producer.flush()
            with pytest.raises(KeyReusedError):
                await tickets[0]
            with pytest.raises(KeyReusedError):
                await producer.append("x")
            with pytest.raises(KeyReusedError):
                await producer.close()

    asyncio.run(scenario())


def test_a_cancelled_wait_for_a_ticket_cancels_nothing_else(cluster: FakeCluster) -> None:
    async def scenario() -> None:
        async with on_asyncio(cluster) as client:
            async with AsyncProducer(client, linger=60) as producer:
                ticket = await producer.append("m1")
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await ticket
            assert (await ticket).id == 1

    asyncio.run(scenario())
