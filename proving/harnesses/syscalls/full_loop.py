"""Row 4 with a disk that really fails: ext4 on a loop device whose file finds no more room.

SHELL. The file is a sparse one on a small tmpfs. Once that is full the device cannot write, and the
kernel answers an fdatasync with EIO. What was dirty then is gone: the next mount shows the rest.
Where a sync of somebody else fails first, ext4 turns read-only, and the node meets that by a write.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Self

from proving.calls import Trace
from proving.ending import settle_and_judge
from proving.harness import Counts, Violation
from proving.harnesses.syscalls.last_calls import (
    first_failure,
    refused_though_written,
    syncs_after,
)
from proving.harnesses.syscalls.nodes import assert_left_soon
from proving.recording import Clients, Recording, RecordingClient
from proving.strace import Strace
from replog.history.reading import read_history
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, wait_live
from tests.support.patched import patch
from tests.support.waiting import wait_until

VICTIMS = (MASTER, S1, MASTER)
"""Of the cases by turns; at the last one the secondaries are down."""
ROOM = "16m"
SIZE_BYTES = 32 * 1024 * 1024
ROOM_LEFT_BYTES = 1024 * 1024
"""The most that is left to the device when the room is taken: some hundreds of appends."""

SYNCS_MAX = 100
LATER = 1_000_000
"""Added to the seed of the clients that come after the failure: their messages are others."""
CALLS = (
    "openat", "close", "pwrite64", "write", "ftruncate", "fdatasync", "fsync", "sync_file_range",
    "syncfs", "rename", "unlink", "mkdir",
)  # fmt: skip
SHOWN_S = (0.01, 0.03, 0.1, 0.3, 1.0)
"""How long the node lived on is counted as within one of these."""

_NAMES_THE_FAULT = re.compile(r"Input/output error|Read-only file system")


class LoopDisk:
    """An ext4 on a loop device, mounted at `mount`; its file stands in `memory`, a tmpfs.

    Args:
        turns_read_only: ext4 does so as soon as it could not write some file's content.
    """

    def __init__(self, memory: Path, mount: Path, *, turns_read_only: bool) -> None:
        self._options = "loop,data_err=abort" if turns_read_only else "loop"
        self._memory = memory
        self._mount = mount
        self._image = memory / "image"
        self._ballast = memory / "ballast"

    def make(self) -> None:
        with self._image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=1", self._image)

    def mount(self) -> None:
        run("mount", "-o", self._options, self._image, self._mount)

    def unmount(self) -> None:
        """Return when the filesystem is gone, and all that was not on the device with it.

        A mount namespace that is made meanwhile, as that of a container, has it for a moment too.
        """
        run("umount", self._mount)
        wait_until(lambda: not run("losetup", "-j", self._image), "the loop device is free")

    def take_the_room(self, *, but: int) -> None:
        """Let the device have `but` bytes more, and nothing beyond.

        It may take some of the room itself meanwhile, when the kernel writes back: look again then.
        """
        with self._ballast.open("wb") as file:
            while (size := self._room_bytes() - but) > 0:
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                else:
                    return

    def _room_bytes(self) -> int:
        room = os.statvfs(self._memory)
        return room.f_bavail * room.f_frsize

    def fail_somebody_else(self) -> None:
        """Return when a sync of another file has failed, and ext4 takes no writes any more."""
        path = self._mount / "lost+found" / "another"
        for _ in range(SYNCS_MAX):
            try:
                with path.open("ab") as file:
                    file.write(bytes(1 << 16))
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                if error.errno == errno.EROFS:
                    return
        raise AssertionError(f"{SYNCS_MAX} syncs without room, and ext4 is not read-only")

    def give_the_room_back(self) -> None:
        self._ballast.unlink()


def run(*command: str | Path) -> str:
    """Run a command to its end, and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@contextmanager
