"""Disks whose power can be cut: what was not made durable is gone, as in a power failure.

DISK. Needs root on Linux. SIGKILL never does this: what a process wrote stays in the kernel's
memory. Here each disk is an ext4 that can be shut down without its journal's last words
(EXT4_IOC_SHUTDOWN), and the device under it is a file on another ext4, whose memory plays the
cache that a drive has: it can be lost as well.

    directory           ext4, data=ordered, where a node keeps its files
      loop device
        cells/device    a file on an ext4 without a journal: the drive, and its cache
          loop device
            platter     a file, on the disk of the machine or in memory
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Literal

from tests.support.waiting import wait_until

Cut = Literal["host", "drive"]
"""What loses its memory: the kernel with its filesystem, or the drive with its cache too."""

EXT4_IOC_SHUTDOWN = 0x8004587D
GOING_FLAGS_NOLOGFLUSH = 2
SYNC_FILE_RANGE_ALL = 1 | 2 | 4
"""Wait for what is under way, write, wait for that."""

PAGE_BYTES = 4096
DEVICE_BYTES = 16 << 20
PLATTER_BYTES = DEVICE_BYTES + (2 << 20)
MAKING = ("-q", "-F", "-b", str(PAGE_BYTES), "-E", "nodiscard,lazy_itable_init=0")
MOUNTING = "loop,data=ordered"


class PowerDisk:
    """One disk, mounted from `made` on until it is left."""

    def __init__(self, directory: Path, store: Path) -> None:
        """Let it be mounted on `directory`, and keep its bytes below `store`."""
        self.directory = directory
        self._platter = store / "platter"
        self._cells = store / "cells"
        self._device = self._cells / "device"

    @classmethod
    @contextmanager
    def made(cls, directory: Path, store: Path) -> Iterator[PowerDisk]:
        """Make an empty disk and mount it; unmount it in the end."""
        disk = cls(directory, store)
        for each in (directory, disk._cells):
            each.mkdir(parents=True)
        with disk._platter.open("xb") as file:
            file.truncate(PLATTER_BYTES)
        _run("mkfs.ext4", *MAKING, "-O", "^has_journal", disk._platter)
        try:
            _mount("loop", disk._platter, disk._cells)
            with disk._device.open("xb") as file:
                file.write(bytes(DEVICE_BYTES))  # all its blocks are given now, and never moved
            _run("mkfs.ext4", *MAKING, "-J", "size=4", disk._device)
            with disk._device.open("rb") as file:
                os.fsync(file.fileno())
            _mount(MOUNTING, disk._device, directory)
            yield disk
        finally:
            for mount in (directory, disk._cells):
                if mount.is_mount():
                    _run("umount", "--lazy", mount)

    def write_back(self, random: Random) -> None:
        """Let the kernel write some pages that wait for it, as it may at any moment."""
        files = [self._device, *sorted(self.directory.glob("segments/*")), self.directory / "marks"]
        for path in files:
            if not path.exists() or random.random() < 0.5:
                continue
            pages = path.stat().st_size // PAGE_BYTES + 1
            with path.open("rb") as file:
                for _ in range(random.randint(1, 4)):
                    first = random.randrange(max(0, pages - 64), pages)
                    _write_back(file.fileno(), first * PAGE_BYTES, PAGE_BYTES)

    def give(self, path: Path) -> None:
        """Return once the drive was given all of a file, without being told to flush."""
        with path.open("rb") as file:
            _write_back(file.fileno(), 0, 0)

    def cut(self, what: Cut) -> None:
        """Cut the power now: from here on every write and sync fails.

        Whoever uses the disk is to be frozen before (`freeze`): a sync that the cut overtakes
        may be told that all is well, as it was several times (Linux 6.18), which nobody could
        pass on in a real power failure.
        """
        if what == "drive":
            _shut_down(self._cells)
        _shut_down(self.directory)

    def restore(self) -> None:
        """Mount again what was cut, when no process has a file of it open."""
        _unmount(self.directory)
        _unmount(self._cells)
        _mount("loop", self._platter, self._cells)
        _mount(MOUNTING, self._device, self.directory)


@contextmanager
def power_disks(
    directory: Path, names: Sequence[str], *, in_memory: bool
) -> Iterator[Mapping[str, PowerDisk]]:
    """Mount a new disk on `directory / name` for each of `names`.

    Args:
        in_memory: a tmpfs holds their bytes; else they are files below `directory`.
    """
    store = directory / "disks"
    store.mkdir()
    with ExitStack() as stack:
        if in_memory:
            _run("mount", "-t", "tmpfs", "disks-with-power", store)
            stack.callback(_run, "umount", "--lazy", store)
        yield {
            name: stack.enter_context(PowerDisk.made(directory / name, store / name))
            for name in names
        }


# --- processes -------------------------------------------------------------------------------

STOPPED = frozenset("TDZX")
"""Stopped, in a call that nothing interrupts and that ends in a stop, or gone."""


def freeze(pid: int) -> None:
    """Stop a process by SIGSTOP; on return none of its threads runs until SIGCONT."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _states(pid) <= STOPPED, f"process {pid} stops")


def _states(pid: int) -> set[str]:
    found = set()
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.add(path.read_text().rpartition(")")[2].split()[0])
    return found


# --- the kernel ------------------------------------------------------------------------------


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _mount(options: str, source: Path, target: Path) -> None:
    """Mount a file. Another process may take the loop device that was free a moment before."""
    _run_until_done("mount", "-o", options, source, target)


def _unmount(target: Path) -> None:
    """Unmount. The kernel gives a file that was open back a moment after its process."""
    _run_until_done("umount", target)


def _run_until_done(*command: str | Path) -> None:
    failures: list[str] = []

    def is_done() -> bool:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        failures.append(done.stderr)
        return done.returncode == 0

    wait_until(is_done, " ".join(map(str, command)), explain=lambda: failures[-1])


def _shut_down(mount: Path) -> None:
    descriptor = os.open(mount, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", GOING_FLAGS_NOLOGFLUSH))
    finally:
        os.close(descriptor)


def _write_back(descriptor: int, offset: int, size: int) -> None:
    """Call sync_file_range(2): it writes dirty pages to the device, and makes nothing durable."""
    libc = ctypes.CDLL(None, use_errno=True)
    error = libc.sync_file_range(
        descriptor, ctypes.c_int64(offset), ctypes.c_int64(size), SYNC_FILE_RANGE_ALL
    )
    assert error == 0, os.strerror(ctypes.get_errno())
