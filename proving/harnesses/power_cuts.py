"""Row 3: what was acknowledged survives a real loss of power, on any of the nodes or on all.

NETWORK, and DISK. A case is five cuts of one cluster; its history goes on across them.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from proving.disks import held_on_disk
from proving.ending import settle_and_judge
from proving.harness import Counts, Harness, Violation
from proving.judging import assert_holds
from proving.needs import LOOP_MOUNTS
from proving.recording import Clients, Recording, RecordingClient
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, wait_live
from tests.support.patched import patch
from tests.support.power import Cut, PowerDisk, freeze, power_disks
from tests.support.waiting import wait_until

NODES = (MASTER, S1, S2)
SOME: Sequence[tuple[str, ...]] = (
    (MASTER,), (S1,), (S2,), (S1, S2), (MASTER, S1), (MASTER, S2),
)  # fmt: skip
CUTS = 5
CUTS_OF_ALL = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """One cut.

    Attributes:
        what: what loses its memory.
        after: so many appends are answered first.
        later_s: and then so much time passes.
        is_left_to_notice: nobody is killed: the nodes find out by the next append, and end.
    """

    victims: tuple[str, ...]
    what: Cut
    after: int
    later_s: float
    is_left_to_notice: bool

    @property
    def is_of_all(self) -> bool:
        return self.victims == NODES


def plans(random: Random) -> list[Plan]:
    """Return the cuts of a case: two of them of all nodes."""
    victims: list[tuple[str, ...]] = [NODES] * CUTS_OF_ALL
    victims += [random.choice(SOME) for _ in range(CUTS - CUTS_OF_ALL)]
    random.shuffle(victims)
    return [
        Plan(
            victims=each,
            what=random.choice(("host", "drive")),
            after=random.randint(1, 200),
            later_s=random.uniform(0, 0.01),
            # Where the master is cut and a secondary too, that one gets nothing more to write.
            is_left_to_notice=(MASTER not in each or len(each) == 1) and random.random() < 0.3,
        )
        for each in victims
    ]


def run_cuts(case: int, directory: Path) -> Counts:
    """Cut the power five times; nothing that was acknowledged is lost, or ever differs."""
    with cluster_with_power(case, directory) as powered:
        for number, plan in enumerate(plans(Random(case))):
            powered.cut(number, plan)
        judged = settle_and_judge(powered.cluster, powered.recording, failed=powered.failed)
        return {**judged, **powered.counts}


def run_cuts_without_fsync(case: int, directory: Path) -> Counts:
    """Do the same to nodes that sync nothing: the judge must see it within the five cuts."""
    with cluster_with_power(case, directory, "no_sync") as powered:
        for number, plan in enumerate(plans(Random(case))):
            try:
                powered.cut(number, plan, look=powered.judge)
            except Violation:
                return {"planted": 1, f"caught by cut {number + 1}": 1}
    raise Violation(f"nodes that sync nothing passed {CUTS} cuts")


class PoweredCluster:
    """A cluster on disks whose power can be cut, clients that use it, and what came of it.

    Attributes:
        failed: nodes that met the failure of their disks while they ran.
    """

    def __init__(
        self,
        case: int,
        cluster: ProcessCluster,
        disks: Mapping[str, PowerDisk],
        recording: Recording,
    ) -> None:
        self.cluster = cluster
        self.recording = recording
        self.counts: Counter[str] = Counter()
        self.failed: set[str] = set()
        self._case = case
        self._disks = disks

    def cut(self, number: int, plan: Plan, *, look: Callable[[], None] = lambda: None) -> None:
        """Cut the power under load, note the disks alone, and start the nodes again.

        Args:
            look: is called before they start.
        """
        before = self.recording.counts.get("append ok", 0)
        clients = Clients(
            self.recording,
            seed=CUTS * self._case + number,
            padding_max=2000 if self._case % 3 == 0 else 0,  # batches of several pages
        )
        with clients:
            wait_until(
                lambda: clients.acknowledged >= before + plan.after,
                f"{plan.after} appends are answered before {plan}",
                explain=self.cluster.explain,
            )
            time.sleep(plan.later_s)
            random = Random(f"{self._case} {number}")
            if plan.is_left_to_notice:
                clients.stop()
                self._lose_disks(plan, random)
            else:
                self._lose_power(plan, random)
            if plan.is_of_all:
                clients.stop()  # all that was answered is written down now
            for node in plan.victims:
                self._disks[node].restore()
            for node in plan.victims:
                held = held_on_disk(self.cluster.node[node].data)
                self.recording.disk(f"cut {number + 1}", self.cluster.url(node), held.messages)
                self.counts["torn tails"] += not held.is_whole
            look()
            for node in plan.victims:
                self.cluster.start(node)
            for node in plan.victims:
                wait_live(self.cluster, node)
        self.counts["cuts of all nodes" if plan.is_of_all else "cuts of some nodes"] += 1
        self.counts[f"cuts of the {plan.what}"] += 1

    def judge(self) -> None:
        """Judge what was recorded so far. Raises: Violation."""
        self.recording.flush()
        assert_holds(self.recording.path)

    def _lose_power(self, plan: Plan, random: Random) -> None:
        """Stop the processes where they are, cut, and kill: nobody tells of what comes after."""
        for node in plan.victims:
            if random.random() < 0.5:
                self._disks[node].write_back(random)
        for node in plan.victims:
            freeze(self.cluster.node[node].pid)
        self._cut(plan)
        for node in plan.victims:
            self.cluster.kill(node)

    def _lose_disks(self, plan: Plan, random: Random) -> None:
        """Cut while nobody appends, and then append: the nodes find out, and end."""
        self.failed.update(plan.victims)
        said = {node: len(self.cluster.node[node].said()) for node in plan.victims}
        self._cut(plan)
        client = RecordingClient(self.recording, 0)
        client.append([f"{self._case} on dead disks {random.random()}"], w=1, timeout=5)
        client.close()
        for node in plan.victims:
            self._await_last_words(node, before=said[node])
            self.counts["nodes that noticed"] += 1

    def _cut(self, plan: Plan) -> None:
        for node in plan.victims:
            self._disks[node].cut(plan.what)
            self.recording.fault("lost-power", self.cluster.url(node))

    def _await_last_words(self, node: str, *, before: int) -> None:
        """Return when a node ended by itself, and said in one line what the disk did."""
        status = self.cluster.node[node].wait_ended()
        words = self.cluster.node[node].said()[before:]
        last = [line for line in words.splitlines() if "the node ends: " in line]
        if status in {0, -signal.SIGKILL} or len(last) != 1 or "Input/output error" not in last[0]:
            raise Violation(f"{node} ended with {status} on a dead disk, and said: {words}")


@contextmanager
def cluster_with_power(case: int, directory: Path, *patches: str) -> Iterator[PoweredCluster]:
    """Start a cluster; every other one ends its segments early, every fourth is on no tmpfs."""
    patches += ("small_segments",) if case % 2 else ()
    with (
        power_disks(directory, NODES, in_memory=case % 4 < 3) as disks,
        ProcessCluster(directory) as cluster,
        Recording(directory / "run.jsonl", cluster.urls) as recording,
    ):
        for node in cluster.node.values():
            patch(node, *patches)
        cluster.start_all()
        yield PoweredCluster(case, cluster, disks, recording)


HARNESSES = (
    Harness(
        name="power-cuts",
        row=3,
        promise="what was acknowledged survives a loss of power",
        how="ext4 under one, two or all nodes is shut down in the middle of the load, with or "
        "without its drive's cache; the disks are looked at before any node starts",
        unit="cuts",
        cases=100,
        per_case=CUTS,
        run=run_cuts,
        sample=(0,),
        needs=(LOOP_MOUNTS,),
    ),
    Harness(
        name="power-cuts-without-fsync",
        row=3,
        promise="a build without fsync is caught within five cuts",
        how="the same, with nodes that sync nothing",
        unit="builds",
        cases=20,
        run=run_cuts_without_fsync,
        sample=(0,),
        needs=(LOOP_MOUNTS,),
    ),
)
