"""A cluster whose second secondary goes away and comes back, and the history of it.

NETWORK, and DISK while nodes do not run.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

from proving.harness import Violation
from proving.recording import Recording, RecordingClient
from replog.core.entry import EntryId, LogId
from replog.history.lines import Append
from replog.storage.batch import encode_message
from replog.storage.filesystem import PosixFilesystem
from replog.storage.log import Log
from replog.storage.node_state import load_node_state
from tests.support.cluster import MASTER, S2, ProcessCluster, call, wait_live
from tests.support.stories import is_ready, last_id
from tests.support.waiting import wait_until

FILLING: Final = 900 * "x"
"""Makes an entry of a kB, as in the benchmarks."""


class Stage:
    """One case: what is done to its nodes is written down as it is done.

    Attributes:
        counts: what was met.
    """

    def __init__(self, cluster: ProcessCluster, recording: Recording, case: int) -> None:
        self.cluster = cluster
        self.recording = recording
        self.random = Random(f"rejoin {case}")
        self.counts: Counter[str] = Counter()
        self._client = RecordingClient(recording, 99, timeout_s=60)
        self._made = 0

    def append(self, count: int, *, w: int, timeout: float | None = None, filling: str = "") -> str:
        """Append `count` new entries at once; return the outcome, which is "ok" without timeout."""
        first = self._made
        self._made += count
        messages = [f"s {number} {filling}" for number in range(first, self._made)]
        self._client.close()  # the master may have been another process at the last call
        outcome = self._client.append(messages, w=w, timeout=timeout).outcome
        if timeout is None and outcome != "ok":
            raise Violation(f"an append at w={w} was {outcome}\n{self.cluster.explain()}")
        return outcome

    def append_many(self, count: int, *, w: int, at_once: int = 1000, filling: str = "") -> None:
        """Append `count` entries, `at_once` a call."""
        while count > 0:
            self.append(min(count, at_once), w=w, filling=filling)
            count -= at_once

    # --- nodes --------------------------------------------------------------------------

    def stop(self, node: str) -> None:
        wait_live(self.cluster, node)
        self.cluster.stop(node)
        self.recording.fault("stop", self.cluster.url(node))

    def kill(self, node: str) -> None:
        self.cluster.kill(node)
        self.recording.fault("kill", self.cluster.url(node))
        self.counts[f"{'master' if node == MASTER else 'secondary'} killed"] += 1

    def start(self, node: str, *, delay_s: float | None = None) -> None:
        self.cluster.start(node, delay_s=delay_s)
        self.recording.fault("start", self.cluster.url(node))

    def start_and_wait(self, *nodes: str) -> None:
        for node in nodes:
            self.start(node)
        for node in nodes:
            wait_until(
                lambda node=node: is_ready(self.cluster, node),  # type: ignore[misc]
                f"{node} is ready",
                explain=self.cluster.explain,
            )

    def wait_level(self, *, within_s: float = 60.0) -> None:
        """Return when S2 has proven its log and shows what the master shows now."""
        wait_live(self.cluster, MASTER)
        wanted = last_id(self.cluster, MASTER)
        wait_until(
            lambda: self.link_of(S2) == "streaming" and last_id(self.cluster, S2) >= wanted,
            "S2 is level",
            deadline_s=within_s,
            explain=self.cluster.explain,
        )

    def link_of(self, node: str) -> str:
        """Return the state of the link to a secondary, as the master tells it."""
        health = call("GET", f"{self.cluster.url(MASTER)}/health").json()
        at = self.cluster.nodes.index(node) - 1
        return str(health["secondaries"][at]["link"])

    def wait_link(self, node: str, state: str) -> None:
        wait_until(
            lambda: self.link_of(node) == state,
            f"the link to {node} is {state}",
            explain=self.cluster.explain,
        )

    def holders(self, entry_id: int) -> set[str]:
        """Return the URLs of the nodes that count as holders of an entry now."""
        answer = call("GET", f"{self.cluster.url(MASTER)}/logs/{entry_id}/acks?w=1")
        return {str(ack["url"]) for ack in json.loads(answer.content)["acks"]}

    # --- disks --------------------------------------------------------------------------

    def data(self, node: str) -> Path:
        return self.cluster.node[node].data

    def content(self, node: str) -> bytes:
        """Return all segment files of a node, one after the other."""
        files = self.cluster.node[node].segment_files()
        return b"".join(path.read_bytes() for path in files)

    def quarantined(self, node: str) -> bytes:
        paths = sorted((self.data(node) / "quarantine").glob("*"))
        return b"".join(path.read_bytes() for path in paths)

    def backup(self, node: str, name: str) -> Path:
        """Copy a node's directory as docs/operations.md says, also while it runs."""
        target = self.data(node).parent / name
        target.mkdir()
        for file in ("node.json", "marks"):
            shutil.copy(self.data(node) / file, target / file)
        shutil.copytree(self.data(node) / "segments", target / "segments")
        return target

    def put_back(self, node: str, backup: Path) -> None:
        shutil.rmtree(self.data(node))
        shutil.move(backup, self.data(node))
        self.recording.fault("wiped", self.cluster.url(node))
        self.counts["stale directories put back"] += 1

    def wipe(self, node: str) -> None:
        self.cluster.empty(node)
        self.recording.fault("wiped", self.cluster.url(node))
        self.counts["disks wiped"] += 1

    def grow_tail(self, node: str, *, batches: int, is_committed: bool) -> bytes:
        """Put batches behind the log of a stopped secondary, as its master may have sent them.

        They are what power took from the master before its sync: no client was answered.
        Returns their bytes.
        """
        before = self.content(node)
        filesystem, directory = PosixFilesystem(), str(self.data(node))
        state = load_node_state(filesystem, f"{directory}/node.json")
        assert state is not None, node
        log = Log.open(filesystem, directory, is_master=True, log_id=LogId(state.log_id or ""))
        known = log.head.last_id
        for _ in range(batches):
            count = self.random.choice((1, 3, 50))
            messages = [f"t {self._made + place}" for place in range(count)]
            self._made += count
            log.append(
                list(map(encode_message, messages)),
                epoch=state.epoch,
                committed_id=log.head.last_id if is_committed else known,
                time_ms=int(time.time() * 1000),
            )
            head = log.sync()
            if is_committed:
                log.note_commit(EntryId(head.last_id))
            self.unanswered(messages)
        log.close()
        self.counts["batches of a tail of its own"] += batches
        return self.content(node)[len(before) :]

    def unanswered(self, messages: list[str]) -> None:
        """Note an append that no answer came to."""
        self.recording.write(Append(98, self.recording.now(), "unknown", messages, 1))

    def close(self) -> None:
        self._client.close()
