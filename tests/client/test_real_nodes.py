"""Clients and real nodes: kills and restarts, and what is stored in the end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sized
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from unittest.mock import Mock

import pytest

from replog.client import (
    AsyncClient,
    Client,
    Entry,
    KeyReusedError,
    NotFreshError,
    PreconditionFailedError,
    Producer,
    RequestError,
    UnknownIdError,
)
from replog.testing import LocalCluster
from tests.client.both import MakeClient
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, answers, clean_environment
from tests.support.waiting import DEADLINE_S, wait_until

pytestmark = pytest.mark.processes

BATCHES = 60
BATCH = 20


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ProcessCluster]:
    with ProcessCluster(tmp_path) as running:
        yield running.start_all()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessCluster]:
    """A master without secondaries, for what one node decides."""
    with ProcessCluster(tmp_path_factory.mktemp("alone"), secondaries=0) as running:
        yield running.start_all()


@contextmanager
def in_background(work: Callable[[], None]) -> Iterator[threading.Thread]:
    """Run `work` in a thread and wait for its end; what it raises is raised here."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    yield thread
    thread.join(2 * DEADLINE_S)
    assert not thread.is_alive(), "it does not end"
    if raised:
        raise raised[0]


def restart_at(cluster: ProcessCluster, name: str, done: Sized, count: int) -> None:
    """Kill a node as soon as so much is done, and start it again."""
    wait_until(lambda: len(done) >= count, f"{count} are done", explain=cluster.explain)
    cluster.kill(name)
    cluster.start(name)


def test_batches_are_stored_once_and_in_order_while_the_master_is_killed(
    cluster: ProcessCluster, make_client: MakeClient
) -> None:
    done: list[range] = []
    sent = [[f"{batch}.{number}" for number in range(BATCH)] for batch in range(BATCHES)]

    def append_all() -> None:
        with make_client(cluster.urls, retry_for=DEADLINE_S) as client:
            for messages in sent:
                stored = client.append_many(messages, w="majority")
                done.append(stored.ids)

    with in_background(append_all):
        for count in (10, 25, 40):
            restart_at(cluster, MASTER, done, count)
    with Client(cluster.urls) as client:
        entries = list(client.read(min_id=BATCHES * BATCH))
    assert [entry.message for entry in entries] == [text for batch in sent for text in batch]
    assert [entry.id for entry in entries] == [id_ for ids in done for id_ in ids]


def test_a_follower_gets_each_entry_once_over_restarts_of_every_node(
    cluster: ProcessCluster, make_client: MakeClient
) -> None:
    total = 300
    followed: list[Entry] = []

    def follow() -> None:
        with make_client(cluster.urls) as client:
            following = client.follow(1)
            followed.extend(islice(following, total))
            following.close()

    def append_all() -> None:
        with Client(cluster.urls, retry_for=DEADLINE_S) as client:
            for number in range(total):
                client.append(str(number), w=1)

    with in_background(follow), in_background(append_all):
        for count, name in ((50, S1), (100, MASTER), (150, S2)):
            restart_at(cluster, name, followed, count)
    assert followed == [Entry(number + 1, str(number)) for number in range(total)]


def test_a_producer_loses_and_doubles_nothing_while_the_master_is_killed(
    cluster: ProcessCluster,
) -> None:
    sent = [f"entry {number}" for number in range(100_000)]
    with Client(cluster.urls, retry_for=DEADLINE_S) as client:
        with Producer(client, w="majority", batch_entries=500) as producer:
            tickets = [producer.append(text) for text in sent[:50_000]]
            tickets[5_000].result(DEADLINE_S)
            assert not tickets[-1].is_done
            cluster.kill(MASTER)
            cluster.start(MASTER)
            tickets += [producer.append(text) for text in sent[50_000:]]
        assert [ticket.result(0).id for ticket in tickets] == list(range(1, len(sent) + 1))
        assert [entry.message for entry in client.read(page=10_000)] == sent


def test_a_client_reads_its_own_writes_at_a_slow_secondary(tmp_path: Path) -> None:
    slow = {S1: ["--delay", "0.3"]}
    with (
        ProcessCluster(tmp_path, secondaries=1, secondary_options=slow) as cluster,
        Client(cluster.url(S1)) as client,  # which names its master for appends
    ):
        cluster.start_all()
        stored = client.append("mine", w=1)
        assert client.get(stored.id) == Entry(stored.id, "mine")
        assert list(client.read(last=1)) == [Entry(stored.id, "mine")]
        assert client.calls.nodes.to_read() == [cluster.url(S1)]


def test_every_argument_of_a_read_is_understood_by_real_nodes(
    cluster: ProcessCluster, make_client: MakeClient
) -> None:
    with make_client(cluster.urls[1:] + cluster.urls[:1]) as client:
        ids = client.append_many([f"m{number}" for number in range(10)], w="all").ids
        assert [entry.id for entry in client.read(level="master", page=3)] == list(ids)
        assert [entry.id for entry in client.read(4, 3, max_lag=60.0, page=2)] == [4, 5, 6]
        assert [entry.id for entry in client.read(last=2)] == [9, 10]
        assert [entry.id for entry in client.read(since="2020-01-01T00:00:00Z", page=4)] == list(
            ids
        )
        assert list(client.read(since="2120-01-01T00:00:00Z")) == []
        assert list(client.read(limit=0)) == []
        assert client.get(3, min_id=10, max_lag=60.0, level="master").message == "m2"
        with pytest.raises(NotFreshError):
            client.get(3, min_id=11, timeout=0)
        with pytest.raises(UnknownIdError):
            client.get(11)
        with pytest.raises(RequestError):
            list(client.read(since="yesterday"))


