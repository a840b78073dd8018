"""What must stay bounded: memory with large entries, slow readers and clients that hang up (P10).

NETWORK. The bounds are stated; what is compared is resident memory before and after.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from replog.http.large_reads import LARGE_READS_MAX
from tests.support import stories
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, call, wait_live
from tests.support.connection import append_request
from tests.support.load import Load
from tests.support.waiting import wait_until


def test_messages_of_the_largest_size_reach_every_node_and_memory_stays_bounded(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        largest = "é" * (1 << 19)
        assert len(largest.encode()) == 1 << 20
        assert stories.append(cluster, largest, w="all") == 1
        refused = stories.try_append(cluster, largest + "x")
        assert refused.status_code == 413
        assert stories.append(cluster, '"\n\0\u2028😀\\', w="all") == 2
        zeros = "\0" * (1 << 20)
        assert stories.append(cluster, zeros, w="all") == 3
        padding = " " + (1 << 20) * "x"
        with Load(
            cluster.url(MASTER),
            prefix="m",
            clients=8,
            query="?w=all",
            total=100,
            padding=padding[: (1 << 20) - 16],
        ) as load:
            load.wait()
        assert load.count == 100, load.acknowledged.statuses
        stories.wait_equal(cluster)
        for node in cluster.nodes:
            assert cluster.node[node].memory_bytes() < 250 << 20, node
        told = {1: largest, 2: '"\n\0\u2028😀\\', 3: zeros}
        stories.check_history(cluster, load.acknowledged.messages | told)


READERS = LARGE_READS_MAX - 2  # large reads that may run, but for ours


@pytest.mark.parametrize("target", ["/logs", "/logs/stream?from=1"])
def test_readers_that_do_not_read_cost_no_memory_and_hold_up_nobody(
    tmp_path: Path, target: str
) -> None:
    with ProcessCluster(tmp_path, secondaries=0) as cluster:
        url = cluster.start_all().url(MASTER)
        padding = " " + 4_000 * "x"
        with Load(
            url, prefix="e", clients=64, query="?w=all", total=10_000, padding=padding
        ) as load:
            load.wait()
        call("GET", f"{url}/logs", timeout_s=stories.LONG_S)
        before = cluster.master.memory_bytes()
        readers = []
        try:
            for _ in range(READERS):
                reader = socket.create_connection(("127.0.0.1", cluster.master.port))
                readers.append(reader)
                reader.sendall(f"GET {target} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                reader.settimeout(30)
                assert reader.recv(12) == b"HTTP/1.1 200"
            assert stories.append(cluster, "meanwhile", w="all") == 10_001
            for _ in range(10):  # meanwhile it could read ahead
                call("GET", f"{url}/logs", timeout_s=stories.LONG_S)
                grown = cluster.master.memory_bytes() - before
                assert grown < 80 << 20, f"{grown / 1e6:.0f} MB for {READERS} readers of 40 MB each"
            cluster.stop(MASTER)
        finally:
            for reader in readers:
                reader.close()


def test_clients_that_hang_up_while_they_wait_leave_nothing_behind(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        for node in (MASTER, S1):
            cluster.start(node)
            wait_live(cluster, node)
        count = 500
        clients = []
        for number in range(count):
            client = socket.create_connection(("127.0.0.1", cluster.master.port))
            client.sendall(append_request(f"gone {number}", query="?w=3"))
            clients.append(client)
        wait_until(
            lambda: len(stories.messages(cluster, MASTER)) == count,
            "all of them are stored",
            explain=cluster.explain,
        )
        for client in clients:
            client.close()
        fds = Path(f"/proc/{cluster.master.pid}/fd")
        if fds.exists():
            wait_until(lambda: len(list(fds.iterdir())) < 100, "their connections are closed")
        assert stories.append(cluster, "next", w=2) == count + 1
        cluster.start(S2)
        shown = stories.messages(cluster, MASTER)
        stories.check_history(cluster, dict(enumerate(shown, 1)))


def test_beyond_the_limit_of_waiting_appends_new_ones_are_refused_before_they_are_stored(
    tmp_path: Path,
) -> None:
    options = ["--waiting-appends-max", "20"]
    with ProcessCluster(tmp_path, secondaries=1, master_options=options) as cluster:
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        with Load(cluster.url(MASTER), prefix="waits", clients=20, query="?w=2", total=20) as load:
            wait_until(lambda: len(stories.messages(cluster, MASTER)) == 20, "20 wait")
            refused = stories.try_append(cluster, "one too many", w=2)
            assert refused.status_code == 503, refused.text
            assert int(refused.headers["retry-after"]) >= 0
            assert json.loads(refused.text)["retryable"] is True
            assert len(stories.messages(cluster, MASTER)) == 20
            cluster.start(S1)
            load.wait()
        assert load.count == 20
        stories.check_history(cluster, load.acknowledged.messages)