def loop_disk(memory: Path, mount: Path, *, turns_read_only: bool) -> Iterator[LoopDisk]:
    """Give a new disk that is mounted; at the end nothing of it is left."""
    for directory in (memory, mount):
        directory.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={ROOM}", "replog-proving", memory)
    try:
        disk = LoopDisk(memory, mount, turns_read_only=turns_read_only)
        disk.make()
        disk.mount()
        try:
            yield disk
        finally:
            if mount.is_mount():
                run("umount", "--lazy", mount)
    finally:
        run("umount", "--lazy", memory)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a case is to be.

    Attributes:
        victim: the node whose disk fails.
        is_alone: the secondaries are down then, and nobody else has a copy.
        is_read_only: a sync of somebody else fails first, and the node meets what comes of it.
    """

    case: int
    victim: str
    is_alone: bool
    is_read_only: bool

    @classmethod
    def of(cls, case: int) -> Self:
        round_, turn = divmod(case, len(VICTIMS))
        return cls(case, VICTIMS[turn], turn == len(VICTIMS) - 1, round_ % 2 == 1)


def run_case(case: int, directory: Path, *patches: str) -> Counts:
    """Have the disk of one node fail for good, under load; the number decides how, and when.

    Args:
        patches: bugs of that node, for tests of what is seen here.
    """
    plan = Plan.of(case)
    with (
        loop_disk(
            directory / "memory", directory / plan.victim, turns_read_only=plan.is_read_only
        ) as disk,
        ProcessCluster(directory) as cluster,
        Recording(directory / "run.jsonl", cluster.urls) as recording,
    ):
        node = cluster.node[plan.victim]
        patch(node, *patches)
        cluster.start_all()
        with Strace(node.pid, directory / "trace", calls=CALLS, all_threads=True) as strace:
            status = _fail(plan, disk, cluster, recording)
        counts = Counter(_judge_end(status, node.said().splitlines()))
        disk.unmount()
        recording.fault("lost-power", node.url)
        disk.give_the_room_back()
        disk.mount()
        for name in cluster.nodes:
            if not cluster.node[name].is_running:
                cluster.start(name)
                wait_live(cluster, name)
        counts.update(settle_and_judge(cluster, recording, failed=(plan.victim,)))
        counts.update(_judge_last_calls(plan.victim, strace.read(), str(node.data), recording.path))
        cluster.close()
        return counts


def _fail(plan: Plan, disk: LoopDisk, cluster: ProcessCluster, recording: Recording) -> int:
    """Take the disk away under load, and return the status with which the node ended."""
    random = Random(plan.case)
    node = cluster.node[plan.victim]
    concerns = (1,) if plan.is_alone else (1, 2, 3)
    seeds = (plan.case, plan.case + LATER)
    before, after = (
        Clients(recording, seed=seed, clients=4, concerns=concerns, timeout_s=5) for seed in seeds
    )
    with ExitStack() as stack:
        stack.enter_context(before)
        begin = random.randrange(5, 100)
        wait_until(lambda: before.acknowledged >= begin, "appends", explain=cluster.explain)
        if plan.is_alone:
            for name in (S1, S2):
                cluster.kill(name)
        if plan.is_read_only:
            before.stop()  # nothing is left to sync: what comes next is a write
            disk.take_the_room(but=0)
            disk.fail_somebody_else()
            stack.enter_context(after)
        else:
            disk.take_the_room(but=random.randrange(ROOM_LEFT_BYTES))
        status = node.wait_ended(120)
        recording.fault("disk-failed", node.url)
        if not plan.is_alone:
            _assert_the_others_go_on(recording, cluster, plan.victim)
    return status


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


def _judge_end(status: int, said: Sequence[str]) -> Counts:
    """Assert that the node ended by itself, and said why in one line."""
    assert status == 1, (status, said[-20:])
    assert not any("Traceback" in line for line in said), "\n".join(said)
    named = [line for line in said if _NAMES_THE_FAULT.search(line)]
    assert len(named) == 1, "\n".join(said)
    return {"failed": 1}


def _judge_last_calls(victim: str, trace: Trace, data: str, history: Path) -> Counts:
    """Assert that the node left soon, synced no more, and refused nothing that it had written."""
    failure = first_failure(trace, data)
    syncs = syncs_after(failure, trace.calls, data)
    if syncs:
        raise Violation(f"P2: {failure.call}, and then {', '.join(map(str, syncs))}")
    with history.open("rb") as lines:
        appends = read_history(lines).appends
    refused = [one for line in appends if line.outcome == "refused" for one in line.messages]
    stored = refused_though_written(refused, trace.calls, data)
    if stored:
        raise Violation(f"P3: {victim} wrote what was answered as not stored: {stored}")
    assert_left_soon(failure.left_after_s)
    within_s = next((one for one in SHOWN_S if failure.left_after_s <= one), None)
    took = "it lived on for longer" if within_s is None else f"gone within {within_s:g} s"
    return {f"{victim} ended by a failed {failure.call.name}": 1, took: 1}
