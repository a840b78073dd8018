"""Rows 4 and 5 on running nodes: one call of one thread fails, or is the last of the process.

SHELL. A case is a column (where a cluster begins, which thread, which call, what comes of it) and
a number N: the N-th such call of that thread, from its first on.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

from proving.ending import settle_and_judge
from proving.harness import Counts, Violation
from proving.harnesses.syscalls.held import HeldNode, Thread
from proving.harnesses.syscalls.scripts import Script
from proving.order import broken_orders
from proving.recording import Recording, RecordingClient
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, answers, call, wait_live
from tests.support.waiting import wait_until

PROGRAM = "proving.harnesses.syscalls.small_node"

KILL = "signal=KILL"
EIO = "error=EIO"
NOTHING_WRITTEN = "retval=0"
"""A write that returns 0 and has written nothing: the only short write that strace can make."""

PLAN = ((1, 1), (3, 2), (1, 3), (2, 2), (1, 1), (3, 3), (1, 2))
"""How many messages each append has, and its write concern; segments are sealed on the way."""

PENDING_AFTER_S = 2.0
LEAVES_WITHIN_S = 1.0
_NAMES_THE_FAULT = re.compile(r"Input/output error|EIO|wrote nothing")


@dataclass(frozen=True, slots=True)
class Column:
    """Cases 1 to `most`: the N-th `call` of `thread` gets `answer`.

    Attributes:
        most: a number that no run comes to; its case proves that.
    """

    script: Script
    thread: Thread
    call: str
    answer: str
    most: int

    def __str__(self) -> str:
        return f"{self.script.of}: {self.call} of the {self.thread} thread gets {self.answer}"


def run_column(column: Column, number: int, directory: Path) -> Counts:
    """Run one case; its number counts from 1."""
    with (
        ProcessCluster(directory) as cluster,
        Recording(directory / "run.jsonl", cluster.urls) as recording,
    ):
        _begin(column.script, cluster, recording)
        counts = Counter(_run(column, number, cluster, recording, directory))
        for name in cluster.nodes:
            if not cluster.node[name].is_running:
                cluster.start(name)
        for name in cluster.nodes:
            wait_live(cluster, name)
        wait_until(lambda: _are_whole(cluster), "all is mended", explain=cluster.explain)
        failed = () if column.answer == KILL else (column.script.node,)
        counts.update(settle_and_judge(cluster, recording, failed=failed))
    return counts


def count_calls(script: Script, directory: Path) -> Counter[tuple[Thread, str]]:
    """Return how often each thread makes each call in a run without a fault."""
    with (
        ProcessCluster(directory) as cluster,
        Recording(directory / "run.jsonl", cluster.urls) as recording,
    ):
        _begin(script, cluster, recording)
        node = cluster.node[script.node]
        with HeldNode(node, directory, thread="main") as held:
            if held.wait_serving():
                _use(cluster, recording, script)
            node.end(signal.SIGTERM)
        traces = held.traces
        return Counter((thread, call.name) for thread in traces for call in traces[thread].calls)


def _begin(script: Script, cluster: ProcessCluster, recording: Recording) -> None:
    """Fill the disks, and start all nodes but the one that meets the fault."""
    for node in cluster.node.values():
        node.program = PROGRAM
    for line in script.prepare(cluster):
        recording.write(line)
    if script.is_rotten:
        recording.fault("rotted", cluster.url(script.node))
    others = [name for name in (S2, S1, MASTER) if name != script.node]
    for name in others:
        cluster.start(name)
    for name in others:
        wait_live(cluster, name)


def _are_whole(cluster: ProcessCluster) -> bool:
    """Return whether a read of each node comes to the end of the master's log."""
    shown: list[int] = []
    try:
        for name in cluster.nodes:
            answer = call("GET", f"{cluster.url(name)}/logs")
            shown.append(len(answer.json()) if answer.status_code == 200 else -1)
        health = call("GET", f"{cluster.url(MASTER)}/health").json()
    except httpx2.TransportError:
        return False
    return set(shown) == {health["last_id"]}


