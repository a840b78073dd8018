"""What a client says of an append that may be stored: always its key, so that it stays one."""

from __future__ import annotations

import asyncio
import socket

import httpx2
import pytest

from replog.client import (
    AsyncClient,
    Client,
    ClosedError,
    InDoubtError,
    InternalError,
    KeyReusedError,
    NotANodeError,
    NotTheMasterError,
    PreconditionFailedError,
    UnreachableError,
)
from tests.client.both import MakeClient
from tests.client.desk import Desk
from tests.client.fake_cluster import URLS, FakeCluster, Fault, answer, break_off, problem

A = URLS[0]


def internal_error(cluster: FakeCluster, request: httpx2.Request) -> httpx2.Response:
    """A defect that a node met after it had stored the append."""
    cluster.perform(request)
    return problem("internal-error")


def page_of_a_proxy(cluster: FakeCluster, request: httpx2.Request) -> httpx2.Response:
    """An answer that a proxy put its own in place of."""
    cluster.perform(request)
    return httpx2.Response(200, text="<html>")


def test_an_append_that_met_a_defect_of_the_node_is_sent_again_and_stored_once(desk: Desk) -> None:
    desk.cluster.fail(A, internal_error)
    with desk.client(A) as client:
        stored = client.append("m1")
    assert (stored.id, stored.is_replayed) == (1, True)
    assert desk.cluster.messages == ["m1"]


def test_an_append_that_only_ever_meets_a_defect_ends_with_its_key(desk: Desk) -> None:
    desk.cluster.always[A] = internal_error
    with desk.client(A, retry_for=0.1) as client, pytest.raises(InDoubtError) as caught:
        client.append("m1")
    assert isinstance(caught.value.__cause__, InternalError)
    assert caught.value.key in desk.cluster.id_of_key


@pytest.mark.parametrize(
    "then",
    [
        answer(httpx2.Response(404, text="a proxy")),
        answer(httpx2.Response(302, text="a proxy")),
        answer(httpx2.Response(200, text="a proxy")),
        answer(problem("too-large", limit=1)),
        answer(problem("bad-write-concern")),
    ],
)
def test_a_lost_answer_is_not_forgotten_when_the_next_try_is_refused(
    desk: Desk, then: Fault
) -> None:
    desk.cluster.fail(A, break_off, then)
    with desk.client(A) as client:
        with pytest.raises(InDoubtError) as caught:
            client.append("m1")
        assert caught.value.key is not None
        again = client.append("m1", key=caught.value.key)
        assert (again.id, again.is_replayed) == (1, True)
        desk.cluster.fail(A, break_off, then)
        with pytest.raises(InDoubtError) as caught:
            client.append_many(["m2", "m3"])
        assert client.append_many(["m2", "m3"], key=caught.value.key).is_replayed
    assert desk.cluster.messages == ["m1", "m2", "m3"]


def test_a_good_answer_that_is_no_nodes_leaves_a_doubt(desk: Desk) -> None:
    desk.cluster.fail(A, page_of_a_proxy)
    with desk.client(A) as client:
        with pytest.raises(InDoubtError, match="does not answer as a node") as caught:
            client.append("m1")
        assert isinstance(caught.value.__cause__, NotANodeError)
        assert client.append("m1", key=caught.value.key).is_replayed
    assert desk.cluster.messages == ["m1"]


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (problem("precondition-failed", last_id=7), PreconditionFailedError),
        (problem("idempotency-key-reused", id=7), KeyReusedError),
    ],
)
def test_what_a_node_says_after_it_looked_for_the_key_ends_the_doubt(
    desk: Desk, refusal: httpx2.Response, kind: type[Exception]
) -> None:
    desk.cluster.fail(A, answer(httpx2.Response(502, text="a proxy")), answer(refusal))
    with desk.client(A) as client, pytest.raises(kind):
        client.append("m1", expect=5)


def test_a_read_that_meets_a_defect_goes_on_at_another_node(desk: Desk) -> None:
    desk.cluster.messages = ["m1"]
    desk.cluster.always[A] = answer(problem("internal-error"))
    with desk.client(A, URLS[1]) as client:
        assert client.get(1).message == "m1"


