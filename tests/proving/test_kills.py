"""What the harnesses of rows 9 and 10 look for is seen where it is: bugs are planted.

SHELL.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from proving.harness import Violation
from proving.harnesses.retries import LIMITS, look_for_stuck_waiters
from proving.harnesses.rolling_restarts import restart_while_one_waits
from proving.recording import Recording
from proving.storm import Storm
from tests.support.cluster import S1, ProcessCluster, wait_live
from tests.support.patched import patch
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes


def test_a_place_that_somebody_who_hung_up_keeps_is_found(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path, master_options=LIMITS) as cluster:
        patch(cluster.master, "keeps_places")
        cluster.start_all()
        with Recording(tmp_path / "run.jsonl", cluster.urls) as recording:
            storm = Storm(cluster, recording, Random(1))
            with pytest.raises(AssertionError, match="the places of those who hung up are free"):
                look_for_stuck_waiters(storm, within_s=2)


def test_a_master_that_refuses_what_it_stored_is_found(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        patch(cluster.master, "refuses_at_the_end")
        cluster.start_all()
        with (
            Recording(tmp_path / "run.jsonl", cluster.urls) as recording,
            pytest.raises(Violation, match=r"answered one who waited: .*refused"),
        ):
            restart_while_one_waits(Storm(cluster, recording, Random(1)))


def test_a_node_is_stopped_in_the_middle_of_its_start(tmp_path: Path) -> None:
    with (
        ProcessCluster(tmp_path) as cluster,
        Recording(tmp_path / "run.jsonl", cluster.urls) as recording,
    ):
        storm = Storm(cluster, recording, Random(1))
        storm.start(S1)
        storm.stop(S1)
        storm.start(S1)
        wait_live(cluster, S1)
        storm.stop(S1)
        assert storm.counts["nodes stopped while starting"] == 1
        assert storm.counts["stops"] == 2


def test_a_traceback_of_a_node_that_is_stopped_while_it_starts_is_found(tmp_path: Path) -> None:
    with (
        ProcessCluster(tmp_path) as cluster,
        Recording(tmp_path / "run.jsonl", cluster.urls) as recording,
    ):
        storm = Storm(cluster, recording, Random(1))
        patch(cluster.node[S1], "defect_at_a_stop")
        storm.start(S1)
        wait_until(lambda: "it opens" in cluster.node[S1].said(), "it starts")
        with pytest.raises(AssertionError, match="signal 15 met a defect"):
            storm.stop(S1)
