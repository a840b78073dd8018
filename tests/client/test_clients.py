"""What both clients do, against a cluster that is made up."""

from __future__ import annotations

from itertools import islice

import httpx2
import pytest

from replog.client import (
    Client,
    Entry,
    InDoubtError,
    KeyReusedError,
    NotANodeError,
    NotFreshError,
    NotTheMasterError,
    PreconditionFailedError,
    SupersededError,
    UnknownIdError,
    UnreachableError,
)
from replog.client.ops import Chunk, Flow, More, Open, Opened, Request
from replog.client.urls import urls_of
from tests.client.desk import Desk
from tests.client.fake_cluster import (
    URLS,
    FakeCluster,
    Fault,
    answer,
    break_off,
    line,
    problem,
    refuse,
    stream,
)

A, B, C = URLS


def entries(*ids: int) -> list[Entry]:
    return [Entry(number, f"m{number}") for number in ids]


def messages(count: int) -> list[str]:
    return [f"m{number}" for number in range(1, count + 1)]


def test_an_append_finds_the_master_and_stays_with_it(desk: Desk) -> None:
    with desk.client(B, A) as client:
        assert client.append("m1").id == 1
        assert client.append("m2").id == 2
    assert desk.cluster.asked() == ["POST b/logs", "POST a/logs", "POST a/logs"]


def test_the_master_is_found_through_a_secondary_alone(desk: Desk) -> None:
    with desk.client(B) as client:
        assert client.append("m1").id == 1
    assert desk.cluster.asked() == ["POST b/logs", "POST a/logs"]


def test_a_new_master_is_found_after_the_old_one_went(desk: Desk) -> None:
    with desk.client() as client:
        client.append("m1")
        desk.cluster.master = C
        desk.cluster.always[A] = refuse
        assert client.append("m2").id == 2
    assert desk.cluster.asked()[1:] == ["POST a/logs", "POST b/logs", "POST c/logs"]


def test_an_append_without_an_answer_is_sent_again_and_stored_once(desk: Desk) -> None:
    desk.cluster.fail(A, break_off)
    with desk.client(A) as client:
        stored = client.append("m1")
    assert (stored.id, stored.is_replayed) == (1, True)
    assert desk.cluster.messages == ["m1"]


def test_a_batch_without_an_answer_is_sent_again_and_stored_once(desk: Desk) -> None:
    desk.cluster.fail(A, break_off, answer(httpx2.Response(502, text="a proxy")))
    with desk.client(A) as client:
        stored = client.append_many(["m1", "m2"])
    assert (list(stored.ids), stored.is_replayed) == ([1, 2], True)
    assert desk.cluster.messages == ["m1", "m2"]


@pytest.mark.parametrize(
    "fault",
    [
        break_off,
        answer(httpx2.Response(500, text="a proxy")),
        answer(httpx2.Response(504, text="a proxy")),
    ],
)
def test_an_append_is_in_doubt_when_no_node_said_what_became_of_it(
    desk: Desk, fault: Fault
) -> None:
    desk.cluster.fail(A, fault)
    desk.cluster.always[A] = refuse
    with desk.client(A, retry_for=0.1) as client, pytest.raises(InDoubtError) as caught:
        client.append("m1")
    assert caught.value.key is not None
    desk.cluster.always.clear()
    with desk.client(A) as client:
        assert client.append("m1", key=caught.value.key).id == 1
    assert desk.cluster.messages == ["m1"]


def test_nothing_is_in_doubt_where_no_request_left(desk: Desk) -> None:
    desk.cluster.always = dict.fromkeys(URLS, refuse)
    with desk.client(retry_for=0.1) as client, pytest.raises(UnreachableError):
        client.append("m1")


