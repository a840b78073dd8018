"""What a node does to its disk, as small programs that are killed in the middle and run again.

SHELL. `main` runs one of them in a process of its own. Each looks at what is there and goes on
to the same end; whatever it says on stdout it may say only once it is durable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from proving.strace import hold
from replog.core.entry import GENESIS, NO_ENTRY, EntryId, Epoch, Head, LogId, NodeId
from replog.core.messages import Batches
from replog.node.directory import DataDirectory, open_directory
from replog.node.views import Role
from replog.storage.batch import encode_message
from replog.storage.filesystem import PosixFilesystem

LOG_ID = LogId("log-1")
NODE_ID = NodeId("0123456789abcdef")
MASTER_ID = NodeId("fedcba9876543210")
TIME_MS = 1_795_687_200_000
SMALL_BYTES = 1100
"""Segments of some three batches."""

SIZES = (1, 3, 1, 1, 2, 1, 1, 3, 1, 1, 2)
"""How many entries the batches of the master's log have."""

COMMON = 5
"""How many of these batches a log has that then went another way, or that is to be extended."""


Say = Callable[[str, int], None]
"""Acknowledges: whoever hears it builds on it."""


def say_aloud(what: str, number: int) -> None:
    os.write(1, f"{what} {number}\n".encode())


def say_nothing(what: str, number: int) -> None:
    del what, number


# --- logs that are made before a story begins -------------------------------------------------


def messages_of(batch: int, *, of: str = "the log") -> list[str]:
    first = sum(SIZES[:batch]) + 1
    return [f"entry {number} of {of}" for number in range(first, first + SIZES[batch])]


def open_here(directory: Path, role: Role, *, node_id: NodeId = NODE_ID) -> DataDirectory:
    return open_directory(
        PosixFilesystem(),
        str(directory),
        role=role,
        take_over=False,
        new_id=lambda: node_id,
        segment_bytes_max=SMALL_BYTES,
    )


def append(data: DataDirectory, batch: int, *, epoch: int = 1, of: str = "the log") -> Head:
    """Append one batch, unsynced; every second one has a key."""
    first = EntryId(data.log.head.last_id + 1)
    return data.log.append(
        [encode_message(message) for message in messages_of(batch, of=of)],
        epoch=Epoch(epoch),
        committed_id=NO_ENTRY,
        time_ms=TIME_MS + batch,
        keys={first: f"key {batch}"} if batch % 2 else {},
    ).head


def begin_log(data: DataDirectory, *, owner: NodeId = NODE_ID) -> None:
    """Have a log, and the first epoch, if there is none yet: as a new master does."""
    if data.state.log_id is None:
        data.store(log_id=LOG_ID)
        data.log.set_log_id(LOG_ID)
    if data.state.epoch < 1:
        data.store(epoch=Epoch(1), epoch_owner=owner)


def make_log(
    directory: Path,
    role: Role,
    batches: int,
    *,
    tail: int = 0,
    of: str = "another master",
    epoch: int = 1,
    node_id: NodeId = NODE_ID,
    owner: NodeId = NODE_ID,
) -> None:
    """Make the master's log up to `batches`, and `tail` batches of another master behind it."""
    data = open_here(directory, role, node_id=node_id)
    begin_log(data, owner=owner)
    if epoch > 1:
        data.store(epoch=Epoch(epoch), epoch_owner=owner)
    for batch in range(batches + tail):
        if batch < batches:
            append(data, batch)
        else:
            append(data, batch, of=of, epoch=epoch)
        data.log.sync()
    data.close()


@dataclass(frozen=True, slots=True)
class Original:
    """The master's whole log.

    Attributes:
        heads: after no batch, one, two …
        payloads: the bytes of each batch, its segment's header line included.
        files: the segment files, by name.
    """

    heads: tuple[Head, ...]
    payloads: tuple[bytes, ...]
    files: Mapping[str, bytes]

    def batches(self, after: Head, stop: int = len(SIZES)) -> list[Batches]:
        """Return what a link would carry: the batches behind `after`, up to `stop`."""
        return [
            Batches(Epoch(1), self.heads[at], self.heads[at + 1], NO_ENTRY, self.payloads[at])
            for at in range(self.heads.index(after), stop)
        ]


@cache
def original(batches: int = len(SIZES)) -> Original:
    with TemporaryDirectory() as directory:
        make_log(Path(directory), Role.MASTER, batches)
        data = open_here(Path(directory), Role.MASTER)
        heads, payloads = [GENESIS], list[bytes]()
        last = data.log.head.last_id
        while (found := data.log.read_batches(heads[-1], through=last, size_max=1)) is not None:
            heads.append(found[0])
            payloads.append(found[1])
        data.close()
        return Original(tuple(heads), tuple(payloads), segments_of(Path(directory)))


