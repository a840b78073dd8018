"""The client commands against real nodes: what a person types, in one sitting.

NETWORK.
"""

from __future__ import annotations

import json
import shlex
import signal

from tests.support.cluster import MASTER, S1, S2, ProcessCluster, answers, call, replog
from tests.support.commands import running
from tests.support.waiting import DEADLINE_S, wait_until


def test_append_get_status_and_verify_agree_about_the_log(cluster: ProcessCluster) -> None:
    url, data = cluster.url(MASTER), [node.data for node in cluster.node.values()]
    one = replog("append", "one", "--url", url)
    assert (one.returncode, one.stdout, one.stderr) == (0, "1\n", "")
    many = replog("append", "-", "-w", "2", "--url", url, stdin="two\nthree\n")
    assert (many.returncode, many.stdout) == (0, "2\n3\n")
    assert replog("append", "four", "--url", url).returncode == 0  # on all nodes now

    for node in cluster.nodes:
        got = replog("get", "--from", "2", "--limit", "2", "--url", cluster.url(node))
        assert got.stdout == "2\ttwo\n3\tthree\n"
    exact = replog("get", "--json", "--url", cluster.url(S2)).stdout.splitlines()
    assert [json.loads(line)["message"] for line in exact] == ["one", "two", "three", "four"]

    def rows() -> list[list[str]]:
        table = replog("status", "--url", url).stdout
        return [line.split("\t")[:7] for line in table.splitlines()[1:]]

    expected = [
        [url, "master", "healthy", "1", "4", "4", "-"],
        [cluster.url(S1), "secondary", "healthy", "1", "4", "4", "0"],
        [cluster.url(S2), "secondary", "healthy", "1", "4", "4", "0"],
    ]
    # Commit news reaches the secondaries a moment after their acknowledgement left.
    wait_until(lambda: rows() == expected, "the table is whole", explain=lambda: str(rows()))

    checked = replog("verify", *data)
    assert checked.returncode == 0
    assert [line.split("\t")[0::4] for line in checked.stdout.splitlines()] == [
        ["master", "ok"],
        ["secondary-1", "ok, identical to master"],
        ["secondary-2", "ok, identical to master"],
    ]
    assert_refusals_name_the_way_out(cluster)


def assert_refusals_name_the_way_out(cluster: ProcessCluster) -> None:
    too_many = replog("append", "x", "-w", "9", "--url", cluster.url(MASTER))
    assert too_many.returncode == 2
    assert "w is 9, but there are 3 nodes" in too_many.stderr
    at_a_secondary = replog("append", "x", "--url", cluster.url(S1))
    assert at_a_secondary.returncode == 2
    assert cluster.url(MASTER) in at_a_secondary.stderr
    cluster.stop(MASTER)
    nobody = replog("append", "x", "--url", cluster.url(MASTER))
    assert nobody.returncode == 5
    assert cluster.url(MASTER) in nobody.stderr
    for result in (too_many, at_a_secondary, nobody):
        assert (result.stdout, result.stderr.count("\n")) == ("", 1)


def without_waiting(said: str) -> str:
    """Return `said` without what is said of a wait, which a slow machine makes a long one."""
    return "".join(
        line for line in said.splitlines(keepends=True) if not line.startswith("… waiting: ")
    )


def wait_shown(cluster: ProcessCluster, last_id: int) -> None:
    def ids() -> list[int]:
        return [row["id"] for row in call("GET", f"{cluster.url(MASTER)}/logs").json()]

    wait_until(lambda: last_id in ids(), f"{last_id} is stored", explain=cluster.explain)


def looked_up(said: str) -> str:
    """Return what the command that ends `said` prints."""
    command = shlex.split(said.splitlines()[-1])
    assert command[:2] == ["replog", "get"]
    return replog(*command[1:]).stdout


def test_an_append_that_lacks_a_node_says_which_and_is_answered_when_it_is_back(
    cluster: ProcessCluster,
) -> None:
    url = cluster.url(MASTER)
    cluster.stop(S2)
    result = replog("append", "one", "--timeout", "3", "--url", url)
    assert (result.returncode, result.stdout) == (4, "1\n")
    assert result.stderr.startswith(f"… 1 is stored on 2 of 3 nodes, not yet on {cluster.url(S2)}")
    told, hint = result.stderr.splitlines()
    assert told.endswith("It will get there by itself.")
    assert hint == f"  wait for it:  replog acks 1 -w 3 --url {url}"

    with running("append", "two", "--url", url) as process:
        wait_shown(cluster, 2)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, stdout) == (130, "")
    told = without_waiting(stderr)
    assert told.startswith("stopped: the entry was under way and may be stored; look before")
    assert looked_up(stderr).splitlines()[-1] == "2\ttwo"

    with running("append", "three", "--url", url) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith(f"… waiting: not yet on {cluster.url(S2)} (")
        assert cluster.url(S1) not in said
        cluster.start(S2)
        stdout, _ = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, stdout) == (0, "3\n")


def test_ctrl_c_while_a_line_waits_tells_it_from_those_that_are_stored(
    cluster: ProcessCluster,
) -> None:
    with running("append", "-", "--url", cluster.url(MASTER)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("a\n")
        process.stdin.flush()
        assert process.stdout.readline() == "1\n"
        cluster.stop(S2)
        process.stdin.write("b\n")
        process.stdin.flush()
        wait_shown(cluster, 2)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, stdout) == (130, "")
    assert stderr.startswith(
        "stopped: stored last: line 1, as id 1; line 2 was under way and may be stored: look"
    )
    assert looked_up(stderr) == "2\tb\n"


def test_a_master_killed_while_an_append_waits_leaves_it_in_doubt(
    cluster: ProcessCluster,
) -> None:
    cluster.stop(S2)
    with running("append", "x", "--url", cluster.url(MASTER)) as process:
        wait_shown(cluster, 1)
        cluster.kill(MASTER)
        stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, stdout) == (5, "")
    assert "the entry may be stored or not; look before you append it again:" in stderr
    cluster.start(MASTER)
    wait_until(lambda: answers(f"{cluster.url(MASTER)}/livez"), "it is back")
    assert looked_up(stderr) == "1\tx\n"