def test_a_node_that_comes_back_is_found_within_the_time(desk: Desk) -> None:
    desk.cluster.fail(A, refuse, refuse, answer(problem("not-ready")))
    with desk.client(A) as client:
        assert client.append("m1").id == 1


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (problem("precondition-failed", last_id=7), PreconditionFailedError),
        (problem("idempotency-key-reused", id=7), KeyReusedError),
        (httpx2.Response(404, text="a web server"), NotANodeError),
    ],
)
def test_an_honest_no_is_not_asked_again(
    desk: Desk, response: httpx2.Response, kind: type[Exception]
) -> None:
    desk.cluster.fail(A, answer(response))
    with desk.client(A) as client, pytest.raises(kind):
        client.append("m1")
    assert len(desk.cluster.requests) == 1


def test_a_superseded_master_is_an_error_only_where_nobody_else_is_there(desk: Desk) -> None:
    desk.cluster.always[B] = answer(problem("superseded"))
    with desk.client(B) as client, pytest.raises(SupersededError):
        client.append("m1")
    with desk.client(B, A) as client:
        assert client.append("m1").id == 1


def test_secondaries_that_name_each_other_are_asked_once_a_round(desk: Desk) -> None:
    desk.cluster.always[A] = answer(problem("not-the-master", master=B))
    desk.cluster.always[B] = answer(problem("not-the-master", master=A))
    with desk.client(A, B, retry_for=0) as client, pytest.raises(NotTheMasterError) as caught:
        client.append("m1")
    assert caught.value.master in {A, B}
    assert len(desk.cluster.requests) == 2


def test_a_read_goes_page_by_page_and_only_as_far_as_it_is_asked(desk: Desk) -> None:
    desk.cluster.messages = messages(7)
    with desk.client(A) as client:
        pages = client.read(page=3)
        assert list(islice(pages, 4)) == entries(1, 2, 3, 4)
        assert len(desk.cluster.requests) == 2
        desk.cluster.messages.append("m8")  # after the read began
        assert list(pages) == entries(5, 6, 7)
        assert list(client.read(3, 2)) == entries(3, 4)
        assert list(client.read(last=2)) == entries(7, 8)
        assert list(client.read(9)) == []


def limits_of(cluster: FakeCluster) -> list[int]:
    asked = [int(request.url.params["limit"]) for request in cluster.requests]
    cluster.requests.clear()
    return asked


def test_pages_grow_until_they_are_large(desk: Desk) -> None:
    desk.cluster.messages = messages(11_000)
    with desk.client(A) as client:
        assert [entry.id for entry in client.read()] == list(range(1, 11_001))
    assert limits_of(desk.cluster) == [100, 10_000, 900]


def test_pages_of_large_entries_are_small_and_cut_where_they_are_not(desk: Desk) -> None:
    desk.cluster.messages = 110 * ["x" * 500_000]
    with desk.client(A) as client:
        assert [entry.id for entry in client.read(91)] == list(range(91, 111))
        assert limits_of(desk.cluster) == [100, 3, 1]  # the first was cut behind 8 MiB
        assert [entry.id for entry in client.read(page=108)] == list(range(1, 111))
        assert limits_of(desk.cluster)[:2] == [108, 94]


def test_an_entry_that_is_larger_than_a_page_is_read_alone(desk: Desk) -> None:
    huge = "x" * 9_000_000
    desk.cluster.messages = [huge, "small", huge]
    with desk.client(A) as client:
        assert [entry.message for entry in client.read()] == [huge, "small", huge]
    assert limits_of(desk.cluster) == [100, 1, 1, 1]


def test_a_read_goes_on_at_another_node_and_misses_nothing(desk: Desk) -> None:
    desk.cluster.messages = messages(6)
    desk.cluster.behind[B] = 4
    with desk.client() as client:
        pages = client.read(page=2, timeout=0)
        assert list(islice(pages, 2)) == entries(1, 2)
        desk.cluster.always[A] = refuse
        assert list(pages) == entries(3, 4, 5, 6)
    assert desk.cluster.asked()[-1].startswith("GET c/logs?from=5")


