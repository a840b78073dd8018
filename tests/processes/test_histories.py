"""The history of real nodes is judged, and what is planted in its file is found.

SHELL.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from proving.ending import settle_and_judge
from proving.harness import Violation
from proving.judging import assert_holds
from proving.recording import Clients, Recording
from tests.support.cluster import MASTER, S1, ProcessCluster, replog
from tests.support.waiting import wait_until

Line: TypeAlias = dict[str, object]


def lose_the_last(lines: list[Line]) -> None:
    for disk in of(lines, "disk"):
        if disk["snapshot"] == "end":
            messages_of(disk).pop()


def tell_another_id(lines: list[Line]) -> None:
    told = next(line for line in of(lines, "append") if line["outcome"] == "ok")
    told["first_id"] = 1_000_000


def leave_one_out(lines: list[Line]) -> None:
    del messages_of(next(line for line in of(lines, "read") if len(messages_of(line)) > 1))[0]


def of(lines: list[Line], op: str) -> list[Line]:
    return [line for line in lines if line["op"] == op]


def messages_of(line: Line) -> list[object]:
    messages = line["messages"]
    return messages if isinstance(messages, list) else []


PLANTED: dict[str, Callable[[list[Line]], None]] = {
    "lost": lose_the_last,
    "inconsistent-id": tell_another_id,
    "not-a-prefix": leave_one_out,
}


def test_real_nodes_hold_and_what_is_planted_in_their_history_is_found(
    cluster: ProcessCluster, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    with Recording(path, cluster.urls) as recording:
        with Clients(recording, seed=1, clients=4, reads=0.5) as clients:
            for node in (S1, MASTER):
                before = clients.acknowledged
                wait_until(lambda: clients.acknowledged > before + 20, "appends")  # noqa: B023
                cluster.kill(node)
                recording.fault("kill", cluster.url(node))
                cluster.start(node)
        counts = settle_and_judge(cluster, recording)
    assert counts["appends"] > 40
    done = replog("check", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\tok\n")
    planted = tmp_path / "planted.jsonl"
    for kind, plant in PLANTED.items():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        plant(lines)
        planted.write_text("".join(json.dumps(line) + "\n" for line in lines))
        with pytest.raises(Violation, match=f" {kind}: "):
            assert_holds(planted)
    assert replog("check", planted).returncode == 7
