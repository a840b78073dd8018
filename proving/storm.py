"""What can be done to the processes of a cluster, each written down and counted as it is done.

NETWORK.
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import httpx2

from proving.ending import note_disks
from proving.recording import Recording
from tests.support.cluster import MASTER, ProcessCluster, call, wait_live
from tests.support.waiting import wait_until

SUSPECTED_S, UNHEALTHY_S = 2.0, 5.0
"""R11: a node that was not heard for so long."""
START_S = 0.2
"""What a node that was forked takes until it serves, at the least."""


class Storm:
    """One cluster under faults. All choices are those of `random`, all moments those of a caller.

    Attributes:
        counts: of each kind, how much of it was done.
        down: nodes that do not run.
        paused: nodes that hang, and since when.
    """

    def __init__(self, cluster: ProcessCluster, recording: Recording, random: Random) -> None:
        self.cluster = cluster
        self.recording = recording
        self.random = random
        self.counts: Counter[str] = Counter()
        self.down: set[str] = set()
        self.paused: dict[str, float] = {}
        self._resume_at: dict[str, float] = {}
        self._started_at: dict[str, float] = {}
        self._said_before: dict[str, int] = {}

    def running(self) -> list[str]:
        return [node for node in self.cluster.nodes if node not in self.down]

    def up(self) -> list[str]:
        """Return the nodes that run and do not hang."""
        return [node for node in self.running() if node not in self.paused]

    def kill(self, nodes: Sequence[str]) -> None:
        """Kill some nodes at one moment; all of them, and their disks are looked at as well."""
        for node in nodes:
            self.cluster.node[node].send(signal.SIGKILL)
        for node in nodes:
            self.cluster.node[node].wait_ended()
            self.counts["nodes killed while paused"] += self.paused.pop(node, None) is not None
            self.counts["nodes killed while starting"] += self._is_young(node)
            self.counts[f"{'master' if node == MASTER else 'secondary'} killed"] += 1
            self.down.add(node)
            self.recording.fault("kill", self.cluster.url(node))
        self.counts[f"kills of {len(nodes)} at once"] += 1
        if len(self.down) == len(self.cluster.nodes):
            snapshot = f"all ended {self.recording.now():.6f}"
            note_disks(self.cluster, self.recording, snapshot, is_torn=True)
            self.counts["disks looked at after a kill"] += len(self.down)

    def start(self, node: str) -> None:
        """Start a node, without waiting for it."""
        self._said_before[node] = len(self.cluster.node[node].said())
        self.cluster.start(node)
        self._started_at[node] = time.monotonic()
        self.down.discard(node)
        self.counts["starts"] += 1
        self.recording.fault("start", self.cluster.url(node))

    def stop(self, node: str) -> None:
        """End a node in order, also one that still starts.

        Raises:
            AssertionError: it did not end so, or told of a defect.
        """
        self._wait_for_handler(node)
        self.cluster.stop(node)
        said = self.cluster.node[node].said()[self._said_before.get(node, 0) :]
        assert "Traceback" not in said, said
        self.down.add(node)
        self.counts["stops"] += 1
        self.counts["nodes stopped while starting"] += "stopped; the log ends at" not in said
        self.recording.fault("stop", self.cluster.url(node))

    def restart_twice(self, node: str) -> None:
        """End a node in order and start it, and do so again while it starts."""
        self.stop(node)
        self.start(node)
        time.sleep(self.random.uniform(0, START_S))  # the moment is to be any
        self.stop(node)
        self.start(node)

    def pause(self, node: str, *, for_s: float) -> None:
        """Let a node hang: it keeps its connections, and takes and says nothing.

        It goes on at the first `resume_due` after `for_s` seconds.
        """
        self.cluster.node[node].send(signal.SIGSTOP)
        self.paused[node] = time.monotonic()
        self._resume_at[node] = self.paused[node] + for_s
        self.recording.fault("pause", self.cluster.url(node))

    def resume_due(self) -> None:
        """Let those go on that hung as long as they were to."""
        for node in list(self.paused):
            if self._resume_at[node] <= time.monotonic():
                self.resume(node)

    def resume(self, node: str) -> None:
        paused_s = time.monotonic() - self.paused.pop(node)
        if paused_s > SUSPECTED_S and node != MASTER and MASTER in self.up():
            self.counts[f"pauses seen as {self._health_of(node)}"] += 1
        self.cluster.node[node].send(signal.SIGCONT)
        self.counts["pauses"] += 1
        self.counts["pauses beyond SUSPECTED"] += paused_s > SUSPECTED_S
        self.counts["pauses beyond UNHEALTHY"] += paused_s > UNHEALTHY_S
        self.recording.fault("resume", self.cluster.url(node))

    def delay(self, node: str, seconds: float) -> None:
        """Set the injected latency of a secondary that answers (R12)."""
        body = json.dumps({"seconds": seconds})
        answer = call("PUT", f"{self.cluster.url(node)}/delay", body=body)
        assert answer.status_code == 200, answer.text
        self.counts["delays set"] += 1
        self.recording.fault(f"delay {seconds:g}", self.cluster.url(node))

    def heal(self) -> None:
        """Let every node run, and return when each answers."""
        for node in list(self.paused):
            self.resume(node)
        for node in sorted(self.down):
            self.start(node)
        for node in self.cluster.nodes:
            wait_live(self.cluster, node)

    def _wait_for_handler(self, node: str) -> None:
        """Return when SIGTERM meets the program: the interpreter ends by it before that."""
        status = Path(f"/proc/{self.cluster.node[node].pid}/status")
        if status.exists():
            wait_until(
                lambda: _catches(signal.SIGTERM, status.read_text()),
                f"{node} catches SIGTERM",
                look_every_s=0.001,
            )
        else:  # not Linux
            wait_live(self.cluster, node)

    def _is_young(self, node: str) -> bool:
        """Return whether a node may not have come to serve yet."""
        return time.monotonic() - self._started_at.get(node, 0.0) < START_S

    def _health_of(self, node: str) -> str:
        """Return how the master sees a secondary."""
        try:
            answer = call("GET", f"{self.cluster.url(MASTER)}/health", timeout_s=2)
        except httpx2.TransportError:
            return "unknown"
        each = json.loads(answer.content)["secondaries"]
        [health] = [one["health"] for one in each if one["url"] == self.cluster.url(node)]
        return str(health)


def _catches(number: signal.Signals, status: str) -> bool:
    """Return whether a process has a handler for a signal, by what Linux tells of it."""
    [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught, 16) >> (number - 1) & 1)