def segments_of(directory: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in sorted((directory / "segments").glob("*.ndjson"))
    }


# --- the stories ------------------------------------------------------------------------------


def write_own(data: DataDirectory, say: Say) -> None:
    """Append what is missing of the master's log, and note it as a node does."""
    for batch in range(original().heads.index(data.log.head), len(SIZES)):
        append(data, batch)
        data.log.sync()
        say("entry", data.log.durable.last_id)
        data.log.note_commit(data.log.durable.last_id)
        if batch % 4 == 3:
            data.log.note_durable()


def write_received(data: DataDirectory, say: Say) -> None:
    """Store what is missing of the master's log, three batches at a time."""
    rest = original().batches(data.log.head)
    for at in range(0, len(rest), 3):
        data.log.append_batches(rest[at : at + 3])
        data.log.sync()
        say("entry", data.log.durable.last_id)
        data.log.note_commit(data.log.durable.last_id)


def new_master(data: DataDirectory, say: Say) -> None:
    begin_log(data)
    say("epoch", data.state.epoch)
    append_some(data, say)


def append_some(data: DataDirectory, say: Say) -> None:
    """Append up to a log of four batches: two segments."""
    for batch in range(original().heads.index(data.log.head), 4):
        append(data, batch)
        data.log.sync()
        say("entry", data.log.durable.last_id)
        data.log.note_commit(data.log.durable.last_id)


def follow_from_nothing(data: DataDirectory, say: Say) -> None:
    """Be a new secondary: the epoch and the log are the master's."""
    if data.state.epoch < 1:
        data.store(epoch=Epoch(1), epoch_owner=MASTER_ID)
    say("epoch", data.state.epoch)
    if data.state.log_id is None:
        data.store(log_id=LOG_ID, members=("http://a", "http://b"))
        data.log.set_log_id(LOG_ID)
    write_received(data, say)


def raise_epochs(data: DataDirectory, say: Say) -> None:
    for epoch in range(data.state.epoch + 1, 5):
        data.store(epoch=Epoch(epoch), epoch_owner=MASTER_ID)
        say("epoch", epoch)
    data.store(members=("http://a", "http://b"))
    data.store(is_loss_unsettled=False)


def rejoin(data: DataDirectory, say: Say) -> None:
    """Cut what the master does not have, and take what it has."""
    heads = original().heads
    if data.log.head not in heads:
        data.log.cut(heads[COMMON])
    say("entry", data.log.durable.last_id)
    write_received(data, say)


def start_again(data: DataDirectory, say: Say) -> None:
    """Cut all, as for a log in which nothing is common, and take what the master has."""
    if data.log.head not in original().heads:
        data.log.cut(GENESIS)
    say("entry", data.log.durable.last_id)
    write_received(data, say)


def adopt(data: DataDirectory, say: Say) -> None:
    """Take over what only a secondary has, then open an epoch and append."""
    rest = original().batches(data.log.head, COMMON + 4)
    if rest:
        data.log.append_batches(rest[:2])
        data.log.sync()
        say("entry", data.log.durable.last_id)
        if rest[2:]:
            data.log.append_batches(rest[2:])
            data.log.sync()
            say("entry", data.log.durable.last_id)
    if data.state.epoch < 2:
        data.store(epoch=Epoch(2), epoch_owner=NODE_ID)
    say("epoch", data.state.epoch)
    write_own(data, say)


def mend(data: DataDirectory, say: Say) -> None:
    """Put the master's bytes in the place of each damaged range."""
    known = original()
    for _ in known.files:  # a sealed segment is verified at first use, or by the scrubber
        data.log.scrub_next()
    while data.log.damage:
        damage = data.log.damage[0]
        first = known.heads.index(damage.before)
        wanted = damage.last_id or known.heads[-1].last_id
        stop = next(at for at, head in enumerate(known.heads) if head.last_id >= wanted)
        data.log.repair(damage, b"".join(known.payloads[first:stop]))
        say("entry", data.log.durable.last_id)
    write_own(data, say)


# --- how a story begins -----------------------------------------------------------------------


def nothing(directory: Path) -> None:
    directory.mkdir()


def three(directory: Path) -> None:
    make_log(directory, Role.MASTER, 3)


def followed(directory: Path) -> None:
    make_log(directory, Role.SECONDARY, 3)


