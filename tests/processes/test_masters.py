"""A master that lost its disk, two masters, longer and foreign logs (R2, R3, R8, R9).

SHELL. Real processes; what is refused must also be said.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.support import stories
from tests.support.cluster import (
    MASTER,
    S1,
    S2,
    Node,
    ProcessCluster,
    call,
    free_ports,
    replog,
    wait_live,
)
from tests.support.waiting import wait_until


def said(cluster: ProcessCluster, node: str, *words: str) -> Callable[[], bool]:
    """Return whether one line of the node's log holds all of `words`, in any case."""

    def is_said() -> bool:
        lines = cluster.node[node].said().lower().splitlines()
        return any(all(word in line for word in words) for line in lines)

    return is_said


def append_refused(cluster: ProcessCluster) -> Callable[[], bool]:
    """Return whether the master refuses appends with 503 and the reason now."""

    def is_refused() -> bool:
        try:
            answer = stories.try_append(cluster, "must not be stored", w=1, timeout=1)
        except httpx2.TransportError:
            return False
        return answer.status_code == 503 and bool(answer.json()["detail"])

    return is_refused


def wait_refused(cluster: ProcessCluster) -> str:
    """Return the reason for which the master refuses appends."""
    wait_until(append_refused(cluster), "the master refuses", explain=cluster.explain)
    answer = stories.try_append(cluster, "must not be stored", w=1)
    assert answer.status_code == 503, answer.text
    assert call("GET", f"{cluster.url(MASTER)}/readyz").status_code == 503
    return str(answer.json()["detail"])


def fill(cluster: ProcessCluster, count: int, *, prefix: str = "entry") -> dict[int, str]:
    told = {}
    for number in range(count):
        message = f"{prefix} {number}"
        told[stories.append(cluster, message, w="all")] = message
    return told


def restore(cluster: ProcessCluster, directory: Path) -> None:
    """Fill `directory` from the secondaries, once each of them can be asked."""
    command = ("restore", "--from", cluster.url(S1), str(directory))
    cluster.stop(S2)
    refused = replog(*command)
    assert refused.returncode != 0
    assert cluster.url(S2) in refused.stderr
    assert "--force" in refused.stderr
    cluster.start(S2)
    wait_live(cluster, S2)
    restored = replog(*command)
    assert restored.returncode == 0, restored.stderr


def link_of(cluster: ProcessCluster, node: str) -> str:
    """Return the state of the master's link to `node`, as `GET /health` shows it."""
    health = call("GET", f"{cluster.url(MASTER)}/health").json()
    return next(str(s["link"]) for s in health["secondaries"] if s["url"] == cluster.url(node))


def copy_of(directory: Path, name: str) -> Path:
    """Return a copy of the data directory of a node that does not run."""
    target = directory.with_name(name)
    shutil.copytree(directory, target)
    return target


# --- R9: the master lost its disk -----------------------------------------------------------