def _run(
    column: Column, number: int, cluster: ProcessCluster, recording: Recording, directory: Path
) -> Counts:
    """Run the cluster up to the end of the node that meets the fault, and judge that."""
    victim = cluster.node[column.script.node]
    inject = f"{column.call}:{column.answer}:when={number}"
    held = HeldNode(victim, directory, thread=column.thread, inject=inject)
    with held:
        if held.wait_serving():
            _use(cluster, recording, column.script)
        has_left = not victim.is_running
        _assert_the_others_go_on(cluster, recording, victim.name)
        status = victim.wait_ended() if has_left else victim.end(signal.SIGTERM)
    broken = broken_orders(held.calls, lambda _: None)
    if broken:
        raise Violation(f"{column}, {number}: " + "\n".join(broken))
    if not held.faulted:
        assert status == 0, f"{column}, {number}: it ended with {status}\n{victim.said()[-3000:]}"
        return {"calls that did not come": 1}
    if number == column.most:
        raise Violation(f"{column}: there are {number} or more; raise `most`")
    try:
        return _judge(column, held, status)
    except AssertionError as error:
        where = ", ".join(map(str, held.faulted))
        raise Violation(f"{column}, {number}, {where}: {error}") from error


def _judge(column: Column, held: HeldNode, status: int) -> Counts:
    """Assert that the node answered to its fault as it should."""
    where = f"{column.call} of {_kind(held.faulted[0].path)}"
    if column.answer == KILL:
        assert status == -signal.SIGKILL, status
        return {f"killed at {where}": 1, "killed": 1}
    words = held.node.said().splitlines()
    assert not any("Traceback" in line for line in words), "\n".join(words)
    counts = Counter({f"{column.answer} from {where}": 1, "failed": 1})
    is_sync = column.call in {"fsync", "fdatasync"}
    if not is_sync and status == 0:
        counts["the node went on"] += 1
        return counts
    assert status == 1, f"status {status} after a fault\n{held.node.said()[-3000:]}"
    named = [line for line in words if _NAMES_THE_FAULT.search(line)]
    assert len(named) == 1, f"not one line that says why: {named}\n{held.node.said()[-3000:]}"
    after_s = held.left_after_s(held.faulted[-1])
    assert after_s is not None, "strace did not see its end"
    counts["the node left"] += 1
    assert_left_soon(after_s)
    return counts


def assert_left_soon(after_s: float) -> None:
    """Assert, in a full run, that a node whose disk failed lived on for no longer than it may."""
    is_full_run = "PYTEST_CURRENT_TEST" not in os.environ  # no test judges time
    assert after_s <= LEAVES_WITHIN_S or not is_full_run, f"it lived on for {after_s:.3f} s"


def _kind(path: str) -> str:
    """Return what a file of a data directory is."""
    for kind in ("segments", "quarantine", "marks", "node.json"):
        if kind in path:
            return kind
    return "the directory"


def _use(cluster: ProcessCluster, recording: Recording, script: Script) -> None:
    """Append and read by plan, as long as the node that meets the fault is there."""
    url, node = cluster.url(MASTER), cluster.node[script.node]
    wait_until(
        lambda: (
            not node.is_running
            or (answers(f"{url}/readyz") and (not script.is_rotten or _are_whole(cluster)))
        ),
        "the master is ready",
        explain=cluster.explain,
    )
    client = RecordingClient(recording, 1, timeout_s=20)
    for at, (count, concern) in enumerate(PLAN):
        if not node.is_running:
            break
        messages = [f"message {one} of append {at} by plan" for one in range(count)]
        client.append(messages, w=concern, timeout=PENDING_AFTER_S, key=f"plan {at}")
        client.read(node.url)
    client.close()


def _assert_the_others_go_on(cluster: ProcessCluster, recording: Recording, victim: str) -> None:
    client = RecordingClient(recording, 2, timeout_s=20)
    outcomes: list[str]
    if victim == MASTER:
        outcomes = [client.read(cluster.url(name)).outcome for name in (S1, S2)]
    else:
        outcomes = [client.append(["the others go on"], w=2).outcome]
        outcomes.append(client.read(cluster.url(S2)).outcome)
    client.close()
    if set(outcomes) != {"ok"}:
        raise Violation(f"P8: the others did not go on: {outcomes}\n{cluster.explain()}")


def place(columns: Sequence[Column], case: int) -> tuple[Column, int]:
    """Return the column and the number of a case."""
    for column in columns:
        if case < column.most:
            return column, case + 1
        case -= column.most
    raise IndexError(case)
