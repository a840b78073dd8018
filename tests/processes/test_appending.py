"""Batches, idempotency keys, conditions and receipts on real nodes (P2, P6).

SHELL.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import httpx2

from replog.core.entry import TICK_S
from tests.support import stories
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, call, replog, wait_live
from tests.support.waiting import DEADLINE_S, wait_until


def post(
    cluster: ProcessCluster,
    body: bytes | str,
    *,
    query: str = "",
    headers: dict[str, str] | None = None,
    node: str = MASTER,
) -> httpx2.Response:
    """Append on a connection of its own."""
    url = f"{cluster.url(node)}/logs{query}"
    with httpx2.Client(timeout=DEADLINE_S, trust_env=False, verify=False) as client:
        return client.post(
            url, content=body, headers={"content-type": "application/json", **(headers or {})}
        )


def replay(cluster: ProcessCluster, body: str, key: str) -> dict[str, object]:
    """Append again what is stored already; return the answer."""
    answer = post(cluster, body, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (200, "true"), (
        answer.text
    )
    value = answer.json()
    assert isinstance(value, dict)
    return value


def test_a_key_holds_over_kill_9_a_restart_and_a_change_of_the_master(tmp_path: Path) -> None:
    one, two = '{"message":"one"}', '[{"message":"a"},{"message":"b"}]'
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        for body, key in ((one, "one"), (two, "two")):
            answer = post(cluster, body, headers={"Idempotency-Key": key})
            assert answer.status_code == 200
            assert "idempotency-replayed" not in answer.headers
        cluster.kill(MASTER)
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        _check_keys(cluster, one, two)
        cluster.stop(MASTER)
        cluster.empty(MASTER)
        _restore(cluster)
        _check_keys(cluster, one, two)
        assert stories.last_id(cluster, MASTER) == 3
        stories.wait_equal(cluster)
        cluster.verify()


def _check_keys(cluster: ProcessCluster, one: str, two: str) -> None:
    assert replay(cluster, one, "one")["log"] == {"id": 1, "message": "one"}
    batch = replay(cluster, two, "two")
    assert (batch["first"], batch["last"], batch["count"]) == (2, 3, 2)
    refused = post(cluster, '{"message":"other"}', headers={"Idempotency-Key": "one"})
    assert (refused.status_code, refused.json()["id"]) == (422, 1)


def _restore(cluster: ProcessCluster) -> None:
    """Make a master of another node id out of what the secondaries hold."""
    restored = replog("restore", "--from", cluster.url(S1), cluster.master.data)
    assert restored.returncode == 0, restored.stderr
    cluster.start(MASTER)
    wait_live(cluster, MASTER)


def test_a_retry_that_never_saw_an_answer_is_stored_once_under_kill_9(tmp_path: Path) -> None:
    """Clients send again and again under one key each, while the master dies and returns."""
    with ProcessCluster(tmp_path, secondaries=1) as cluster:
        cluster.start_all()
        ids: dict[int, int] = {}
        lost: list[httpx2.TransportError] = []

        def write(number: int) -> None:
            body, key = f'{{"message":"m{number}"}}', f"key-{number}"
            while True:
                try:
                    answer = post(cluster, body, headers={"Idempotency-Key": key}, query="?w=2")
                except httpx2.TransportError as error:
                    lost.append(error)
                    wait_live(cluster, MASTER)
                    continue
                if answer.status_code == 200:
                    ids[number] = answer.json()["log"]["id"]
                    return
                assert answer.status_code == 503, answer.text

        with ThreadPoolExecutor(16) as threads:
            writing = [threads.submit(write, number) for number in range(200)]
            for count in (20, 60, 100):
                wait_until(
                    lambda count=count: len(ids) >= count,  # type: ignore[misc]
                    f"{count} are stored",
                    explain=cluster.explain,
                )
                cluster.kill(MASTER)
                cluster.start(MASTER)
                wait_live(cluster, MASTER)
            for one in writing:
                one.result(DEADLINE_S)
        messages = stories.messages(cluster, MASTER)
        assert len(messages) == len(ids) == 200
        assert all(messages[entry_id - 1] == f"m{number}" for number, entry_id in ids.items())
        # One that could not connect has sent nothing that could be stored.
        assert not all(isinstance(error, httpx2.ConnectError) for error in lost), "no answer lost"


def test_a_receipt_waits_until_a_secondary_is_back_and_all_hold_the_same(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.stop(S2)
        pending = post(cluster, '{"message":"x","timeout":0}')
        assert pending.status_code == 202
        url = f"{cluster.url(MASTER)}/logs/1/acks"
        wait_until(lambda: call("GET", f"{url}?w=2").json()["met"], "one secondary holds it")
        unmet = call("GET", f"{url}?w=all&wait=0.05").json()
        assert (unmet["met"], unmet["required"], len(unmet["acks"])) == (False, 3, 2)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(call, "GET", f"{url}?w=all&wait={DEADLINE_S}")
            began = time.time()
            cluster.start(S2)
            receipt = waiting.result(DEADLINE_S).json()
        assert receipt["met"]
        assert [one["url"] for one in receipt["acks"]] == [
            cluster.url(node) for node in (MASTER, S1, S2)
        ]
        assert len({one["head"] for one in receipt["acks"]}) == 1
        assert len({one["node_id"] for one in receipt["acks"]}) == 3
        assert all(one["last_id"] == 1 for one in receipt["acks"])
        since = [datetime.fromisoformat(one["since"]).timestamp() for one in receipt["acks"]]
        assert max(since[:2]) < began + TICK_S
        assert began - TICK_S < since[2] < time.time() + TICK_S
        elsewhere = call("GET", f"{cluster.url(S1)}/logs/1/acks")
        assert elsewhere.status_code == 421
        assert elsewhere.json()["master"] == cluster.url(MASTER)


def test_the_largest_batches_are_stored_on_all_nodes(tmp_path: Path) -> None:
    """The second one is as much longer in the log as can be: keys, and nothing else."""
    largest = [{"message": f"{number:06}" + "x" * 1640} for number in range(10_000)]
    growing = [{"message": "", "key": f"{number:05}" + "k" * 240} for number in range(10_000)]
    body = as_lines(largest)
    body += " " * (16 * 1024 * 1024 - len(body))
    assert len(body) == 16 * 1024 * 1024
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        for batch, first in ((body, 1), (as_lines(growing), 10_001)):
            answer = post(cluster, batch, headers={"content-type": "application/x-ndjson"})
            assert answer.status_code == 200, answer.text
            assert (answer.json()["first"], answer.json()["count"]) == (first, 10_000)
        stories.wait_equal(cluster)
        expected = [entry["message"] for entry in (*largest, *growing)]
        assert stories.messages(cluster, S1) == expected
        cluster.verify()


def as_lines(entries: list[dict[str, str]]) -> str:
    return "\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)


def test_a_batch_that_is_killed_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    """Each batch of 100 under its own hash: what the log holds are whole batches."""
    with ProcessCluster(tmp_path, secondaries=1) as cluster:
        cluster.start_all()
        stop = threading.Event()

        def write(name: str) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                digest = hashlib.sha256(f"{name} {number}".encode()).hexdigest()
                body = json.dumps([{"message": f"{digest} {place}"} for place in range(100)])
                try:
                    post(cluster, body, query="?w=1")
                except httpx2.TransportError:
                    wait_live(cluster, MASTER)

        with ThreadPoolExecutor(4) as threads:
            writing = [threads.submit(write, f"writer {number}") for number in range(4)]
            for _ in range(3):
                _wait_for_more(cluster)
                cluster.kill(MASTER)
                cluster.start(MASTER)
                wait_live(cluster, MASTER)
            stop.set()
            for one in writing:
                one.result(DEADLINE_S)
        messages = stories.messages(cluster, MASTER)
        assert len(messages) % 100 == 0
        for start in range(0, len(messages), 100):
            digest = messages[start].split()[0]
            expected = [f"{digest} {place}" for place in range(100)]
            assert messages[start : start + 100] == expected


def _wait_for_more(cluster: ProcessCluster) -> None:
    before = stories.last_id(cluster, MASTER)
    wait_until(
        lambda: stories.last_id(cluster, MASTER) > before,
        "batches are stored",
        explain=cluster.explain,
    )
