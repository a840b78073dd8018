"""The stories that every cluster must pass, on real processes.

SHELL.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support import stories
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, call, replog, wait_live
from tests.support.load import Load
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
        stories.emptied_secondary_refills(cluster.start_all())


@pytest.mark.parametrize(("how", "entries"), [("killed", 100_000), ("paused", 40_000)])
def test_a_secondary_cut_off_for_100_000_entries_catches_up_while_appends_go_on(
    tmp_path: Path, how: str, entries: int
) -> None:
    """The master's memory stays bounded: 100 MB of log pass it by (P8, P9, P10).

    To a paused secondary the link stands, and its buffers could fill; a killed one has none.
    """
    grown_max = 32 << 20
    padding = " " + 960 * "x"
    with ProcessCluster(tmp_path) as cluster:
        url = cluster.start_all().url(MASTER)
        load = Load(url, prefix="warm", clients=128, query="?w=1", total=5_000, padding=padding)
        with load:
            load.wait()
        stories.wait_equal(cluster)
        told = dict(load.acknowledged.messages)
        before = cluster.master.memory_bytes()
        cluster.node[S2].send(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        load = Load(url, prefix="away", clients=128, query="?w=2", total=entries, padding=padding)
        with load:
            load.wait()
        assert load.count == entries, load.acknowledged.statuses
        told |= load.acknowledged.messages
        with Load(url, prefix="on", clients=8, query="?w=1", padding=padding) as load:
            if how == "killed":
                assert cluster.node[S2].wait_ended() == -signal.SIGKILL
                cluster.start(S2)
            else:
                cluster.node[S2].send(signal.SIGCONT)
            wait_until(
                lambda: stories.last_id(cluster, S2) >= entries + 5_000,
                "S2 catches up",
                deadline_s=stories.LONG_S,
                explain=cluster.explain,
            )
            reached = load.count
            wait_until(lambda: load.count > reached, "appends go on", explain=cluster.explain)
        told |= load.acknowledged.messages
        stories.wait_equal(cluster, deadline_s=stories.LONG_S)
        grown = cluster.master.memory_bytes() - before
        assert grown < grown_max, f"the master grew by {grown / 1e6:.1f} MB"
        stories.check_history(cluster, told)


def test_an_appearing_secondary_does_not_count_before_it_has_proven_its_log(
    tmp_path: Path,
) -> None:
    """An emptied secondary with a long delay says hello at once, and holds nothing (R6)."""
    with ProcessCluster(tmp_path, secondaries=1) as cluster:
        cluster.start_all()
        stories.append(cluster, "first", w=2)
        cluster.stop(S1)
        cluster.empty(S1)
        cluster.node[S1].start("--delay", "600")
        wait_live(cluster, S1)

        def is_linked() -> bool:
            health = call("GET", f"{cluster.url(MASTER)}/health").json()
            return bool(health["secondaries"][0]["delay_s"] == 600)

        wait_until(is_linked, "the master heard the new node", explain=cluster.explain)
        answer = stories.try_append(cluster, "second", w=2, timeout=0.5)
        assert answer.status_code == 202, answer.text
        assert answer.json()["acks"] == [cluster.url(MASTER)]
        stories.set_delay(cluster, S1, 0)
        cluster.stop(S1)
        cluster.start(S1)
        stories.check_history(cluster, {1: "first", 2: "second"})


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
