"""Settings of a node take effect: what is given on the outside is what it does.

NETWORK.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from replog.testing import free_ports
from tests.support.cluster import MASTER, S1, S2, Node, ProcessCluster, answers, call
from tests.support.waiting import wait_until

AWAY = "http://127.0.0.1:9"
"""A secondary that is never there: nothing listens at the discard port."""


@contextmanager
def master(directory: Path, *options: str) -> Iterator[Node]:
    node = Node("master", directory, free_ports(1)[0], role="master", options=options)
    node.start()
    try:
        wait_until(lambda: answers(f"{node.url}/livez"), "it is up", explain=node.said)
        yield node
        assert node.end(signal.SIGTERM) == 0, node.said()
    finally:
        if node.is_running:
            node.end(signal.SIGKILL)


def test_the_default_timeout_is_for_appends_that_give_none(tmp_path: Path) -> None:
    with master(tmp_path, "--secondary", AWAY, "--default-timeout", "0") as node:
        answer = call("POST", f"{node.url}/logs", body='{"message":"m"}')
        assert (answer.status_code, answer.json()["acks"]) == (202, [node.url])


def test_the_default_write_concern_is_for_appends_that_give_none(tmp_path: Path) -> None:
    with master(tmp_path, "--secondary", AWAY, "--write-concern", "1") as node:
        answer = call("POST", f"{node.url}/logs", body='{"message":"m"}')
        assert (answer.status_code, answer.headers["log-acks"]) == (200, "1/2")


def test_the_limits_of_a_batch_and_the_window_of_keys_are_those_that_are_set(
    tmp_path: Path,
) -> None:
    limits = ("--batch-entries-max", "2", "--batch-bytes-max", "100", "--key-window", "2")
    with master(tmp_path, *limits) as node:

        def post(body: str, query: str = "") -> httpx2.Response:
            return call("POST", f"{node.url}/logs{query}", body=body)

        def keyed_id() -> int:
            told: int = post('{"message":"x"}', "?key=k").json()["log"]["id"]
            return told

        assert post('[{"message":"a"},{"message":"b"},{"message":"c"}]').status_code == 413
        assert post('[{"message":"%s"}]' % (100 * "x")).status_code == 413
        assert (keyed_id(), keyed_id()) == (1, 1)
        assert post('[{"message":"a"},{"message":"b"}]').json()["last"] == 3
        assert keyed_id() == 4, "it left the window"


def test_a_longer_message_than_the_limit_is_refused(tmp_path: Path) -> None:
    with master(tmp_path, "--message-bytes-max", "5") as node:
        assert call("POST", f"{node.url}/logs", body='{"message":"12345"}').status_code == 200
        assert call("POST", f"{node.url}/logs", body='{"message":"123456"}').status_code == 413


def test_a_file_configures_a_node(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(f'secondaries = ["{AWAY}"]\nwrite_concern = 1\nlog_format = "json"\n')
    with master(tmp_path, "--config", str(path)) as node:
        assert [row["url"] for row in call("GET", f"{node.url}/health").json()["secondaries"]] == [
            AWAY
        ]


def test_json_logs_are_an_object_a_line_and_start_with_the_configuration(tmp_path: Path) -> None:
    with master(tmp_path, "--log-format", "json") as node:
        call("POST", f"{node.url}/logs", body='{"message":"m"}')
    first, *rest = [json.loads(line) for line in node.said().splitlines()]
    assert first.keys() == {"time", "level", "node", "url", "logger", "message"}
    assert (first["node"], first["url"]) == ("master", node.url)
    assert f"port={node.port}" in first["message"]
    assert f"data_dir={node.data}" in first["message"]
    assert "secondaries=none, write_concern=all" in first["message"]
    assert "take_over=false" in first["message"]
    assert "default_timeout=none" in first["message"]
    assert rest


def test_the_life_of_an_entry_can_be_followed_at_debug_over_all_nodes(tmp_path: Path) -> None:
    noisy = ("--log-level", "debug", "--log-format", "json")
    with ProcessCluster(
        tmp_path, master_options=noisy, secondary_options={S1: noisy, S2: noisy}
    ) as cluster:
        cluster.start_all()

        def life(node: str, entry_id: int) -> list[tuple[str, str]]:
            """Return the entry's steps at the node as (step, what the line says of it)."""
            lines = [json.loads(line) for line in cluster.node[node].said().splitlines()]
            assert {line["url"] for line in lines} == {cluster.url(node)}
            return [
                (line["step"], line["message"].removeprefix(f"entry {entry_id}: "))
                for line in lines
                if line["logger"] == "replog.entry" and line["entry_id"] == entry_id
            ]

        url = cluster.url(MASTER)
        for message in ("one", "two", "three"):
            body = json.dumps({"message": message})
            assert call("POST", f"{url}/logs", body=body).status_code == 200
        for node in (S1, S2):
            wait_shown(cluster, life, node)
            told = [text for _, text in life(node, 2)]
            stored = [f"received from {url}", "written", "stored", f"acknowledged to {url}"]
            assert [text for text in told if text in stored] == stored
            assert sorted(set(told) - set(stored)) == ["committed", "shown"]
        told = [text for _, text in life(MASTER, 2)]
        sent = [f"sent to {cluster.url(node)}" for node in (S1, S2)]
        acknowledged = [f"acknowledged by {cluster.url(node)}" for node in (S1, S2)]
        own = ["appended", "written", "stored", "committed", "shown", "answered"]
        assert sorted(told) == sorted(own + sent + acknowledged)
        assert [step for step, _ in life(MASTER, 2)].count("sent") == 2
        for earlier, later in [
            ("appended", "written"),
            ("written", "stored"),
            ("stored", "committed"),
            *zip(sent, acknowledged, strict=True),
            *((text, "answered") for text in acknowledged),
        ]:
            assert told.index(earlier) < told.index(later)


def wait_shown(
    cluster: ProcessCluster, life: Callable[[str, int], list[tuple[str, str]]], node: str
) -> None:
    wait_until(
        lambda: ("shown", "shown") in life(node, 2), f"{node} shows it", explain=cluster.explain
    )