def shorter(directory: Path) -> None:
    make_log(directory, Role.MASTER, COMMON)


def another_way(directory: Path) -> None:
    make_log(directory, Role.SECONDARY, COMMON, tail=6)


def altogether_another(directory: Path) -> None:
    make_log(directory, Role.SECONDARY, 0, tail=7)


def end_amid_a_write(
    directory: Path, role: Role, *, node_id: NodeId = NODE_ID, owner: NodeId = NODE_ID
) -> None:
    """Leave what a kill leaves: batches behind the mark, and half a batch behind them."""
    make_log(directory, role, COMMON, node_id=node_id, owner=owner)
    marks = (directory / "marks").read_bytes()
    data = open_here(directory, role)
    append(data, COMMON)
    append(data, COMMON + 1)
    data.close()
    (directory / "marks").write_bytes(marks)
    with max((directory / "segments").iterdir()).open("ab") as file:
        file.write(original().payloads[COMMON + 2][:-30])


def ended_master(directory: Path) -> None:
    end_amid_a_write(directory, Role.MASTER)


def ended_secondary(directory: Path) -> None:
    end_amid_a_write(directory, Role.SECONDARY)


def ended_amid_a_roll(directory: Path) -> None:
    """Leave a last file without a byte: its first batch was never written."""
    files = original().files
    sealed = next(
        at for at in range(len(SIZES)) if at and original().payloads[at].startswith(b'{"segment"')
    )
    make_log(directory, Role.MASTER, sealed)
    (directory / "segments" / sorted(files)[1]).touch()


def rotten(directory: Path) -> None:
    make_log(directory, Role.MASTER, len(SIZES))
    rot(directory)


def rot(directory: Path) -> None:
    """Flip one bit in a sealed segment, and take the last bytes of the last one away."""
    files = sorted((directory / "segments").iterdir())
    data = bytearray(files[1].read_bytes())
    data[len(data) // 2] ^= 1
    files[1].write_bytes(data)
    os.truncate(files[-1], files[-1].stat().st_size - 40)


@dataclass(frozen=True, slots=True)
class Story:
    """One program and where it begins.

    Attributes:
        of: what it is about, in the words of the table.
        role: what opens the directory.
        batches: how much of the master's log is there at its end.
        held: entries that were acknowledged before it began.
        is_damaged: until its end, less than `held` may be readable.
    """

    of: str
    role: Role
    prepare: Callable[[Path], None]
    run: Callable[[DataDirectory, Say], None]
    batches: int = len(SIZES)
    held: int = field(default=0)
    is_damaged: bool = False

    def tell(self, directory: Path) -> None:
        """Open the directory, say what is there, run, and close."""
        data = open_here(directory, self.role)
        is_known = data.log.head in original().heads  # what is cut later is nothing to count on
        say_aloud("entry" if is_known else "another's", data.log.durable.last_id)
        self.run(data, say_aloud)
        data.close()
        say_aloud("closed", 0)


def _count(batches: int) -> int:
    return sum(SIZES[:batches])


STORIES: Sequence[Story] = (
    Story("open (a new master)", Role.MASTER, nothing, new_master, batches=4),
    Story("open (a new secondary)", Role.SECONDARY, nothing, follow_from_nothing),
    Story("append", Role.MASTER, three, append_some, batches=4, held=_count(3)),
    Story("roll (a master)", Role.MASTER, three, write_own, held=_count(3)),
    Story("roll (a secondary)", Role.SECONDARY, followed, write_received, held=_count(3)),
    Story("epoch write", Role.MASTER, three, raise_epochs, batches=3, held=_count(3)),
    Story("cut", Role.SECONDARY, another_way, rejoin, held=_count(COMMON)),
    Story("cut (everything)", Role.SECONDARY, altogether_another, start_again),
    Story("adopt", Role.MASTER, shorter, adopt, held=_count(COMMON)),
    Story("open (a torn tail)", Role.MASTER, ended_master, write_own, held=_count(COMMON)),
    Story("open (a remainder)", Role.SECONDARY, ended_secondary, write_received,
          held=_count(COMMON)),
    Story("open (an empty last file)", Role.MASTER, ended_amid_a_roll, write_own, held=1),
    Story("repair", Role.MASTER, rotten, mend, held=_count(len(SIZES)), is_damaged=True),
)  # fmt: skip


def main() -> None:
    """Run story NUMBER in DIRECTORY once strace is there: what `launch` starts."""
    number, directory = sys.argv[1:]
    original()  # known before anything is traced
    hold()
    STORIES[int(number)].tell(Path(directory))
    os._exit(0)
