"""Links that break, stall and come late; nodes that are paused (R1, R2, R11, P8).

NETWORK. A proxy stands between the master and one secondary.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support import stories
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, call
from tests.support.network import Network, Proxy
from tests.support.waiting import wait_until


def health_of(cluster: ProcessCluster, number: int) -> str:
    """Return the health of the master's secondary `number`, from 0."""
    health = call("GET", f"{cluster.url(MASTER)}/health").json()
    return str(health["secondaries"][number]["health"])


def wait_health(cluster: ProcessCluster, number: int, word: str) -> None:
    wait_until(
        lambda: health_of(cluster, number) == word,
        f"secondary {number + 1} is {word}",
        explain=cluster.explain,
    )


def test_bytes_of_a_dead_link_that_arrive_late_change_nothing(tmp_path: Path) -> None:
    """The old link's batches reach the secondary after a newer link has stored them (R2)."""
    with ProcessCluster(tmp_path, secondaries=1) as cluster, Network() as network:
        proxy = network.proxy(cluster.node[S1].port)
        cluster.master.options = ("--secondary", proxy.url)
        cluster.start_all()
        told = {stories.append(cluster, "before", w="all"): "before"}
        old = proxy.passages[-1]
        for number in range(5):
            message = f"late {number}"
            if number == 1:
                old.hold()
            told[stories.append(cluster, message, w=1)] = message
        # Four batches of more than 300 bytes each; a WebSocket's client masks its frames.
        wait_until(lambda: old.onward.held > 1200, "the batches are held back")
        old.hang_up_dialler()
        stories.wait_equal(cluster)
        assert proxy.passages[-1] is not old
        told[stories.append(cluster, "on the new link", w="all")] = "on the new link"
        old.release()
        told[stories.append(cluster, "after the late bytes", w="all")] = "after the late bytes"
        stories.check_history(cluster, told)


def test_a_link_that_opens_while_the_master_stops_does_not_hold_the_stop_up(
    tmp_path: Path,
) -> None:
    """S2 is paused, so its link takes a while to close; in that while S1's dial succeeds."""
    with ProcessCluster(tmp_path) as cluster, Network() as network:
        proxy = network.proxy(cluster.node[S1].port)
        cluster.master.options = ("--secondary", proxy.url, "--secondary", cluster.url(S2))
        cluster.start_all()
        stories.append(cluster, "before", w="all")
        proxy.holds_new = True
        proxy.passages[-1].hang_up_dialler()
        wait_until(
            lambda: proxy.passages[-1].onward.held > 0, "the master dials", explain=cluster.explain
        )
        cluster.node[S2].send(signal.SIGSTOP)
        cluster.master.send(signal.SIGTERM)
        proxy.passages[-1].release()
        assert cluster.master.wait_ended(10) == 0


@pytest.mark.parametrize("behind", ['"epoch":', '"epoch_owner":"', '"node_id":"', '"type":"'])
def test_a_hello_that_the_network_changed_is_not_believed(tmp_path: Path, behind: str) -> None:
    """A master that believed it would be read-only from then on, or stop the link (R5, R8)."""
    with ProcessCluster(tmp_path, secondaries=1) as cluster, Network() as network:
        proxy = network.proxy(cluster.node[S1].port)
        cluster.master.options = ("--secondary", proxy.url)
        cluster.start_all()
        told = {stories.append(cluster, "before", w="all"): "before"}

        def corrupt(proxy: Proxy) -> None:
            proxy.back.corrupt_behind = behind.encode()
            proxy.back.bit = 1

        proxy.change(corrupt)
        proxy.cut()
        wait_until(lambda: proxy.back.corrupted == 1, "a hello", explain=cluster.explain)
        told[stories.append(cluster, "after", w="all")] = "after"
        stories.check_history(cluster, told)
        assert "changed on its way" in cluster.node[MASTER].said()


def test_a_paused_secondary_is_suspected_then_unhealthy_then_healthy_and_holds_up_nobody(
    tmp_path: Path,
) -> None:
    """Its host still answers at TCP level: only heartbeats count (R11)."""
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        stories.append(cluster, "before", w="all")
        cluster.node[S2].send(signal.SIGSTOP)
        with stories.WaitingAppend(cluster, "waits for the paused one", w=3) as waiting:
            wait_health(cluster, 1, "SUSPECTED")
            assert stories.append(cluster, "does not wait", w=2) == 3
            wait_health(cluster, 1, "UNHEALTHY")
            assert health_of(cluster, 0) == "HEALTHY"
            assert not waiting.is_answered
            cluster.node[S2].send(signal.SIGCONT)
            wait_health(cluster, 1, "HEALTHY")
        assert waiting.status == 200
        stories.check_history(cluster, {1: "before", 2: "waits for the paused one"})


def test_a_secondary_of_a_paused_master_answers_reads_and_says_that_it_has_no_master(
    tmp_path: Path,
) -> None:
    """A read waits until R11 declares the link down, and no longer (R7)."""
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        stories.append(cluster, "before", w="all")
        cluster.master.send(signal.SIGSTOP)
        assert stories.messages(cluster, S1) == ["before"]
        assert "log-master" not in call("GET", f"{cluster.url(S1)}/logs").headers
        wait_until(
            lambda: "log-master" in call("GET", f"{cluster.url(S1)}/logs").headers,
            "the secondary misses its master",
            explain=cluster.explain,
        )
        assert stories.messages(cluster, S1) == ["before"]
        cluster.master.send(signal.SIGCONT)
        assert stories.append(cluster, "after", w="all") == 2
        stories.check_history(cluster, {1: "before", 2: "after"})


def test_without_the_required_quorum_appends_are_refused_and_taken_again_by_themselves(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path, master_options=["--quorum", "majority"]) as cluster:
        cluster.start_all()
        stories.append(cluster, "before", w="all")
        for node in (S1, S2):
            cluster.kill(node)

        def is_refused() -> bool:
            answer = stories.try_append(cluster, "unlucky", w=1)
            return answer.status_code == 503

        wait_until(is_refused, "the master is read-only", explain=cluster.explain)
        answer = stories.try_append(cluster, "refused", w=1)
        assert answer.status_code == 503
        assert "quorum" in answer.text
        stored = stories.messages(cluster, MASTER)
        assert "refused" not in stored
        cluster.start(S1)
        wait_until(
            lambda: stories.try_append(cluster, "back", w=2).status_code == 200,
            "appends are taken again",
            explain=cluster.explain,
        )
        assert stories.messages(cluster, MASTER) == [*stored, "back"]
