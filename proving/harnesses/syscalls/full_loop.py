"""Row 4 with a sync that really fails: ext4 on a loop device whose file finds no more room.

SHELL. The file is a sparse one on a small tmpfs. Once that is full the device cannot write, and the
kernel answers an fdatasync with EIO. What was dirty then is gone: the next mount shows the rest.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

from proving.ending import settle_and_judge
from proving.harness import Counts, Violation
from proving.recording import Clients, Recording, RecordingClient
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, wait_live
from tests.support.waiting import wait_until

VICTIMS = (MASTER, S1, MASTER)
"""Of the cases by turns; at the last one the secondaries are down, and nobody has a copy."""
ROOM = "16m"
SIZE_BYTES = 32 * 1024 * 1024
ROOM_LEFT_BYTES = 1024 * 1024
"""The most that is left to the device when the room is taken: some hundreds of appends."""

_NAMES_THE_FAULT = re.compile(r"Input/output error|Read-only file system")


class LoopDisk:
    """An ext4 on a loop device, mounted at `mount`; its file stands in `memory`, a tmpfs."""

    def __init__(self, memory: Path, mount: Path) -> None:
        self._memory = memory
        self._mount = mount
        self._image = memory / "image"
        self._ballast = memory / "ballast"

    def make(self) -> None:
        with self._image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=1", self._image)

    def mount(self) -> None:
        run("mount", "-o", "loop", self._image, self._mount)

    def unmount(self) -> None:
        run("umount", self._mount)

    def take_the_room(self, *, but: int) -> None:
        """Let the device have `but` bytes more, and nothing beyond."""
        room = os.statvfs(self._memory)
        with self._ballast.open("wb") as file:
            for _ in range(max(0, room.f_bavail * room.f_frsize - but) >> 16):
                file.write(bytes(1 << 16))

    def give_the_room_back(self) -> None:
        self._ballast.unlink()


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)


@contextmanager
def loop_disk(memory: Path, mount: Path) -> Iterator[LoopDisk]:
    """Give a new disk that is mounted; at the end nothing of it is left."""
    for directory in (memory, mount):
        directory.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={ROOM}", "replog-proving", memory)
    try:
        disk = LoopDisk(memory, mount)
        disk.make()
        disk.mount()
        try:
            yield disk
        finally:
            if mount.is_mount():
                run("umount", "--lazy", mount)
    finally:
        run("umount", "--lazy", memory)


def run_case(case: int, directory: Path) -> Counts:
    """Have the syncs of one node fail for good, under load; the number decides when."""
    turn = case % len(VICTIMS)
    victim, is_alone = VICTIMS[turn], turn == len(VICTIMS) - 1
    concerns = (1,) if is_alone else (1, 2, 3)
    random = Random(case)
    with (
        loop_disk(directory / "memory", directory / victim) as disk,
        ProcessCluster(directory) as cluster,
        Recording(directory / "run.jsonl", cluster.urls) as recording,
    ):
        cluster.start_all()
        node = cluster.node[victim]
        with Clients(recording, seed=case, clients=4, concerns=concerns, timeout_s=5) as clients:
            begin = random.randrange(5, 100)
            wait_until(lambda: clients.acknowledged >= begin, "appends", explain=cluster.explain)
            if is_alone:
                for name in (S1, S2):
                    cluster.kill(name)
            disk.take_the_room(but=random.randrange(ROOM_LEFT_BYTES))
            status = node.wait_ended(120)
            recording.fault("sync-failed", node.url)
            if not is_alone:
                _assert_the_others_go_on(recording, cluster, victim)
        counts = Counter(_judge_end(status, node.said().splitlines(), victim))
        disk.unmount()
        recording.fault("lost-power", node.url)
        disk.give_the_room_back()
        disk.mount()
        for name in cluster.nodes:
            if not cluster.node[name].is_running:
                cluster.start(name)
                wait_live(cluster, name)
        counts.update(settle_and_judge(cluster, recording, failed=(victim,)))
        cluster.close()
        return counts


def _assert_the_others_go_on(recording: Recording, cluster: ProcessCluster, victim: str) -> None:
    client = RecordingClient(recording, 100, timeout_s=20)
    outcomes: list[str]
    if victim == MASTER:
        outcomes = [client.read(cluster.url(name)).outcome for name in (S1, S2)]
    else:
        outcomes = [client.append([f"{number} goes on"], w=2).outcome for number in range(5)]
    client.close()
    if set(outcomes) != {"ok"}:
        raise Violation(f"the others did not go on: {outcomes}\n{cluster.explain()}")


def _judge_end(status: int, said: Sequence[str], victim: str) -> Counts:
    """Assert that the node ended by itself, and said why in one line."""
    assert status == 1, (status, said[-20:])
    assert not any("Traceback" in line for line in said), "\n".join(said)
    named = [line for line in said if _NAMES_THE_FAULT.search(line)]
    assert len(named) == 1, "\n".join(said)
    what = next(word for word in ("fdatasync", "fsync", "write", "marks") if word in named[0])
    return {f"{victim} ended by a failed {what}": 1, "failed": 1}
