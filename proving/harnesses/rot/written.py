"""A log of three segments of 64 KiB each, in the data directory of a master or a secondary.

PURE. The disk is that of the simulator: in memory, and the same bytes each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from replog.core.entry import EntryId, Epoch, Head, NodeId
from replog.node.directory import DataDirectory, open_directory
from replog.node.views import Role
from replog.storage.batch import encode_message
from replog.storage.log import Log
from replog.storage.node_state import NodeState, store_node_state
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import DIRECTORY, LOG_ID, TIME_MS, Original, everything

SEGMENT_BYTES: Final = 64 * 1024
NODE_JSON: Final = f"{DIRECTORY}/node.json"
MARKS: Final = f"{DIRECTORY}/marks"
LOCK: Final = f"{DIRECTORY}/lock"

_IDS: Final = "0192f3a0-5c1e-7000-8000-00000000b00"
_OWNER = NodeId(f"{_IDS}1")
_SMALL_BYTES: Final = 4 * 1024
_LETTERS = 'abcdefghij klmnop"\\/é\u2028😀\t\x00'


@dataclass(frozen=True, slots=True)
class Written:
    """What stands on a node's disk, and what it may have told others of it.

    Attributes:
        mark: the durable mark.
        known: up to here the log is known to have been durable: mark, note, or last name.
    """

    original: Original
    mark: Head
    known: EntryId

    @property
    def middle(self) -> str:
        """The path of the sealed segment that has another one before and behind it."""
        return self.original.segments[1]

    @property
    def last(self) -> str:
        return self.original.segments[-1]


@cache
def written(role: Role, *, is_last: bool) -> Written:
    """Return what a node of this role left: three segments, the one in question of 64 KiB.

    The segments are the same bytes for every role. Where the last one is in question, the
    node was killed: its mark is half way, its note before the last batch, which is a fifth of
    the segment. Else it was closed: all is below the mark.
    """
    middle, last = (_SMALL_BYTES, SEGMENT_BYTES) if is_last else (SEGMENT_BYTES, _SMALL_BYTES)
    return _written(role, (_SMALL_BYTES, middle, last), is_killed=is_last)


@cache
def copies(role: Role, number: int) -> Written:
    """Return what a node of a cluster left: eight segments of 16 KiB; `number` is its own."""
    return _written(role, (16 * 1024,) * 8, is_killed=False, number=number)


def _written(role: Role, sizes: Sequence[int], *, is_killed: bool, number: int = 2) -> Written:
    disk = SimFilesystem(Random(0))
    fillings = [size // 5 for size in sizes]  # letters of the message that fills a segment up
    _write(disk, sizes, fillings, is_killed=is_killed)
    for at, path in enumerate(Original(everything(disk)).segments):
        fillings[at] += sizes[at] - disk.size(path)
    disk = SimFilesystem(Random(0))
    mark, known = _write(disk, sizes, fillings, is_killed=is_killed)
    if role is Role.SECONDARY:
        disk.end_process()
        state = NodeState(
            log_id=LOG_ID,
            node_id=NodeId(f"{_IDS}{number}"),
            role="secondary",
            epoch=Epoch(len(sizes)),
            epoch_owner=_OWNER,
        )
        store_node_state(disk, NODE_JSON, state)
    original = Original(everything(disk))
    assert [len(original.files[path]) for path in original.segments] == list(sizes), fillings
    return Written(original, mark, known)


def opened(disk: SimFilesystem, role: Role) -> DataDirectory:
    """Open the data directory as a node does when it starts."""
    return open_directory(disk, DIRECTORY, role=role, take_over=False, new_id=lambda: _OWNER)


def _write(
    disk: SimFilesystem, wanted: Sequence[int], fillings: Sequence[int], *, is_killed: bool
) -> tuple[Head, EntryId]:
    """Write the log and return the durable mark, and up to where it is known to be durable."""
    random = Random("messages")
    filled: list[_Filled] = []
    for number, (size, filling) in enumerate(zip(wanted, fillings, strict=True), 1):
        is_last = number == len(wanted)
        directory = open_directory(
            disk,
            DIRECTORY,
            role=Role.MASTER,
            take_over=False,
            new_id=lambda: _OWNER,
            segment_bytes_max=2 * size if is_last else size * 7 // 8,
        )
        directory.store(log_id=LOG_ID, epoch=Epoch(number), epoch_owner=_OWNER)
        directory.log.set_log_id(LOG_ID)
        filled.append(_fill(directory.log, random, Epoch(number), size, filling))
        if is_last and is_killed:
            disk.end_process()
        else:
            directory.log.note_commit(directory.log.durable.last_id)
            directory.close()
    end = filled[-1]
    return (end.marked, end.before_last.last_id) if is_killed else (end.head, end.head.last_id)


@dataclass(frozen=True, slots=True)
class _Filled:
    """Heads of a segment: where the mark was noted, before its last batch, and behind it."""

    marked: Head
    before_last: Head
    head: Head


def _fill(log: Log, random: Random, epoch: Epoch, size: int, filling: int) -> _Filled:
    """Fill one segment; half way the mark is noted, and the note behind all batches but one."""
    heads = [log.head]
    written_bytes, marked = 0, None
    while written_bytes < size * 7 // 8:
        first = log.head.last_id + 1
        is_end = written_bytes > size * 3 // 4
        texts = ["x" * filling] if is_end else _texts(random, first, is_small=size < 8192)
        batch = log.append(
            [encode_message(text) for text in texts],
            epoch=epoch,
            committed_id=log.durable.last_id,
            time_ms=TIME_MS + 1_000 * first,
            keys={EntryId(first): f"order-{first}"} if len(heads) % 7 == 4 else {},
        )
        written_bytes += len(batch.payload)
        heads.append(log.sync())
        if not is_end:
            log.note_commit(log.durable.last_id)
        if marked is None and written_bytes > size // 2:
            marked = log.durable
            log.note_durable()
    assert marked is not None, size
    return _Filled(marked, heads[-2], heads[-1])


def _texts(random: Random, first: int, *, is_small: bool) -> list[str]:
    """Return the messages of one batch."""
    count = 1 if is_small else random.choice((1, 1, 2, 5, 20))
    letters = 5 if is_small else 60
    return [
        f"{first + place} " + "".join(random.choices(_LETTERS, k=random.randint(0, letters)))
        for place in range(count)
    ]
