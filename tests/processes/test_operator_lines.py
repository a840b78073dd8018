"""What an operator reads of a cluster's life: links, rejoins, health, cuts, refused appends.

NETWORK.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import stories
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, call, wait_live
from tests.support.waiting import wait_until

JSON_LINES = ("--log-format", "json")


def told(cluster: ProcessCluster, node: str) -> list[tuple[str, str]]:
    """Return what the node said, over all its starts, as (level, text)."""
    lines = [json.loads(line) for line in cluster.node[node].said().splitlines()]
    return [(line["level"], line["message"]) for line in lines]


def wait_told(cluster: ProcessCluster, node: str, level: str, start: str, *, times: int = 1) -> str:
    """Return the last line of that level that begins so, once the node said `times` of them."""

    def found() -> list[str]:
        lines = told(cluster, node)
        return [text for at, text in lines if at == level and text.startswith(start)]

    wait_until(lambda: len(found()) >= times, f"{node} says {start!r}", explain=cluster.explain)
    return found()[-1]


def json_cluster(directory: Path, *master_options: str) -> ProcessCluster:
    return ProcessCluster(
        directory,
        master_options=(*JSON_LINES, *master_options),
        secondary_options={S1: JSON_LINES, S2: JSON_LINES},
    )


def test_links_rejoins_and_health_are_said_on_both_sides(tmp_path: Path) -> None:
    with json_cluster(tmp_path) as cluster:
        url, away = cluster.url(MASTER), cluster.url(S2)
        for node in (S1, MASTER):
            cluster.start(node)
            wait_live(cluster, node)
        said = wait_told(cluster, MASTER, "warning", f"cannot reach {away}: ")
        assert said.endswith("; trying on")
        stories.append(cluster, "one", w=2)
        wait_told(cluster, MASTER, "warning", f"{away} is unhealthy")
        cluster.start(S2)
        stories.append(cluster, "two", w="all")
        wait_told(cluster, MASTER, "info", f"{away} rejoined from entry 0")
        wait_told(cluster, MASTER, "warning", f"{away} is healthy")
        wait_told(cluster, S2, "info", f"master {url} reigns in epoch 1")
        cluster.kill(S2)
        wait_told(cluster, MASTER, "warning", f"link to {away} is down: ")
        wait_told(cluster, MASTER, "warning", f"{away} is suspected")
        stories.append(cluster, "three", w=2)
        cluster.start(S2)
        wait_told(cluster, MASTER, "info", f"{away} rejoined from entry 2")
        wait_told(cluster, MASTER, "warning", f"{away} is healthy", times=2)
        cluster.kill(MASTER)
        wait_told(cluster, S1, "warning", f"link to master {url} ended: ")
        cluster.start(MASTER)
        wait_told(cluster, S1, "info", f"master {url} reigns in epoch 2")
        wait_told(cluster, MASTER, "info", "epoch 2 opened")
        wait_told(cluster, MASTER, "info", "serving from entry 3 on")


def test_bytes_that_are_cut_off_are_said_with_the_file_that_keeps_them(tmp_path: Path) -> None:
    with json_cluster(tmp_path) as cluster:
        cluster.start_all()
        stories.append(cluster, "one", w="all")
        cluster.stop(MASTER)
        [segment] = cluster.master.segment_files()
        with segment.open("ab") as stream:
            stream.write(b'{"id":2,"message":"torn')
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        said = wait_told(cluster, MASTER, "warning", "cut off: ")
        [kept] = (cluster.master.data / "quarantine").iterdir()
        assert said.endswith(f": {kept}")
        assert kept.read_bytes() == b'{"id":2,"message":"torn'
        stories.append(cluster, "two", w="all")


REFUSED = (
    (MASTER, "", '{"message":', 400, "not JSON"),
    (MASTER, "?q=1", '{"message":"x"}', 400, '"q" is unknown'),
    (MASTER, "?w=9", '{"message":"x"}', 400, "there are 3 nodes"),
    (MASTER, "", '{"message":"123456"}', 413, "limit"),
    (MASTER, "", '[{"message":"1"},{"message":2}]', 400, '"message" is a number'),
    (S1, "", '{"message":"x"}', 405, "This node is a secondary"),
)
"""To whom, query and body; the status; and what the line names."""


def test_every_refused_append_is_one_line_with_its_reason(tmp_path: Path) -> None:
    with json_cluster(tmp_path, "--message-bytes-max", "5") as cluster:
        cluster.start_all()
        for node, query, body, status, reason in REFUSED:
            before = len(refusals(cluster, node))
            answer = call("POST", f"{cluster.url(node)}/logs{query}", body=body)
            assert answer.status_code == status, answer.text
            wait_until(
                lambda: len(refusals(cluster, node)) > before,  # noqa: B023
                f"the refusal of {body} is said",
                explain=cluster.explain,
            )
            [(level, text)] = refusals(cluster, node)[before:]
            assert level == "info", "it is the client's to mend"
            assert reason in text
            assert call("GET", f"{cluster.url(node)}/logs").text == "[]"


def refusals(cluster: ProcessCluster, node: str) -> list[tuple[str, str]]:
    return [line for line in told(cluster, node) if line[1].startswith("append refused")]


def test_a_lost_quorum_and_its_return_are_said_though_nobody_appends(tmp_path: Path) -> None:
    with json_cluster(tmp_path, "--quorum", "majority") as cluster:
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        said = wait_told(cluster, MASTER, "warning", "read-only: ")
        assert "1 of 3 nodes are reachable, 2 are required" in said
        answer = stories.try_append(cluster, "x", w=1)
        assert answer.status_code == 503, answer.text
        assert "2 are required" in wait_told(cluster, MASTER, "warning", "append refused: ")
        cluster.start(S1)
        wait_told(cluster, MASTER, "warning", "appends are taken again")
        assert stories.append(cluster, "y", w=2) == 1
        cluster.kill(S1)
        wait_told(cluster, MASTER, "warning", "read-only: ", times=2)
