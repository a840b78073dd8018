"""A run ends when all nodes came right, and what their disks hold is judged then.

SHELL.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from proving.ending import settle_and_judge
from proving.harness import Violation
from proving.recording import Clients, Recording, RecordingClient
from replog.history.lines import Disk, Fault, Line
from tests.support.cluster import MASTER, S1, S2, ProcessCluster
from tests.support.patched import patch
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes


class LosesTheLastLine(ProcessCluster):
    """What `secondary-2` stored last is gone when it has stopped."""

    def stop(self, node: str) -> None:
        super().stop(node)
        if node == S2:
            path = self.node[node].segment_files()[-1]
            path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def test_all_disks_are_judged_once_all_nodes_came_right(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        with Recording(tmp_path / "run.jsonl", cluster.urls) as recording:
            with Clients(recording, seed=1, clients=4) as clients:
                wait_until(lambda: clients.acknowledged > 20, "appends are answered")
                cluster.kill(S2)
                cluster.start(S2)
            counts = settle_and_judge(cluster, recording, is_killed=True)
        assert counts["append ok"] > 20
        decode = msgspec.json.Decoder(Line).decode
        lines = [decode(line) for line in recording.path.read_bytes().splitlines()]
        disks = {line.node: line.messages for line in lines if isinstance(line, Disk)}
        assert set(disks) == set(cluster.urls)
        assert disks[cluster.url(S2)] == disks[cluster.url(MASTER)]
        assert len(disks[cluster.url(MASTER)] or ()) > 20
        assert [line.what for line in lines if isinstance(line, Fault)] == ["healed"]


def test_a_disk_that_does_not_verify_breaks_a_promise(tmp_path: Path) -> None:
    with LosesTheLastLine(tmp_path) as cluster:
        cluster.start_all()
        with (
            Recording(tmp_path / "run.jsonl", cluster.urls) as recording,
            pytest.raises(Violation, match="secondary-2 came right, and its log does not verify"),
        ):
            settle_and_judge(cluster, recording)


def test_a_500_breaks_a_promise_but_of_nodes_whose_disks_were_made_to_fail(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        for node in (MASTER, S1):
            patch(cluster.node[node], "first_request_is_a_defect")
        cluster.start_all()
        with Recording(tmp_path / "run.jsonl", cluster.urls) as recording:
            client = RecordingClient(recording, 1)
            assert client.append(["a"], w=1).outcome == "unknown"
            assert client.read(cluster.url(S1)).outcome == "refused"
            client.close()
            with pytest.raises(Violation, match="told of a defect, 2 times") as raised:
                settle_and_judge(cluster, recording)
            for node, asked in ((MASTER, "append"), (S1, "read")):
                said = f"{cluster.url(node)} answered 500 to the {asked} of client 1 at "
                assert said in str(raised.value)
            with pytest.raises(Violation, match=f"1 times:\n  {cluster.url(S1)} answered 500"):
                settle_and_judge(cluster, recording, failed=(MASTER,))
            assert settle_and_judge(cluster, recording, failed=(MASTER, S1))["append unknown"] == 1