@pytest.mark.parametrize("secondaries", ["up", "starting with it"])
def test_an_emptied_master_takes_no_appends_and_a_restore_brings_the_log_back(
    tmp_path: Path, secondaries: str
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = fill(cluster, 20)
        cluster.stop(MASTER)
        cluster.empty(MASTER)
        if secondaries == "starting with it":
            for node in (S1, S2):
                cluster.stop(node)
        cluster.start(MASTER)
        if secondaries == "starting with it":
            for node in (S1, S2):
                cluster.start(node)
        wait_live(cluster, MASTER)
        assert "restore" in wait_refused(cluster)
        for node in (S1, S2):
            wait_live(cluster, node)
            assert stories.messages(cluster, node) == list(told.values())
        cluster.stop(MASTER)
        cluster.empty(MASTER)
        restored = replog("restore", "--from", cluster.url(S1), cluster.master.data)
        if restored.returncode != 0:  # it names what it could not reach: the master itself
            restored = replog("restore", "--force", "--from", cluster.url(S1), cluster.master.data)
        assert restored.returncode == 0, restored.stderr
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        told |= fill(cluster, 5, prefix="after the restore")
        assert sorted(told) == list(range(1, 26))
        stories.check_history(cluster, told)


def test_an_emptied_master_with_its_secondaries_down_stops_when_they_show_another_log(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = fill(cluster, 5)
        for node in cluster.nodes:
            cluster.stop(node)
        cluster.empty(MASTER)
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        assert stories.append(cluster, "a new log, since nobody answered", w=1) == 1
        for node in (S1, S2):
            cluster.start(node)
            wait_live(cluster, node)
        assert "restore" in wait_refused(cluster)
        for node in (S1, S2):
            assert stories.messages(cluster, node) == list(told.values()), "something was cut"


def test_an_emptied_cluster_starts_a_new_log_at_once(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        fill(cluster, 3)
        for node in cluster.nodes:
            cluster.stop(node)
            cluster.empty(node)
        cluster.start_all()
        assert stories.append(cluster, "new", w="all") == 1
        stories.check_history(cluster, {1: "new"})


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


# --- R8: adoption, epochs -------------------------------------------------------------------


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_master_adopts_what_only_a_secondary_holds(tmp_path: Path, when: str) -> None:
    """The master comes back without the end of its log, and has made no batch yet."""
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = fill(cluster, 5)
        cluster.stop(MASTER)
        older = copy_of(cluster.master.data, "older")
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        told |= fill(cluster, 5, prefix="later")
        for node in cluster.nodes:
            cluster.stop(node)
        lose_the_newest_of_the_log(cluster, older)
        order = (S1, MASTER, S2) if when == "early" else (MASTER, S1, S2)
        for node in order:
            cluster.start(node)
            wait_live(cluster, node)
        stories.check_history(cluster, told)
        assert stories.append(cluster, "next", w="all") == 11
        stories.check_history(cluster, told | {11: "next"})


def test_a_master_that_has_appended_since_does_not_cut_a_longer_committed_log(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = fill(cluster, 5)
        cluster.stop(MASTER)
        older = copy_of(cluster.master.data, "older")
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        told |= fill(cluster, 5, prefix="later")
        for node in cluster.nodes:
            cluster.stop(node)
        lose_the_newest_of_the_log(cluster, older)
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        assert stories.append(cluster, "the other 6", w=1) == 6
        cluster.start(S1)
        wait_live(cluster, S1)
        wait_until(
            lambda: "diverged" in link_of(cluster, S1), "the link stops", explain=cluster.explain
        )
        assert said(cluster, MASTER, "diverged")()
        assert stories.messages(cluster, S1) == list(told.values()), "something was cut"


def lose_the_newest_of_the_log(cluster: ProcessCluster, older: Path) -> None:
    """Put an older log in the place of the master's; node.json is what it was."""
    newest = (cluster.master.data / "node.json").read_bytes()
    cluster.empty(MASTER)
    shutil.move(older, cluster.master.data)
    (cluster.master.data / "node.json").write_bytes(newest)


@pytest.mark.parametrize("has_appended", [False, True])
def test_a_master_from_an_old_backup_loses_nothing(tmp_path: Path, has_appended: bool) -> None:
    """Its epochs were used since. It stands above them, unless it made something anew (R8)."""
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = fill(cluster, 5)
        cluster.stop(MASTER)
        backup = copy_of(cluster.master.data, "backup")
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        told |= fill(cluster, 5, prefix="later")
        for node in cluster.nodes:
            cluster.stop(node)
        cluster.empty(MASTER)
        shutil.move(backup, cluster.master.data)
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        if has_appended:
            assert stories.append(cluster, "the other 6", w=1) == 6
        for node in (S1, S2):
            cluster.start(node)
            wait_live(cluster, node)
        if has_appended:
            assert "--take-over" in wait_refused(cluster)
            assert stories.messages(cluster, S1) == list(told.values()), "something was cut"
        else:
            stories.check_history(cluster, told)
            assert stories.append(cluster, "next", w="all") == 11


def test_an_old_master_after_a_newer_epoch_turns_read_only(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = fill(cluster, 5)
        cluster.kill(MASTER)
        cluster.stop(S1)
        heir = Node(S1, tmp_path, cluster.node[S1].port, role="master")
        heir.options = ("--secondary", cluster.url(S2))
        old, cluster.node[S1] = cluster.node[S1], heir
        heir.start("--take-over")
        wait_live(cluster, S1)
        answer = call("POST", f"{heir.url}/logs", body='{"message":"new reign","w":2}')
        assert answer.status_code == 200, answer.text
        assert answer.json()["log"]["id"] == 6
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        assert "--take-over" in wait_refused(cluster)
        shown = stories.messages(cluster, S2)
        assert shown == [*told.values(), "new reign"]
        assert old.port == heir.port


def test_of_two_masters_at_once_the_later_epoch_reigns_and_the_other_says_so(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        told = fill(cluster, 5)
        cluster.stop(MASTER)
        restore(cluster, tmp_path / "second")
        cluster.start(MASTER)
        wait_live(cluster, MASTER)
        fill(cluster, 1, prefix="of the first")
        second = Node("second", tmp_path, free_ports(1)[0], role="master")
        second.options = cluster.master.options
        cluster.node["second"] = second
        second.start("--take-over")
        wait_live(cluster, "second")

        def refusing() -> int:
            answers = [
                call("POST", f"{url}/logs", body='{"message":"x","w":2,"timeout":5}').status_code
                for url in (cluster.url(MASTER), second.url)
            ]
            return answers.count(503)

        wait_until(lambda: refusing() == 1, "exactly one reigns", explain=cluster.explain)
        shown = stories.messages(cluster, S1)
        assert shown[:6] == [*told.values(), "of the first 0"]


# --- R2, R3: who is who ---------------------------------------------------------------------


def test_a_copied_data_directory_never_counts_as_a_second_node(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        fill(cluster, 3)
        for node in (S1, S2):
            cluster.stop(node)
        cluster.empty(S2)
        shutil.copytree(cluster.node[S1].data, cluster.node[S2].data)
        for node in (S1, S2):
            cluster.start(node)
            wait_live(cluster, node)
        assert stories.append(cluster, "on two nodes", w=2) == 4
        answer = stories.try_append(cluster, "never on three", w=3, timeout=1)
        assert answer.status_code == 202, answer.text
        assert len(answer.json()["acks"]) == 2
        refused = S1 if link_of(cluster, S1) != "streaming" else S2
        wait_until(
            said(cluster, MASTER, "same", cluster.url(refused)), "said", explain=cluster.explain
        )


def test_one_node_under_two_names_counts_once(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path, secondaries=1) as cluster:
        port = cluster.node[S1].port
        cluster.master.options += ("--secondary", f"http://localhost:{port}")
        cluster.start_all()
        assert stories.append(cluster, "on two nodes", w=2) == 1
        answer = stories.try_append(cluster, "never on three", w=3, timeout=1)
        assert answer.status_code == 202, answer.text
        assert len(answer.json()["acks"]) == 2


def test_a_secondary_of_another_log_is_refused_said_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with ProcessCluster(tmp_path) as cluster, ProcessCluster(tmp_path / "other") as foreign:
        cluster.start_all()
        told = fill(cluster, 3)
        foreign.start_all()
        fill(foreign, 2, prefix="foreign")
        for node in foreign.nodes:
            foreign.stop(node)
        cluster.stop(S2)
        cluster.empty(S2)
        shutil.copytree(foreign.node[S2].data, cluster.node[S2].data)
        cluster.start(S2)
        wait_live(cluster, S2)
        wait_until(said(cluster, MASTER, "log", cluster.url(S2)), "it is said")
        refused = stories.try_append(cluster, "here", w=2, timeout=5)
        assert refused.status_code == 503 or refused.json()["log"]["id"] == 4
        assert stories.messages(cluster, S2) == ["foreign 0", "foreign 1"]
        assert stories.messages(cluster, MASTER)[:3] == list(told.values())