def test_compare_and_append_and_keys_of_ones_own_work_with_real_nodes(
    cluster: ProcessCluster, make_client: MakeClient
) -> None:
    with make_client(cluster.urls) as client:
        first = client.append("ключ", key="ключ 1", expect=0)
        again = client.append("ключ", key="ключ 1", expect=0)
        assert (again.id, again.is_replayed) == (first.id, True)
        with pytest.raises(KeyReusedError) as reused:
            client.append("other", key="ключ 1")
        assert reused.value.id == first.id
        with pytest.raises(PreconditionFailedError) as failed:
            client.append("late", expect=0)
        assert failed.value.last_id == first.id
        batch = client.append_many(["a", "b"], keys=["k1", "k2"], expect=first.id, w="majority")
        assert (list(batch.ids), batch.key) == ([2, 3], None)
        assert client.append("b", key="k2").id == 3
        with pytest.raises(RequestError):
            client.append("x", w=9)


def test_the_batch_of_a_producer_is_known_again_when_it_is_repeated(alone: ProcessCluster) -> None:
    with Client(alone.urls) as client:
        begin = client.append("before").id
        with Producer(client, batch_entries=3, linger=60) as producer:
            tickets = [producer.append(text) for text in ("a", 'b"', "ы", "alone")]
        stored = [ticket.result(0) for ticket in tickets]
        assert client.append_many(["a", 'b"', "ы"], key=stored[0].key).is_replayed
        assert client.append_many(["alone"], key=stored[3].key).is_replayed
        with pytest.raises(KeyReusedError):
            client.append("a", key=stored[0].key)
        assert [entry.message for entry in client.read(begin + 1)] == ["a", 'b"', "ы", "alone"]


@pytest.mark.parametrize("key", ['"k1"', '"k1', "k1", "k1 ", " k1", "ключ", "a+b%20&c=d", "\t"])
def test_the_key_of_a_batch_is_taken_as_it_stands(alone: ProcessCluster, key: str) -> None:
    with Client(alone.urls, retry_for=0) as client:
        stored = client.append_many([f"of {key!r}", "x"], key=key)
        assert not stored.is_replayed
        assert client.append_many([f"of {key!r}", "x"], key=key).ids == stored.ids


def test_threads_share_a_client(cluster: ProcessCluster) -> None:
    ids: list[int] = []
    with Client(cluster.urls) as client:

        def append_some() -> None:
            for number in range(20):
                stored = client.append(str(number), w="majority")
                ids.append(stored.id)
                assert client.get(stored.id).message == str(number)

        with ExitStack() as threads:
            for _ in range(8):
                threads.enter_context(in_background(append_some))
    assert sorted(ids) == list(range(1, 161))


def test_the_status_of_a_real_cluster_is_read(cluster: ProcessCluster) -> None:
    with Client(cluster.urls[0]) as client:
        client.append("hello", w="all")
        status = client.status()
    assert [node.role for node in status.nodes] == ["master", "secondary", "secondary"]
    assert {node.last_id for node in status.nodes} == {1}
    assert status.unreachable == {}


# --- the cluster for tests ----------------------------------------------------------------------


def test_a_cluster_keeps_its_data_over_restarts_and_removes_it_at_its_end() -> None:
    with LocalCluster(1) as cluster, Client(cluster.urls) as client:
        client.append("hello", w="all")
        for name in cluster.names:
            cluster.kill(name)
        assert not any(map(cluster.is_running, cluster.names))
        with pytest.raises(RuntimeError, match="ended already"):
            cluster.stop("master")
        for name in cluster.names:
            cluster.start(name)
        with pytest.raises(RuntimeError, match="runs already"):
            cluster.start("master")
        assert [entry.message for entry in client.read()] == ["hello"]
        assert "master" in cluster.log("master")
    assert not cluster.directory.exists()
    assert not answers(f"{cluster.urls[0]}/livez")


def test_a_node_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(RuntimeError, match="--no-such-option"),
        LocalCluster(0, master_options=["--no-such-option"]),
    ):
        pytest.fail("it cannot come up")


def test_a_cluster_ends_with_its_process_however_that_dies(tmp_path: Path) -> None:
    code = (
        "import os, signal; from replog.testing import LocalCluster\n"
        "cluster = LocalCluster(1, directory=os.environ['DIRECTORY']).__enter__()\n"
        "print(cluster.urls[0], flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment({"DIRECTORY": str(tmp_path)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    url = done.stdout.strip()
    assert url, done.stderr
    wait_until(lambda: not answers(f"{url}/livez"), "the nodes end")


def test_calls_one_after_the_other_share_a_connection(
    alone: ProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Mock(wraps=socket.create_connection)
    monkeypatch.setattr(socket, "create_connection", connect)
    with Client(alone.urls) as client:
        for number in range(20):
            client.get(client.append(str(number)).id)
        list(client.read(page=5))
    assert connect.call_count == 1


def test_tasks_share_an_awaited_client(cluster: ProcessCluster) -> None:
    async def story() -> list[int]:
        async with AsyncClient(cluster.urls) as client:

            async def one(number: int) -> int:
                stored = await client.append(str(number), w="majority")
                assert (await client.get(stored.id)).message == str(number)
                return stored.id

            return await asyncio.gather(*map(one, range(100)))

    assert sorted(asyncio.run(story())) == list(range(1, 101))
