"""A disk in memory that loses exactly what a real one may lose.

PURE. It implements the protocols of `replog.storage.filesystem` over two images: the page
cache, which every call sees and which outlives a killed process, and the durable image,
which is all that outlives a power loss. Between the two stand the calls that no sync has
covered yet. At a power loss each of them is kept, lost or torn at any byte, in any
combination; each created, renamed or removed name is kept or lost, unless its directory
was synced. A failed fdatasync marks its pages clean: the next one succeeds and the data is
gone (Rebello et al. 2020).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from functools import lru_cache
from random import Random

from tests.simulator.file import SimFile, os_error
from tests.simulator.images import (
    Change,
    Directory,
    Inode,
    NameChange,
    apply,
    directories,
    inodes,
    torn,
)


class NodeDied(BaseException):
    """The process or its machine ended inside a call: no handler of the code may see it."""


class SimFilesystem:
    """One node's disk, and the faults that it is told to have.

    Attributes:
        is_full: writes that need space fail, after a part of them was written.
        syncs_to_fail: the next so many syncs fail with EIO.
        writes_to_fail: the next so many writes fail with EIO, after a part was written.
        syncs_to_lie: the next so many syncs report success and do nothing.
        writes_to_lose: the next so many writes report success and never reach the disk.
        calls_to_death: where set, the process dies inside that changing call from now on.
        keeps_unsynced: where set, how likely the next power loss keeps an unsynced change.
        faults: how often each fault took place, for the run's sometimes-assertions.
        durable_changes: counts what may have changed the durable image, files or names.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self.root = Directory()
        self.process = 0
        self.is_full = False
        self.syncs_to_fail = 0
        self.writes_to_fail = 0
        self.syncs_to_lie = 0
        self.writes_to_lose = 0
        self.calls_to_death: int | None = None
        self.keeps_unsynced: float | None = None
        self.faults: dict[str, int] = {}
        self.durable_changes = 0

    # --- replog.storage.filesystem.Filesystem -------------------------------------------

    def open(self, path: str, *, writable: bool, create: bool = False) -> SimFile:
        directory, name = self._parent(path)
        found = directory.cached.get(name)
        if isinstance(found, Directory):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if create:
            if found is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            self._changing_call()
            if self.is_full and self._random.random() < 0.5:
                self.count("full disk at create")
                raise os_error(errno.ENOSPC, path)
            found = Inode()
            directory.set(name, NameChange(found))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return SimFile(self, found, path, writable)

    def exists(self, path: str) -> bool:
        return self.find(path) is not None

    def size(self, path: str) -> int:
        found = self.find(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        assert isinstance(found, Inode), path
        return len(found.cached)

    def list(self, directory: str) -> list[str]:
        return sorted(self._directory(directory).cached)

    def make_directory(self, path: str) -> None:
        at, above = self.root, self.root
        parts = _parts(path)
        for depth, name in enumerate(parts, 1):
            found = at.cached.get(name)
            is_new = found is None
            if found is None:
                self._changing_call()
                found = Directory()
                at.set(name, NameChange(found))
            if isinstance(found, Inode):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            at, above = found, at
            if is_new or depth == len(parts):
                self._sync_names(above, path)

    def rename(self, source: str, target: str) -> None:
        source_directory, source_name = self._parent(source)
        target_directory, target_name = self._parent(target)
        moved = source_directory.cached.get(source_name)
        if moved is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
        self._changing_call()
        arrival = NameChange(moved)
        target_directory.set(target_name, arrival)
        source_directory.set(
            source_name, NameChange(None, needs=(target_directory, target_name, arrival))
        )

    def remove(self, path: str) -> None:
        directory, name = self._parent(path)
        if name not in directory.cached:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self._changing_call()
        directory.set(name, NameChange(None))

    def sync_directory(self, path: str) -> None:
        self._sync_names(self._directory(path), path)

    def lock(self, path: str) -> SimFile:
        if not self.exists(path):
            self.open(path, writable=True, create=True)
        file = self.open(path, writable=True)
        file.take_lock()
        return file

    # --- what the open files do ---------------------------------------------------------

    def write(self, inode: Inode, path: str, offset: int, data: bytes) -> None:
        grows = offset + len(data) > len(inode.cached)
        if self.writes_to_fail or (self.is_full and grows):
            self._change(inode, Change(offset, self._part_of(data)))
            if self.writes_to_fail:
                self.writes_to_fail -= 1
                self.count("failed write")
                raise os_error(errno.EIO, path)
            self.count("full disk")
            raise os_error(errno.ENOSPC, path)
        if self.calls_to_death == 1:
            self._change(inode, Change(offset, self._part_of(data)))
        self._changing_call()
        if self.writes_to_lose:
            self.writes_to_lose -= 1
            self.count("write lost unsaid")
            apply(inode.cached, Change(offset, data))
            return
        self._change(inode, Change(offset, data))

    def truncate(self, inode: Inode, size: int) -> None:
        self._changing_call()
        self._change(inode, Change(size, None))

    def sync(self, inode: Inode, path: str) -> None:
        if self.calls_to_death == 1:
            self._settle(inode)
        self._changing_call()
        if self.syncs_to_fail:
            self._settle(inode)
            inode.unsynced.clear()
        self._fail_sync(path)
        if not self._lies():
            self._write_all(inode)

    # --- faults -------------------------------------------------------------------------

    def end_process(self) -> None:
        """Kill -9: the open files and locks go, the page cache stays."""
        self.process += 1
        self.calls_to_death = None
        for inode in inodes(self.root):
            inode.is_locked = False

    def lose_power(self) -> None:
        """Leave the durable image, and of every unsynced change all, nothing or a part."""
        self.end_process()
        self.is_full = False
        self.syncs_to_fail = self.writes_to_fail = 0
        found = directories(self.root)
        for directory in found:
            self._lose_names(directory)
        for directory in found:
            directory.unsynced.clear()
            directory.cached = dict(directory.durable)
        for inode in inodes(self.root):
            self._settle(inode)
            inode.unsynced.clear()
            inode.cached = bytearray(inode.durable)
        self.keeps_unsynced = None

    def write_back(self) -> None:
        """Let the kernel write back what it likes, as it may at any time."""
        for inode in inodes(self.root):
            while inode.unsynced and self._random.random() < 0.7:
                self._make_durable(inode, inode.unsynced.pop(0))

    def settle(self) -> None:
        """Let the kernel write back everything, names too, in its own good time."""
        for directory in directories(self.root):
            self._keep_names(directory)
        for inode in inodes(self.root):
            self._write_all(inode)

    def drop_clean_pages(self) -> None:
        """Let the kernel forget clean pages: what a failed sync left clean is gone now."""
        for inode in inodes(self.root):
            if not inode.unsynced:
                inode.cached = bytearray(inode.durable)

    def flip_bit(self, path: str, offset: int, bit: int) -> None:
        """Rot: one bit of a file turns over, on disk and so for every later read."""
        inode = self.find(path)
        assert isinstance(inode, Inode), path
        for image in (inode.durable, inode.cached):
            if offset < len(image):
                image[offset] ^= 1 << bit
        inode.rewrites += 1
        self.durable_changes += 1
        self.count("bit flip")

    def lose_end(self, directory: str, name: str, size: int) -> None:
        """A file is `size` bytes long from now on, and those that follow it are gone."""
        names, file = self.find(directory), self.find(f"{directory}/{name}")
        assert isinstance(names, Directory)
        assert isinstance(file, Inode)
        del file.durable[size:]
        del file.cached[size:]
        file.rewrites += 1
        for later in [each for each in names.durable if each > name]:
            del names.durable[later]
            names.cached.pop(later, None)
        self.durable_changes += 1
        self.count("lost end of a log")

    def wipe(self) -> None:
        """A new, empty disk in the place of this one."""
        self.end_process()
        self.root = Directory()
        self.durable_changes += 1
        self.is_full = False
        self.syncs_to_fail = self.writes_to_fail = 0

    def find(self, path: str) -> Inode | Directory | None:
        return self._find(_parts(path))

    def _find(self, parts: tuple[str, ...]) -> Inode | Directory | None:
        at: Inode | Directory | None = self.root
        for name in parts:
            if not isinstance(at, Directory):
                return None
            at = at.cached.get(name)
        return at

    def durable_files(self, path: str) -> Sequence[tuple[str, Inode]]:
        """Return the files that would be in this directory after a power loss, by name."""
        at: Inode | Directory | None = self.root
        for name in _parts(path):
            if not isinstance(at, Directory):
                return []
            at = at.durable.get(name)
        if not isinstance(at, Directory):
            return []
        return [(n, f) for n, f in sorted(at.durable.items()) if isinstance(f, Inode)]

    def cached_files(self, path: str) -> Sequence[tuple[str, Inode]]:
        """Return the files that a program sees in this directory, by name."""
        at = self.find(path)
        if not isinstance(at, Directory):
            return []
        return [(n, f) for n, f in sorted(at.cached.items()) if isinstance(f, Inode)]

    def count(self, fault: str) -> None:
        self.faults[fault] = self.faults.get(fault, 0) + 1

    # --- within -------------------------------------------------------------------------

    def _changing_call(self) -> None:
        if self.calls_to_death is None:
            return
        self.calls_to_death -= 1
        if self.calls_to_death <= 0:
            self.calls_to_death = None
            self.count("death inside a call")
            raise NodeDied

    def _change(self, inode: Inode, change: Change) -> None:
        apply(inode.cached, change)
        inode.unsynced.append(change)

    def _make_durable(self, inode: Inode, change: Change) -> None:
        self.durable_changes += 1
        if change.offset < len(inode.durable):
            inode.rewrites += 1
        apply(inode.durable, change)

    def _sync_names(self, directory: Directory, path: str) -> None:
        self._changing_call()
        self._fail_sync(path)
        if not self._lies():
            self._keep_names(directory)

    def _keep_names(self, directory: Directory) -> None:
        if directory.unsynced:
            self.durable_changes += 1
            for name in list(directory.unsynced):
                directory.keep(name, len(directory.unsynced[name]))
            directory.unsynced.clear()

    def _write_all(self, inode: Inode) -> None:
        for change in inode.unsynced:
            self._make_durable(inode, change)
        inode.unsynced.clear()

    def _part_of(self, data: bytes) -> bytes:
        return data[: self._random.randint(0, len(data))]

    def _fail_sync(self, path: str) -> None:
        if self.syncs_to_fail:
            self.syncs_to_fail -= 1
            self.count("failed sync")
            raise os_error(errno.EIO, path)

    def _lies(self) -> bool:
        if self.syncs_to_lie:
            self.syncs_to_lie -= 1
            self.count("lying sync")
            return True
        return False

    def _settle(self, inode: Inode) -> None:
        """Bring some of the unsynced changes to disk: whole, torn, or not at all."""
        if not inode.unsynced:
            return
        likely_kept = self.keeps_unsynced
        if likely_kept is None:
            likely_kept = self._random.choice((0.0, 0.5, 0.9, 1.0))
        for change in inode.unsynced:
            if self._random.random() < likely_kept:
                self._make_durable(inode, change)
            elif change.data and self._random.random() < 0.5:
                self.count("torn write")
                for part in torn(self._random, change.offset, change.data):
                    self._make_durable(inode, part)
            else:
                self.count("lost write")

    def _lose_names(self, directory: Directory) -> None:
        self.durable_changes += 1
        for name in list(directory.unsynced):
            count = len(directory.unsynced[name])
            kept = self._random.choice((0, count, self._random.randint(0, count)))
            if self.keeps_unsynced is not None:
                kept = round(self.keeps_unsynced * count)
            if kept < count:
                self.count("lost name")
            directory.keep(name, kept)

    def _parent(self, path: str) -> tuple[Directory, str]:
        above, name = _split(path)
        return self._directory_at(above, path), name

    def _directory(self, path: str) -> Directory:
        return self._directory_at(_parts(path), path)

    def _directory_at(self, parts: tuple[str, ...], path: str) -> Directory:
        found = self._find(parts)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if isinstance(found, Inode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return found


@lru_cache(4096)
def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)


@lru_cache(4096)
def _split(path: str) -> tuple[tuple[str, ...], str]:
    *above, name = _parts(path)
    return tuple(above), name
