"""Row 13: a disk that runs full refuses, serves, beats, and takes appends again by itself.

NETWORK, and DISK. A case is three times that the disks of one node, or of all, run full: by
appends or by other files, by bytes or by names; the second time right after the first, the
third time with an end and a start of the nodes in the middle of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from proving.ending import look_at_disks, settle_and_judge
from proving.harness import Counts, Harness, Violation
from proving.needs import ROOT
from proving.recording import Clients, Recording, RecordingClient
from tests.support.beating import wait_beats
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, call, wait_live
from tests.support.patched import patch
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.waiting import wait_until

NODES = (MASTER, S1, S2)
PLACES = ((S1,), (MASTER,), NODES)
WAYS = ("files", "appends", "names")
TIMES = 3
SIZE = "8m"
NAMES = 200


def run_full(case: int, directory: Path) -> Counts:
    """Let disks run full three times, and judge everything that was answered meanwhile."""
    places, way = PLACES[case % 3], WAYS[case // 3 % 3]
    random = Random(case)
    with cluster_on_small_disks(directory, places) as (cluster, disks):
        # Bytes end in the middle of a segment, names where the next one is to be made.
        patches = ("small_segments",) if way == "names" or case // 9 % 2 else ()
        for node in cluster.node.values():
            patch(node, *patches)
        begin_on_a_full_disk(cluster, disks, places[-1])
        cluster.start_all()
        with Recording(directory / "run.jsonl", cluster.urls) as recording:
            story = FullDisks(cluster, disks, recording, case=case)
            for number in range(TIMES):
                story.run_full(way, random, restarts=number == TIMES - 1)
            story.client.close()
            return {**settle_and_judge(cluster, recording), **story.counts}


@contextmanager
def cluster_on_small_disks(
    directory: Path, places: tuple[str, ...]
) -> Iterator[tuple[ProcessCluster, Mapping[str, SmallDisk]]]:
    """Give a cluster that does not run yet, and the disks of `places`."""
    with ExitStack() as stack:
        disks = {
            place: stack.enter_context(small_disk(directory / place, size=SIZE, files=NAMES))
            for place in places
        }
        yield stack.enter_context(ProcessCluster(directory)), disks


def begin_on_a_full_disk(
    cluster: ProcessCluster, disks: Mapping[str, SmallDisk], node: str
) -> None:
    """A node without a log cannot begin one where there is no room, and says so."""
    disks[node].fill(leave=0)
    cluster.start(node)
    status = cluster.node[node].wait_ended()
    said = cluster.node[node].said()
    if status == 0 or "Traceback" in said or "free some space" not in said:
        raise Violation(f"{node} began on a full disk, ended with {status} and said: {said}")
    disks[node].free()


class FullDisks:
    """A cluster some of whose disks run full, a client that probes it, and what it met."""

    def __init__(
        self,
        cluster: ProcessCluster,
        disks: Mapping[str, SmallDisk],
        recording: Recording,
        *,
        case: int,
    ) -> None:
        self.cluster = cluster
        self.disks = disks
        self.recording = recording
        self.client = RecordingClient(recording, 0, timeout_s=60.0)
        self.counts: Counter[str] = Counter()
        self._case = case
        self._times = 0
        self._probes = 0
        self._is_master_full = MASTER in disks

    def run_full(self, way: str, random: Random, *, restarts: bool) -> None:
        """Fill the disks under load, look at what still goes, and free them."""
        self._times += 1
        pids = {node.name: node.pid for node in self.cluster.node.values()}
        clients = Clients(
            self.recording,
            seed=TIMES * self._case + self._times,
            clients=4,
            timeouts=(0.5,),
            padding_max=60_000 if way == "appends" else 4_000,
            reads=0.02 if way == "appends" else 0.2,
        )
        with clients:
            self._fill(way, random)
            for place in self.disks:
                self._await_full(place)
                self.recording.fault("full", self.cluster.url(place))
            self._look()
            look_at_disks(self.cluster, self.recording, f"full, {self._times}")
            if way == "appends":
                clients.stop()  # or they fill what is freed before it is looked at
            if restarts:
                self._restart()
            else:
                now = {node.name: node.pid for node in self.cluster.node.values()}
                assert now == pids, "a node ended because its disk is full"
            self._free(way)
            self._await_resumed()
        self.counts[f"full by {way}"] += 1

    def _fill(self, way: str, random: Random) -> None:
        """Leave the master more room: where nothing is appended, nobody else runs full."""
        for place, disk in self.disks.items():
            is_last = place == MASTER
            if way == "files":
                disk.fill(leave=random.randint(0, 65_536) + (131_072 if is_last else 0))
            elif way == "names":
                disk.fill_names(leave=3 if is_last else 1)
            elif is_last and len(self.disks) > 1:
                disk.resize(f"{(disk.size_bytes >> 20) + 1}m")

    def _free(self, way: str) -> None:
        for disk in self.disks.values():
            if way == "appends":
                # The others took appends meanwhile: there must be room for those as well.
                held = sum(path.stat().st_size for path in self.cluster.master.segment_files())
                disk.resize(f"{(held >> 20) + 4}m")
            else:
                disk.free()

    def _await_full(self, place: str) -> None:
        wait_until(
            lambda: self._status(place) == "disk-full",
            f"the disk of {place} runs full",
            deadline_s=120.0,
            explain=self.cluster.explain,
        )

    def _look(self) -> None:
        """What does not need the full disks goes on."""
        for node in self.cluster.nodes:
            read = self.client.read(self.cluster.url(node))
            if read.outcome != "ok":
                raise Violation(f"{node} does not serve beside a full disk: {self.client.told}")
        wait_beats(self.cluster, MASTER)
        if self._is_master_full:
            wait_until(self._is_refused, "an append is refused", explain=self.cluster.explain)
            self.counts["refused for want of space"] += 1
        else:
            append = self.client.append([self._probe()], w=2)
            if append.outcome != "ok" or self._status(S1) != "disk-full":
                raise Violation(f"P8: w=2 waited for the full disk of a third node: {append}")
            self.counts["answered beside a full disk"] += 1

    def _is_refused(self) -> bool:
        """Append a page and more; say whether it was refused, for the right reason."""
        self.client.append([self._probe() + 8_000 * "x"], w=1, timeout=0)
        assert self.client.told is not None, self.cluster.explain()
        status, body, headers = self.client.told
        if status == 200:
            return False  # The load had left some room.
        problem = json.loads(body)
        why = (status, problem["type"], "retry-after" in headers)
        if why != (507, "/problems/disk-full", True) or "No space left" not in problem["detail"]:
            raise Violation(f"an append on a full disk was answered {self.client.told}")
        return True

    def _restart(self) -> None:
        """End nodes whose disk is full, and start them on it: they serve what they hold."""
        for place in self.disks:
            self.cluster.stop(place)
        for place in self.disks:
            self.cluster.start(place)
        for place in self.disks:
            wait_live(self.cluster, place)
        self._await_readable()
        if self._is_master_full:
            wait_until(self._is_refused, "an append is refused", explain=self.cluster.explain)
            self.counts["started on a full disk"] += 1

    def _await_readable(self) -> None:
        for node in self.cluster.nodes:
            wait_until(
                lambda node=node: self.client.read(self.cluster.url(node)).outcome == "ok",  # type: ignore[misc]
                f"{node} serves",
                explain=self.cluster.explain,
            )

    def _await_resumed(self) -> None:
        """Every node takes appends again, without being asked to."""
        wait_until(
            lambda: self.client.append([self._probe()], w=3, timeout=30).outcome == "ok",
            "appends are taken again",
            deadline_s=60.0,
            explain=self.cluster.explain,
        )

    def _status(self, node: str) -> str:
        return str(call("GET", f"{self.cluster.url(node)}/health").json()["status"])

    def _probe(self) -> str:
        self._probes += 1
        return f"{self._case} probe {self._probes} "


HARNESSES = (
    Harness(
        name="full-disks",
        row=13,
        promise="a full disk refuses, serves, and resumes by itself",
        how="8 MiB tmpfs under one secondary, the master or all run full of appends, of other "
        "files or of names, again right after it resumed, and across a restart",
        unit="full disks",
        cases=54,
        per_case=TIMES,
        run=run_full,
        sample=(),
        needs=(ROOT,),
    ),
)
