"""The durable mark and the commit note: how far the log was durable, and committed.

DISK. Four lines of one fixed size, overwritten in place:

    block 0   {"durable":{"sequence":8,"id":…,"epoch":…,"hash":"…","segment":…,"offset":…,
               "commit":…,"check":"…"}}  spaces … 0x0A
    block 1   the same, sequence 9
    block 2   {"commit":{"sequence":41,"id":…,"check":"…"}}  spaces … 0x0A
    block 3   the same, sequence 42

Of each pair the line with the lower sequence number is overwritten, so a torn write leaves
the other one. Each line fills a block of `BLOCK_BYTES` of its own, so that writing a commit
note back to the disk, at whatever moment the kernel chooses, never rewrites the bytes of a
durable mark. `check` is the first 16 hex digits of SHA-256 over the line before it.
The file never changes its size: no write in place needs the file's metadata.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from replog.core.entry import GENESIS, EntryId, Epoch, Head
from replog.storage.filesystem import File, Filesystem
from replog.storage.syncing import replace_file

BLOCK_BYTES = 4096
_DURABLE_BLOCKS = (0, 1)
_COMMIT_BLOCKS = (2, 3)
MARKS_BYTES = 4 * BLOCK_BYTES

_NUMBER = rb"(0|[1-9][0-9]{0,18})"
_DURABLE = re.compile(
    rb'\{"durable":\{"sequence":' + _NUMBER + rb',"id":' + _NUMBER + rb',"epoch":' + _NUMBER
    + rb',"hash":"([0-9a-f]{64})","segment":' + _NUMBER + rb',"offset":' + _NUMBER
    + rb',"commit":' + _NUMBER + rb',"check":"([0-9a-f]{16})"\}\} *\n'
)  # fmt: skip
_COMMIT = re.compile(
    rb'\{"commit":\{"sequence":' + _NUMBER + rb',"id":' + _NUMBER
    + rb',"check":"([0-9a-f]{16})"\}\} *\n'
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DurableMark:
    """A head below which this node knows that its log was durable, and where it ends.

    Attributes:
        segment_first_id: first id of the segment that holds the head's batch; 0 for none.
        end_offset: where that batch ends in the segment's file.
    """

    head: Head
    segment_first_id: EntryId
    end_offset: int


NO_MARK = DurableMark(GENESIS, EntryId(0), 0)
"""The mark of an empty log."""


class Marks:
    """The open file. For the one writer thread, but for `note_commit`: the event loop calls that.

    Each has its own lines and its own count, so that they need no lock; a cut, which calls
    both, is ordered only while nothing is shown. `commit_note` may be read from any thread.

    Attributes:
        durable: the mark that was noted last. None where neither line of the file checks:
            nothing is known then about what was durable, so nothing may be cut as if it
            had not been.
        commit_note: the highest id that was noted as committed; 0 for none. A loss of power
            may lower it, as it is not synced on its own. A log that ends below it is damaged.
    """

    def __init__(
        self,
        file: File,
        durable: DurableMark | None,
        commit_note: EntryId,
        *,
        durable_sequence: int,
        commit_sequence: int,
    ) -> None:
        self._file = file
        self.durable = durable
        self.commit_note = commit_note
        self._durable_sequence = durable_sequence
        self._commit_sequence = commit_sequence

    @classmethod
    def create(cls, filesystem: Filesystem, path: str) -> Self:
        """Make the file of an empty log, durably: it says that nothing was durable yet."""
        durable = [_durable_line(NO_MARK, sequence, EntryId(0)) for sequence in (0, 1)]
        commit = [_commit_line(EntryId(0), sequence) for sequence in (0, 1)]
        replace_file(filesystem, path, b"".join(durable + commit))
        return cls.open(filesystem, path)

    @classmethod
    def open(cls, filesystem: Filesystem, path: str) -> Self:
        """Read the file; whatever stands in it is no error, see `durable`.

        Raises:
            OSError: there is no such file, or it cannot be read.
        """
        file = filesystem.open(path, writable=True)
        data = file.read_at(0, MARKS_BYTES)
        durables = [_parse_durable(_block(data, block)) for block in _DURABLE_BLOCKS]
        commits = [_parse_commit(_block(data, block)) for block in _COMMIT_BLOCKS]
        durable_sequence, durable, durable_commit = max(
            (found for found in durables if found is not None),
            key=lambda found: found[0],
            default=(1, None, EntryId(0)),
        )
        commit_sequence = max((found[0] for found in commits if found is not None), default=1)
        notes = [found[1] for found in commits if found is not None]
        return cls(
            file,
            durable,
            max((durable_commit, *notes)),
            durable_sequence=durable_sequence,
            commit_sequence=commit_sequence,
        )

    def write_again(self) -> None:
        """Make the durable mark that was read durable, without a change to a byte of it.

        That it can be read proves nothing (rule 3 of Opening): the process that wrote it may
        have ended because its sync failed, and the line be in the page cache alone.

        Raises:
            OSError: as in `File.sync`: never retried.
        """
        if self.durable is not None:
            offset = _DURABLE_BLOCKS[self._durable_sequence % 2] * BLOCK_BYTES
            self._file.write_at(offset, self._file.read_at(offset, BLOCK_BYTES))
            self._file.sync()

    def note_durable(self, mark: DurableMark) -> None:
        """Write `mark` over the older of the two and sync it, commit notes included.

        The mark carries the commit note as it is now: should a loss of power tear both
        commit lines, this one remains.

        Raises:
            OSError: as in `File.sync`: never retried.
        """
        sequence = self._durable_sequence + 1
        line = _durable_line(mark, sequence, self.commit_note)
        self._file.write_at(_DURABLE_BLOCKS[sequence % 2] * BLOCK_BYTES, line)
        try:
            self._file.sync()
        except OSError:
            self._keep_commit_note()
            raise
        # Only now: after a failure that is passed over the next one goes to the same block,
        # and the other line stays good.
        self._durable_sequence = sequence
        self.durable = mark

    def note_commit(self, committed_id: EntryId) -> None:
        """Write the commit note over the older of the two, unsynced.

        It survives the end of this process, not a loss of power.
        """
        sequence = self._commit_sequence + 1
        line = _commit_line(committed_id, sequence)
        self._file.write_at(_COMMIT_BLOCKS[sequence % 2] * BLOCK_BYTES, line)
        self._commit_sequence = sequence
        self.commit_note = committed_id

    def _keep_commit_note(self) -> None:
        """Write the note again, unsynced: it is to outlive this process, which ends now (R7).

        A failed sync leaves pages clean that it has not written, and the kernel may forget
        those before the next start reads them.
        """
        sequence = self._commit_sequence
        line = _commit_line(self.commit_note, sequence)
        with contextlib.suppress(OSError):  # the failure of the sync is what is told
            self._file.write_at(_COMMIT_BLOCKS[sequence % 2] * BLOCK_BYTES, line)

    def close(self) -> None:
        self._file.close()


def _block(data: bytes, block: int) -> bytes:
    return data[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]


def _check(line: bytes) -> bytes:
    return sha256(line).hexdigest()[:16].encode()


def _complete(line: bytes) -> bytes:
    line = b'%b,"check":"%b"}}' % (line, _check(line))
    return line.ljust(BLOCK_BYTES - 1) + b"\n"


def _is_whole(block: bytes, check: bytes) -> bool:
    return _check(block[: block.index(b',"check":"')]) == check


def _durable_line(mark: DurableMark, sequence: int, committed_id: EntryId) -> bytes:
    return _complete(
        b'{"durable":{"sequence":%d,"id":%d,"epoch":%d,"hash":"%b","segment":%d,"offset":%d'
        b',"commit":%d'
        % (
            sequence,
            mark.head.last_id,
            mark.head.epoch,
            mark.head.hash.hex().encode(),
            mark.segment_first_id,
            mark.end_offset,
            committed_id,
        )
    )


def _commit_line(committed_id: EntryId, sequence: int) -> bytes:
    return _complete(b'{"commit":{"sequence":%d,"id":%d' % (sequence, committed_id))


def _parse_durable(block: bytes) -> tuple[int, DurableMark, EntryId] | None:
    match = _DURABLE.fullmatch(block)
    if match is None or not _is_whole(block, match[8]):
        return None
    head = Head(Epoch(int(match[3])), EntryId(int(match[2])), bytes.fromhex(match[4].decode()))
    mark = DurableMark(head, EntryId(int(match[5])), int(match[6]))
    return int(match[1]), mark, EntryId(int(match[7]))


def _parse_commit(block: bytes) -> tuple[int, EntryId] | None:
    match = _COMMIT.fullmatch(block)
    if match is None or not _is_whole(block, match[3]):
        return None
    return int(match[1]), EntryId(int(match[2]))
