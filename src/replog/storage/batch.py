"""Making a batch of format 1; and the names of its whole codec, for those who use it.

PURE. docs/storage-format.md is the reference. The lines of a batch are `lines`, the checks
of a receiver are `run`.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Mapping, Sequence

import msgspec

from replog.core.entry import EntryId, Epoch, Head
from replog.storage.lines import (
    BATCH_BYTES_MAX,
    FORMAT,
    HASH_AND_END_BYTES,
    KEY_BYTES_MAX,
    LINE_END,
    NO_KEYS,
    NUMBER_MAX,
    LimitError,
    encode_message,
    encode_messages,
    entry_line,
    header_line,
    trailer_until_hash,
)
from replog.storage.run import BadPlace, Run, Scan, hash_after, scan_run, verify_run
from replog.storage.span import BadBatch, BatchSpan, spans
from replog.storage.timestamps import format_time, parse_time

__all__ = [
    "BATCH_BYTES_MAX",
    "FORMAT",
    "KEY_BYTES_MAX",
    "NUMBER_MAX",
    "BadBatch",
    "BadPlace",
    "BatchSpan",
    "EncodedBatch",
    "LimitError",
    "Run",
    "Scan",
    "encode_batch",
    "encode_message",
    "encode_messages",
    "entry_line",
    "format_time",
    "header_line",
    "parse_time",
    "scan_run",
    "spans",
    "verify_run",
]


class EncodedBatch(msgspec.Struct, frozen=True, gc=False):
    """A batch as it is to stand in the file, its header line included where it has one."""

    payload: bytes
    head: Head
    time: bytes


def encode_batch(
    *,
    after: Head,
    messages: Sequence[bytes],
    epoch: Epoch,
    committed_id: EntryId,
    time_ms: int,
    keys: Mapping[EntryId, str] = NO_KEYS,
    seal: bool = False,
    header: bytes = b"",
) -> EncodedBatch:
    """Make the batch that follows on `after`.

    Args:
        messages: JSON strings as `encode_message` makes them. None at all opens an epoch
            with a batch that covers no id.
        time_ms: milliseconds since 1970, not before those of the batch before.
        header: the segment's first line where this batch opens one (`header_line`).

    Raises:
        LimitError: a key or the batch is too long; nothing was stored.
    """
    first_id = after.last_id + 1
    last_id = EntryId(after.last_id + len(messages))
    assert epoch >= after.epoch, (after, epoch)
    assert committed_id <= after.last_id, (after, committed_id)
    assert messages or (epoch > after.epoch and not seal), (after, epoch, seal)
    assert not keys or first_id <= min(keys) <= max(keys) <= last_id, (after, keys)
    time = format_time(time_ms)
    lines = [b'{"id":%d,"message":%b}\n' % line for line in enumerate(messages, first_id)]
    trailer = trailer_until_hash(
        after=after,
        last_id=last_id,
        epoch=epoch,
        committed_id=committed_id,
        time=time,
        keys=keys,
        seal=seal,
    )
    hashed = b"%b%b%b" % (header, b"".join(lines), trailer)
    if len(hashed) + HASH_AND_END_BYTES > BATCH_BYTES_MAX:
        raise LimitError(
            f"the batch would have {len(hashed) + HASH_AND_END_BYTES} bytes, {BATCH_BYTES_MAX} "
            "is the most; append fewer or shorter messages at once"
        )
    digest = hash_after(after.hash, hashed, 0, len(hashed))
    payload = b"%b%b%b" % (hashed, hexlify(digest), LINE_END)
    return EncodedBatch(payload, Head(epoch, last_id, digest), time)