def test_a_receipt_that_is_no_nodes_is_said_and_never_in_doubt(desk: Desk) -> None:
    desk.cluster.fail(A, break_off, answer(httpx2.Response(200, text="a proxy")))
    with desk.client(A) as client, pytest.raises(NotANodeError):
        client.acks(1)


def test_an_append_in_doubt_keeps_its_key_when_its_client_is_closed() -> None:
    cluster = FakeCluster()

    def lose_and_close(request: httpx2.Request) -> httpx2.Response:
        client.close()  # as another thread would
        return break_off(cluster, request)

    client = Client(A, transport=httpx2.MockTransport(lose_and_close))
    with pytest.raises(InDoubtError) as caught:
        client.append("m1")
    assert caught.value.key in cluster.id_of_key
    with pytest.raises(ClosedError):  # nothing of this one left
        client.append("m2")


def test_an_awaited_append_in_doubt_keeps_its_key_when_its_client_is_closed() -> None:
    cluster = FakeCluster()

    async def lose_and_close(request: httpx2.Request) -> httpx2.Response:
        await client.close()
        return break_off(cluster, request)

    async def scenario() -> None:
        with pytest.raises(InDoubtError) as caught:
            await client.append("m1")
        assert caught.value.key in cluster.id_of_key
        with pytest.raises(ClosedError):
            await client.append("m2")

    client = AsyncClient(A, transport=httpx2.MockTransport(lose_and_close))
    asyncio.run(scenario())


@pytest.mark.parametrize("named", ["http://a:99999", "http://[::1", "ftp://a", "a", "http://a?x"])
def test_a_master_whose_name_is_no_url_is_not_asked(desk: Desk, named: str) -> None:
    desk.cluster.always[A] = answer(problem("not-the-master", master=named))
    desk.cluster.master = URLS[1]
    with desk.client(A, URLS[1]) as client:
        assert client.append("m1").id == 1
    with desk.client(A, retry_for=0) as client, pytest.raises(NotTheMasterError):
        client.append("m2")


def test_what_can_never_be_sent_is_said_at_once_and_stores_nothing(make_client: MakeClient) -> None:
    def refuse_to_write(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.LocalProtocolError("Illegal header value")

    transport = httpx2.MockTransport(refuse_to_write)
    with make_client(A, transport=transport) as client:
        with pytest.raises(UnreachableError, match="Illegal header value"):
            client.append("m1")
        with pytest.raises(UnreachableError, match="Illegal header value"):
            client.get(1)


def unresolved() -> httpx2.ConnectError:
    error = httpx2.ConnectError("[Errno -2] Name or service not known")
    error.__cause__ = socket.gaierror(-2, "Name or service not known")
    return error


def test_it_says_why_no_node_can_be_reached(make_client: MakeClient) -> None:
    said = "connection refused: nothing listens there"
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with make_client(url, retry_for=0) as client, pytest.raises(UnreachableError, match=said):
            client.append("m1")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (unresolved(), "the name does not resolve: Name or service not known"),
        (httpx2.ConnectTimeout("timed out"), "no connection in time"),
        (httpx2.ReadTimeout("timed out"), "no answer in time"),
        (httpx2.ReadError("odd"), "ReadError odd"),
    ],
)
def test_it_says_what_a_request_died_of(
    make_client: MakeClient, error: httpx2.HTTPError, said: str
) -> None:
    def die(request: httpx2.Request) -> httpx2.Response:
        raise error

    transport = httpx2.MockTransport(die)
    client = make_client(A, transport=transport, retry_for=0)
    with client, pytest.raises(UnreachableError, match=said):
        client.get(1)


@pytest.mark.parametrize("url", ["http://a" + 300 * "b" + ".ы", "http://xn--ы"])
def test_a_host_that_cannot_be_looked_up_is_an_error_of_the_client(
    make_client: MakeClient, url: str
) -> None:
    with make_client(url, retry_for=0) as client, pytest.raises(UnreachableError):
        client.append("m1")
