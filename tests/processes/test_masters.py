"""What an operator types when a master is gone: a restore, and a take-over (R8, R9).

SHELL. The other stories of masters that come back stand in tests/node/test_masters.py: they need
whole nodes, real links and real directories, and no processes.
"""

from __future__ import annotations

from pathlib import Path

from tests.support import stories
from tests.support.cluster import MASTER, S1, S2, Node, ProcessCluster, call, replog, wait_live
from tests.support.waiting import wait_until


def fill(cluster: ProcessCluster, count: int) -> dict[int, str]:
    messages = [f"entry {number}" for number in range(count)]
    return {stories.append(cluster, message, w="all"): message for message in messages}


def is_refusing(cluster: ProcessCluster) -> bool:
    return stories.try_append(cluster, "must not be stored", w=1, timeout=1).status_code == 503


def test_an_emptied_master_takes_no_appends_and_a_restore_brings_the_log_back(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = fill(cluster, 20)
        cluster.kill(MASTER)
        cluster.empty(MASTER)
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        wait_until(lambda: is_refusing(cluster), "the master refuses", explain=cluster.explain)
        refused = stories.try_append(cluster, "must not be stored", w=1)
        assert refused.status_code == 503
        assert "replog restore" in refused.json()["detail"]
        assert call("GET", f"{cluster.url(MASTER)}/readyz").status_code == 503
        cluster.stop(MASTER)
        cluster.empty(MASTER)
        cluster.stop(S2)
        command = ("restore", "--from", cluster.url(S1), cluster.master.data)
        alone = replog(*command)
        assert (alone.returncode, alone.stdout) == (1, "")
        assert cluster.url(S2) in alone.stderr
        assert "--force" in alone.stderr
        cluster.start(S2)
        wait_live(cluster, S2)
        done = replog(*command)
        assert (done.returncode, done.stdout) == (0, "20\n"), done.stderr
        again = replog(*command)
        assert (again.returncode, again.stdout) == (1, "")
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        told[21] = "after the restore"
        assert stories.append(cluster, told[21], w="all") == 21
        stories.check_history(cluster, told)


def test_a_directory_that_was_a_secondarys_starts_as_master_only_with_take_over(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = fill(cluster, 3)
        cluster.kill(MASTER)
        cluster.stop(S1)
        heir = Node(S1, tmp_path, cluster.node[S1].port, role="master")
        heir.options = ("--secondary", cluster.url(S2))
        heir.start()
        assert heir.wait_ended() == 1
        assert "--take-over" in heir.said().splitlines()[-1]
        assert "Traceback" not in heir.said()
        cluster.node[MASTER] = heir
        heir.start("--take-over")
        wait_live(cluster, MASTER)
        told |= {stories.append(cluster, "after the take-over", w="all"): "after the take-over"}
        assert stories.messages(cluster, S2) == list(told.values())


def test_a_damaged_master_whose_secondaries_are_gone_goes_on_when_its_loss_is_accepted(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path, secondaries=1) as cluster:
        cluster.start_all()
        told = fill(cluster, 3)
        for node in cluster.nodes:
            cluster.stop(node)
        [segment] = cluster.master.segment_files()
        good = segment.read_bytes()
        segment.write_bytes(good.replace(b"entry 2", b"entry 3"))
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        refused = stories.try_append(cluster, "must not be stored", w=1, timeout=1)
        assert refused.status_code == 503
        assert "--accept-loss" in refused.json()["detail"]
        cluster.stop(MASTER)
        cluster.master.start("--accept-loss")
        wait_live(cluster, MASTER)
        assert stories.append(cluster, "after the loss", w=1) == 3
        assert stories.messages(cluster, MASTER) == [told[1], told[2], "after the loss"]
        [kept] = (cluster.master.data / "quarantine").iterdir()
        assert b"entry 3" in kept.read_bytes()