def test_a_client_reads_what_it_wrote_at_a_node_that_is_behind(desk: Desk) -> None:
    desk.cluster.behind[B] = 1
    with desk.client(B, A, reads_at=B) as client:
        client.append("m1")
        assert list(client.read(timeout=0)) == entries(1)
        assert client.get(1, timeout=0) == Entry(1, "m1")
    assert desk.cluster.asked()[2:4] == [
        "GET b/logs?from=1&limit=100&min_id=1&timeout=0.0",
        "GET a/logs?from=1&limit=100&min_id=1&timeout=0.0",
    ]


def test_a_client_gets_what_it_wrote_at_a_node_that_is_behind(desk: Desk) -> None:
    desk.cluster.messages = ["m1", "m2"]
    desk.cluster.behind[B] = 1
    with desk.client(B, A, reads_at=B) as client:
        client.append("m3")
        assert client.get(3, timeout=0) == Entry(3, "m3")
        desk.cluster.behind[A] = 3
        assert client.get(1, timeout=0) == Entry(1, "m1")


def test_a_read_that_no_node_is_fresh_enough_for_says_so(desk: Desk) -> None:
    desk.cluster.messages = ["m1"]
    with desk.client() as client, pytest.raises(NotFreshError) as caught:
        client.get(1, min_id=9, timeout=0)
    assert caught.value.committed_id == 1


def test_an_entry_that_is_not_there_is_said(desk: Desk) -> None:
    with desk.client() as client, pytest.raises(UnknownIdError) as caught:
        client.get(5)
    assert caught.value.committed_id == 0


def test_acks_and_waiting_are_asked_of_the_master(desk: Desk) -> None:
    with desk.client(B) as client:
        client.append("m1")
        assert client.acks(1).is_met
        assert [ack.url for ack in client.wait_for(1, w=3, timeout=5).nodes] == list(URLS)
    assert desk.cluster.asked()[2:] == ["GET a/logs/1/acks", "GET a/logs/1/acks?w=3&wait=5.0"]


def test_status_asks_every_node_also_those_that_the_master_names(desk: Desk) -> None:
    desk.cluster.always[C] = refuse
    with desk.client(A) as client:
        status = client.status()
    assert [node.url for node in status.nodes] == [A, B]
    assert status.master is not None
    assert status.master.url == A
    assert list(status.unreachable) == [C]


def test_a_stream_ends_with_the_flow_that_opened_it(desk: Desk) -> None:
    def peek() -> Flow[bytes]:
        assert isinstance((yield Open(A, Request("GET", "/logs/stream?from=1"), 5.0)), Opened)
        chunk = yield More()
        assert isinstance(chunk, Chunk)
        return chunk.data

    desk.cluster.fail(A, stream(line(1), line(2)))
    with desk.client(A) as client:
        if isinstance(client, Client):
            assert client.run(peek()) == line(1)
        else:
            assert client.runner.run(client.client.run(peek())) == line(1)
        assert desk.cluster.open_streams == 0


@pytest.mark.parametrize(
    "urls",
    [
        *("a:8000", "ftp://a", "http://", "http://a?x", "http://a b", "http://a\0", "http://[::1"),
        *("http://a:b", "http://a:99999", "http://a:0", "http://a:-1", []),
    ],
)
def test_what_is_no_url_is_refused_at_once(urls: str | list[str]) -> None:
    with pytest.raises(ValueError, match="URL of a node"):
        Client(urls)


def test_a_url_has_one_spelling() -> None:
    assert urls_of(["HTTP://a:1/", "https://[::1]:2/log//"]) == (
        "http://a:1",
        "https://[::1]:2/log",
    )


def test_wrong_arguments_are_refused_before_anything_is_sent(desk: Desk) -> None:
    with desk.client() as client:
        with pytest.raises(ValueError, match="at least one message"):
            client.append_many([])
        with pytest.raises(ValueError, match="as many keys"):
            client.append_many(["a", "b"], keys=["k"])
        with pytest.raises(ValueError, match="255 bytes"):
            client.append_many(["a"], key="")
        with pytest.raises(ValueError, match="255 bytes"):
            client.append("a", key=256 * "k")
        with pytest.raises(ValueError, match="one of from_, last and since"):
            client.read(1, last=2)
    assert desk.cluster.requests == []
