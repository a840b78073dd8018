"""The stories that every cluster must pass, on real processes.

SHELL.
"""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import pytest

from tests.support import returning, stories
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, replog, wait_live
from tests.support.waiting import wait_until


def test_the_acceptance_test_that_this_kind_of_system_is_known_by(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        stories.acceptance(cluster)


def test_each_write_concern_waits_for_just_the_nodes_that_it_counts(tmp_path: Path) -> None:
    options = {S1: ["--delay", "1"], S2: ["--delay", "3"]}
    with ProcessCluster(tmp_path, secondary_options=options) as cluster:
        stories.delays(cluster.start_all(), first_s=1, second_s=3)


def test_a_hundred_appends_under_a_delay_pay_it_once(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        for node in (S1, S2):
            stories.set_delay(cluster, node, 2)
        stories.delay_is_latency(cluster, delay_s=2)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kill_9_of_anything_under_load_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    with ProcessCluster(tmp_path) as cluster:
        stories.kill_under_load(cluster.start_all(), seed=seed, rounds=5)


def test_a_read_at_any_node_shows_what_was_acknowledged_at_all(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        stories.read_what_was_acknowledged(cluster.start_all(), rounds=60)


def test_a_secondary_with_an_emptied_data_directory_refills(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        returning.emptied_secondary_refills(cluster.start_all())


@pytest.mark.parametrize(("how", "batch"), [("killed", 1), ("paused", 20)])
def test_a_secondary_cut_off_for_100_000_entries_catches_up_while_appends_go_on(
    tmp_path: Path, how: str, batch: int
) -> None:
    """To a paused secondary the link stands, and its buffers could fill; a killed one has none."""
    with ProcessCluster(tmp_path) as cluster:
        node = cluster.start_all().node[S2]
        cut, mend = {
            "killed": (partial(cluster.kill, S2), partial(cluster.start, S2)),
            "paused": (partial(node.send, signal.SIGSTOP), partial(node.send, signal.SIGCONT)),
        }[how]
        returning.cut_off_secondary_catches_up(cluster, batch=batch, cut=cut, mend=mend)


def test_an_appearing_secondary_does_not_count_before_it_has_proven_its_log(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        returning.unproven_secondary_does_not_count(cluster.start_all())


def test_a_stop_ends_every_node_at_once_with_status_0_and_answers_who_waits(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        for node in (MASTER, S1):
            cluster.start(node)
            wait_live(cluster, node)
        with stories.WaitingAppend(cluster, "waits for S2", w="all") as waiting:
            wait_until(lambda: stories.messages(cluster, MASTER) != [], "the append is stored")
            for node in (MASTER, S1):
                cluster.stop(node)
        assert waiting.status == 202
        checked = replog("verify", cluster.master.data, cluster.node[S1].data)
        assert checked.returncode == 0, checked.stdout + checked.stderr
