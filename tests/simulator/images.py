"""Files and directories as a disk has them: what calls see, and what is durable.

PURE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

SECTOR_BYTES = 512
"""What a disk writes whole or not at all, in an order of its own."""


@dataclass(slots=True, eq=False)
class Change:
    """One write or truncation of a file that no sync has covered; `data` None truncates."""

    offset: int
    data: bytes | None


@dataclass(slots=True, eq=False)
class Inode:
    """A file. `cached` is what calls see, `durable` what a power loss leaves for sure.

    Attributes:
        unsynced: the changes that lead from `durable` to `cached`, oldest first.
        rewrites: counts the changes of durable bytes that were there already, so that who
            follows the durable image knows when to read it from the start again.
    """

    cached: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[Change] = field(default_factory=list)
    is_locked: bool = False
    rewrites: int = 0


@dataclass(slots=True, eq=False)
class NameChange:
    """One name of a directory got another meaning; `target` None took it away.

    `needs` is set where a rename took it away: the name that the file has since. A file
    system may keep both names or the old one, but it loses no renamed file altogether.
    """

    target: Inode | Directory | None
    needs: tuple[Directory, str, NameChange] | None = None


@dataclass(slots=True, eq=False)
class Directory:
    """Names of files and directories, in the page cache and on disk."""

    cached: dict[str, Inode | Directory] = field(default_factory=dict)
    durable: dict[str, Inode | Directory] = field(default_factory=dict)
    unsynced: dict[str, list[NameChange]] = field(default_factory=dict)

    def set(self, name: str, change: NameChange) -> None:
        if change.target is None:
            del self.cached[name]
        else:
            self.cached[name] = change.target
        self.unsynced.setdefault(name, []).append(change)

    def keep(self, name: str, count: int) -> None:
        """Make the first `count` unsynced changes of `name` durable, with what they need."""
        changes = self.unsynced.get(name, [])[:count]
        del self.unsynced.get(name, [])[:count]
        for change in changes:
            if change.needs is not None:
                other, other_name, needed = change.needs
                waiting = other.unsynced.get(other_name, [])
                if needed in waiting:
                    other.keep(other_name, waiting.index(needed) + 1)
            if change.target is None:
                self.durable.pop(name, None)
            else:
                self.durable[name] = change.target


def apply(image: bytearray, change: Change) -> None:
    if change.data is None:
        if len(image) > change.offset:
            del image[change.offset :]
        else:
            image.extend(bytes(change.offset - len(image)))
        return
    if len(image) < change.offset:
        image.extend(bytes(change.offset - len(image)))
    image[change.offset : change.offset + len(change.data)] = change.data


def torn(random: Random, offset: int, data: bytes) -> Sequence[Change]:
    """Tear a write: a beginning of any length came to disk, or any set of its sectors."""
    if random.random() < 0.7:
        return [Change(offset, data[: random.randint(0, len(data))])]
    parts = []
    at = offset
    while at < offset + len(data):
        stop = min(offset + len(data), (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if random.random() < 0.5:
            parts.append(Change(at, data[at - offset : stop - offset]))
        at = stop
    return parts


def directories(directory: Directory) -> Sequence[Directory]:
    """Return a directory and all below it, as calls see them."""
    found = [directory]
    for entry in directory.cached.values():
        if isinstance(entry, Directory):
            found.extend(directories(entry))
    return found


def inodes(directory: Directory) -> Sequence[Inode]:
    """Return the files in a directory and below it, as calls see them."""
    found: list[Inode] = []
    for entry in directory.cached.values():
        if isinstance(entry, Inode):
            found.append(entry)
        else:
            found.extend(inodes(entry))
    return found
