"""Row 9: each node in turn is stopped in order and started again, under load.

NETWORK.
"""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

from proving.disks import held_on_disk
from proving.ending import settle_and_judge
from proving.harness import Counts, Harness, Violation
from proving.recording import Clients, Recording, RecordingClient, brief
from proving.sent import Sent
from proving.storm import Storm
from replog import Client, ClientError
from replog.history.lines import Append
from tests.support.cluster import MASTER, Cluster, ProcessCluster, call, wait_live
from tests.support.waiting import wait_until


def run_restart(case: int, directory: Path) -> Counts:
    """Restart every node once, in any order: three ends with status 0.

    In every other case the next node is stopped only when the last one has caught up; else as
    soon as that one serves. In a third of the cases the master is stopped while a secondary is
    down and an append waits for it: the answer says that it is pending. In a quarter of them each
    other node is stopped again while it starts. Users of the package's client see nothing of it.
    """
    random = Random(f"rolling-restarts {case}")
    with ProcessCluster(directory) as cluster:
        cluster.start_all()
        with Recording(directory / "run.jsonl", cluster.urls) as recording:
            storm = Storm(cluster, recording, random)
            with (
                Clients(recording, seed=case, clients=5, lives=[use_the_package]) as clients,
                ExitStack() as at_a_failure,
            ):
                # A client that waits for a node that is down would wait for ever.
                at_a_failure.callback(cluster.close)
                for node in random.sample(cluster.nodes, len(cluster.nodes)):
                    _wait_for_answers(cluster, clients)
                    if node == MASTER and case % 3 == 2:
                        restart_while_one_waits(storm)
                    elif case % 4 == 1:
                        storm.restart_twice(node)
                    else:
                        storm.stop(node)
                        storm.start(node)
                    wait_live(cluster, node)
                    if case % 2:
                        wait_until(
                            partial(_is_linked, cluster), "all are linked", explain=cluster.explain
                        )
                _wait_for_answers(cluster, clients)
                at_a_failure.pop_all()
            counts = settle_and_judge(cluster, recording)
            _check_cut_off(cluster, recording)
        return {**storm.counts, **counts, "appends cut off": len(recording.cut_off)}


def _wait_for_answers(cluster: Cluster, clients: Clients) -> None:
    wanted = clients.acknowledged + 20
    wait_until(
        lambda: clients.acknowledged >= wanted, "appends are answered", explain=cluster.explain
    )


def _is_linked(cluster: Cluster) -> bool:
    """Return whether every secondary has proved its log to the master, and takes its stream."""
    health = json.loads(call("GET", f"{cluster.url(MASTER)}/health").content)
    return all(one["link"] == "streaming" for one in health["secondaries"])


def restart_while_one_waits(storm: Storm) -> None:
    """Restart the master, and a secondary for which an append waits.

    Raises:
        Violation: the append was not answered as pending (P3).
    """
    cluster, recording = storm.cluster, storm.recording
    secondary = storm.random.choice(cluster.nodes[1:])
    storm.stop(secondary)
    message = f"waits for {secondary} while the master stops"
    sent = Sent(recording, [message], w=len(cluster.nodes))
    wait_until(
        lambda: message in call("GET", f"{cluster.url(MASTER)}/logs?last=5000").text,
        "what waits is stored",
        explain=cluster.explain,
    )
    storm.stop(MASTER)
    line = sent.answer()
    if line.outcome != "pending":
        raise Violation(
            f"P3: the master stopped in order, and answered one who waited: {brief(line)}"
        )
    storm.counts["answers by a master that stops"] += 1
    for node in (MASTER, secondary):
        storm.start(node)


def use_the_package(client: RecordingClient, random: Random, stopping: threading.Event) -> None:
    """Append with the package's client, and read back; raise whatever it raises."""
    recording = client.recording
    made = 0
    with Client(recording.nodes, retry_for=60) as package:
        while not stopping.is_set():
            message = f"package-{made}"
            w = random.choice((1, 2, 3))
            line = Append(client.number, recording.now(), "unknown", [message], w, key=message)
            try:
                stored = package.append(message, w=w, key=message)
                line.returned = recording.now()
                line.outcome = "pending" if stored.is_pending else "ok"
                line.first_id = stored.id
                if made % 8 == 0 and package.get(stored.id).message != message:
                    raise Violation(f"P4: entry {stored.id} was read back as another one")
            except ClientError as error:
                raise Violation(
                    f"a client of the package met {error!r} on {brief(line)}"
                ) from error
            finally:
                recording.write(line)
            made += 1
            recording.count("appends by the package's client")
            stopping.wait(0.005)


def _check_cut_off(cluster: ProcessCluster, recording: Recording) -> None:
    """Raise Violation where a node that stopped in order took an append and did not answer it.

    A connection that is closed between two requests may meet the next one: it was not read.
    """
    stored = set(held_on_disk(cluster.master.data).messages)
    for line in recording.cut_off:
        if not stored.isdisjoint(line.messages):
            raise Violation(
                f"P3: every end was in order, and this was stored unanswered: {brief(line)}"
            )


HARNESSES = (
    Harness(
        name="rolling-restarts",
        row=9,
        promise="nothing acknowledged is lost, every answer is honest, every end is clean",
        how="each node in turn ends by SIGTERM and starts again, the master as well, under load; "
        "in a quarter of them it is ended once more while it starts",
        unit="rolling restarts",
        cases=100,
        run=run_restart,
        sample=(2,),
    ),
)
